"""Dropout that draws for a part of a batch what it would draw for the whole."""

from __future__ import annotations

from torch import Tensor, nn


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, of rows that may be a part of a batch.

    Attributes:
        rows: ``(start, stop, total)``, where the input is rows `start` to `stop` of a batch of `total`, or several
            samples of those, one after the other: the mask is then the one that the whole batch would get from the same
            state of torch's generator. None for an input that is the whole.
    """

    rows: tuple[int, int, int] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, ...]`` or ``[num_samples * batch, ...]``."""
        if self.rows is None or not self.training:
            return super().forward(x)
        start, stop, total = self.rows
        folded = len(x) // (stop - start), total, *x.shape[1:]
        kept: Tensor = super().forward(x.new_ones(folded))
        return x * kept[:, start:stop].flatten(0, 1)
