"""Predictions at several sizes of one image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as T
from torch import Tensor, nn

from fastvae._likelihoods import LIKELIHOODS, LOSSES
from fastvae._outputs import compute_dtype
from fastvae.losses._options import one_of
from fastvae.losses.density import Density
from fastvae.losses.reconstruction import Reconstruction


class MultiScale(Density):
    """The multi-scale objective of Sohn, Lee & Yan (2015): coarse predictions are trained beside the full-size one.

    The loss is each sample's negative log-likelihood, summed over the scales; a coarse target is the target averaged
    over blocks of ``factor x factor`` pixels. What is evaluated, `log_prob` and `mean`, is the full size alone.

    The network returns a tuple, coarse to fine: ``[batch, channels, height / factor, width / factor]`` for each factor.
    The target is ``[batch, channels, height, width]``, of the full size: floating point, uint8 (read as value / 255) or
    bool.

    Args:
        likelihood: of every scale, a name as in `fastvae.ELBOLoss`. A log-scale is learned for each scale.
        factors: how much smaller than the target each prediction is, falling; the last one is 1.

    Raises:
        TypeError: a prediction that is not a tuple of tensors.
        ValueError: an unknown likelihood; factors, a number of predictions or a size that do not fit.

    Examples:
        >>> density = fastvae.losses.MultiScale(factors=(2, 1))
        >>> x = torch.ones(3, 1, 8, 8)
        >>> logits = (torch.zeros(3, 1, 4, 4), torch.zeros(3, 1, 8, 8))  # coarse to fine
        >>> density(logits, x) / torch.tensor(2.0).log()  # 16 + 64 pixels of log 2 nats each
        tensor([80., 80., 80.])
        >>> density.log_prob(logits, x) / torch.tensor(2.0).log()  # the full size alone
        tensor([-64., -64., -64.])
        >>> density.mean(logits).shape, density.pixel_range
        (torch.Size([3, 1, 8, 8]), (0.0, 1.0))
    """

    def __init__(self, likelihood: str = "bernoulli", *, factors: Sequence[int] = (4, 2, 1)) -> None:
        super().__init__()
        one_of("likelihood", likelihood, tuple(LIKELIHOODS))
        self.factors = _checked_factors(factors)
        self._counts = LOSSES[LIKELIHOODS[likelihood].loss].counts
        self.coarse = nn.ModuleList(Reconstruction(likelihood) for _ in self.factors[:-1])
        self.full = Reconstruction(likelihood)

    def forward(self, prediction: Any, target: Tensor) -> Tensor:
        """The negative log-likelihood summed over all scales: ``[batch]``."""
        parts = self._parts(prediction)
        self._check_shapes(parts, target)
        total, _ = self.full(parts[-1], target, per_sample=True)
        values = target.to(compute_dtype(parts[-1]))
        if target.dtype == torch.uint8 and not self._counts:
            values = values / 255
        for term, part, factor in zip(self.coarse, parts[:-1], self.factors[:-1], strict=True):
            nll, _ = term(part, T.avg_pool2d(values, factor), per_sample=True)
            total = total + nll
        summed: Tensor = total
        return summed

    def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
        """log p(target | z) under the full-size prediction, normalized: ``[batch]``."""
        return self.full.log_prob(self._parts(prediction)[-1], target)

    def mean(self, prediction: Any) -> Tensor:
        """The full-size prediction in data space."""
        mean: Tensor = self.full.mean(self._parts(prediction)[-1])
        return mean

    @property
    def pixel_range(self) -> tuple[float, float]:
        """That of the likelihood."""
        return self.full.pixel_range

    def _parts(self, prediction: Any) -> Sequence[Tensor]:
        takes = f"takes {len(self.factors)} tensors, for the factors {self.factors}"
        if not isinstance(prediction, (tuple, list)):
            raise TypeError(f"prediction: got {type(prediction).__name__}; takes a tuple: {takes}")
        if len(prediction) != len(self.factors):
            raise ValueError(f"prediction: got {len(prediction)} scales; {takes}")
        for index, part in enumerate(prediction):
            if not isinstance(part, Tensor):
                raise TypeError(f"prediction[{index}]: got {type(part).__name__}; takes a torch.Tensor")
        return prediction

    def _check_shapes(self, parts: Sequence[Tensor], target: Tensor) -> None:
        if target.dim() != 4 or any(size % factor for size in target.shape[2:] for factor in self.factors):
            raise ValueError(
                f"target: got shape {list(target.shape)}; takes [batch, channels, height, width] with height and width "
                f"divisible by each of the factors {self.factors}"
            )
        for index, (part, factor) in enumerate(zip(parts, self.factors, strict=True)):
            expected = [*target.shape[:2], *(size // factor for size in target.shape[2:])]
            if list(part.shape) != expected:
                raise ValueError(
                    f"prediction[{index}]: got shape {list(part.shape)}; takes {expected}, the target's with height "
                    f"and width divided by {factor}"
                )

    def extra_repr(self) -> str:
        """The module's options, for `repr`."""
        return f"factors={self.factors}"


def _checked_factors(factors: Sequence[int]) -> tuple[int, ...]:
    values = tuple(factors)
    whole = all(isinstance(factor, int) and not isinstance(factor, bool) for factor in values)
    if not values or not whole or values[-1] != 1 or any(coarse <= fine for coarse, fine in pairwise(values)):
        raise ValueError(f"factors: got {factors!r}; takes falling ints that end in 1, such as (4, 2, 1)")
    return values
