"""One training step, from a batch to the updated weights: it never waits for the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from fastvae.train.loop.optimizer import Update
from fastvae.train.processes import group, parallel
from fastvae.train.processes.group import Share
from fastvae.train.runs.metrics import Sums


class Step:
    """Forward, backward, update, and what was measured added to `sums`.

    Gradients live within a step, which begins and ends without any: a captured step then has them in its graph's memory
    and one that runs as it is has its own.

    Args:
        model: from a batch to an output with `loss`, the mean over its images, and `reconstruction_loss` and `kl`, one
            value an image; maybe `kl_terms`, those of a divided KL.
        update: what is done with the gradient of the batch.
        sums: where the step adds what it measured.
        autocast: the dtype that the forward pass is cast to; None for that of the weights.
        accumulate: parts that a batch is computed in, one after the other, as even as its size allows.
    """

    def __init__(
        self,
        model: nn.Module,
        update: Update,
        sums: Sums,
        *,
        autocast: torch.dtype | None = None,
        accumulate: int = 1,
    ) -> None:
        self._model = model
        self._update = update
        self._sums = sums
        self._autocast = autocast
        self._accumulate = accumulate

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return self._sums.device

    def __call__(self, *batch: Tensor, total: int | None = None) -> None:
        """Train on a batch: what the model takes, ``[batch, ...]`` each, on the device.

        Of several processes each gives its rows of a batch of `total`, see `fastvae.train.processes.group.rows`.
        """
        total = len(batch[0]) if total is None else total
        shares = group.shares(total, self._accumulate)
        sizes = [share.rows.stop - share.rows.start for share in shares]
        parts = zip(*(tensor.split(sizes) for tensor in batch), strict=True)
        for number, (share, part) in enumerate(zip(shares, parts, strict=True), 1):
            with parallel.gradients_averaged(self._model, number == len(shares)):
                self._add_gradient(part, share, share.size / total)
        # Only here is the gradient that of the batch.
        norm = self._update()
        if norm is not None:
            self._sums.add_norm(norm)

    def _add_gradient(self, part: tuple[Tensor, ...], share: Share, of_batch: float) -> None:
        """Add the gradient of a part, which is so much of its batch."""
        with torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None):
            output = self._model(*part) if share.shard is None else self._model(*part, share=share)
        # Processes average their gradients, where they are to add them up.
        weight = of_batch * group.count()
        self._update.backward(output.loss if weight == 1 else output.loss * weight)
        if share.size:
            terms = getattr(output, "kl_terms", None)
            self._sums.add(output.loss.detach(), output.reconstruction_loss, output.kl, terms)

    def state(self) -> Iterator[Tensor]:
        """Every tensor that a step changes. Those of the optimizer come into being in the first step."""
        yield from self._model.parameters()
        yield from self._model.buffers()
        yield from self._update.state()
        yield from self._sums.state()


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """One compilation for the full batch and one for the last: which kernels run must not depend on what ran before.

    Nor on timings, by which inductor would choose on a GPU how its sums are split.
    """
    options: dict[str, Any] | None = {"deterministic": True} if device.type == "cuda" else None
    return cast(nn.Module, torch.compile(network, dynamic=False, options=options))


@contextmanager
def reproducible() -> Iterator[None]:
    """cuDNN's convolutions with one order of summation; without this, some of their gradients use atomics."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
