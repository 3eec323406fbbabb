"""Counts as draws from a negative binomial: single-cell expression, and whatever varies more than a Poisson count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastvae import functional as F
from fastvae._describe import named
from fastvae._outputs import compute_dtype
from fastvae.functional.negative_binomial_nll import batchmean_with_samples
from fastvae.losses.density import Density

Parts = tuple[Tensor, Tensor, Tensor | None]


class NegativeBinomial(Density):
    """p(x | z) of scVI (Lopez et al. 2018): a negative binomial for each count, with or without zero inflation.

    The decoder returns, as a tuple or as one tensor packed along `dim`, in this order and each in the shape of the
    target: the logarithm of the mean; the logarithm of the inverse dispersion, unless that is a parameter here; with
    `zero_inflated` the logits of a zero that no count made.

    Args:
        features: the shape of one log inverse dispersion for the whole data set, ``(genes,)`` in scVI, broadcastable to
            the target's: a learned parameter, 0 at first. None: the decoder returns it for each value.
        zero_inflated: whether a count may be 0 for another reason.
        dim: where one tensor is packed.

    Attributes:
        log_inverse_dispersion: the parameter, or None.

    Raises:
        TypeError, ValueError: by its methods, a prediction that is not of these parts.

    Examples:
        >>> density = fastvae.losses.NegativeBinomial(5)  # the decoder gives log means alone
        >>> density.features, density.num_parts, density.pixel_range
        ((5,), 1, (0.0, 255.0))
        >>> density.reset_parameters()  # log theta = 0, as it is at first
        >>> log_mean, counts = torch.ones(2, 5), torch.tensor([[0, 1, 2, 3, 9]] * 2, dtype=torch.int32)
        >>> density(log_mean, counts).detach(), density.mean(log_mean)[0]
        (tensor([11.2652, 11.2652]), tensor([2.7183, 2.7183, 2.7183, 2.7183, 2.7183]))
        >>> F.negative_binomial_nll(log_mean, counts, torch.ones(5), log_input=True, reduction="sample")
        tensor([11.2652, 11.2652])
        >>> fastvae.losses.NegativeBinomial(zero_inflated=True).decoder_channels(5)
        15
    """

    def __init__(
        self, features: int | Sequence[int] | None = None, *, zero_inflated: bool = False, dim: int = 1
    ) -> None:
        super().__init__()
        shape = (features,) if isinstance(features, int) else features
        self.log_inverse_dispersion = None if shape is None else nn.Parameter(torch.empty(*shape))
        self.zero_inflated = zero_inflated
        self.dim = dim
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The learned log inverse dispersions, where there are any, to 0, in place."""
        if self.log_inverse_dispersion is not None:
            nn.init.zeros_(self.log_inverse_dispersion)

    @property
    def features(self) -> tuple[int, ...] | None:
        """The shape of the learned log inverse dispersions, or None."""
        parameter = self.log_inverse_dispersion
        return None if parameter is None else tuple(parameter.shape)

    @property
    def num_parts(self) -> int:
        """How many tensors of the target's shape the decoder returns."""
        return 1 + (self.log_inverse_dispersion is None) + self.zero_inflated

    @property
    def pixel_range(self) -> tuple[float, float]:
        """Black and white: bytes are counts."""
        return 0.0, 255.0

    def decoder_channels(self, channels: int) -> int:
        """The parts, each with the channels of the target."""
        return self.num_parts * channels

    def forward(self, prediction: Any, target: Tensor) -> Tensor:
        """-log p(target | z) in nats: ``[batch]``."""
        return self._nll(prediction, target, "sample")

    def batch_mean(self, prediction: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        """The mean of `forward` over the batch, in one pass with its gradient, and its values without."""
        log_mean, log_theta, logits = self._parts(prediction)
        return batchmean_with_samples(log_mean, target, log_theta.exp(), zero_inflation_logits=logits, log_input=True)

    def log_prob(self, prediction: Any, target: Tensor) -> Tensor:
        """log p(target | z) in nats: ``[batch]``."""
        return -self._nll(prediction, target, "sample")

    def mean(self, prediction: Any) -> Tensor:
        """The expected counts, in the shape of the target."""
        log_mean, _, logits = self._parts(prediction)
        mean = log_mean.exp()
        return mean if logits is None else mean * torch.sigmoid(-logits)

    @torch.no_grad()
    def sample(self, prediction: Any, *, seed: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """One draw of each count, as floating point: a Poisson count whose rate is drawn from a gamma distribution.

        Args:
            prediction: what the decoder returned for a batch.
            seed, generator: where the noise comes from, torch's default generator without either.

        Returns:
            The shape of the target.

        Raises:
            TypeError, ValueError: a prediction of other parts, or both a seed and a generator.

        Examples:
            >>> density = fastvae.losses.NegativeBinomial(5)
            >>> counts = density.sample(torch.full((10_000, 5), 3.0).log(), seed=0)
            >>> counts.shape, bool((counts.mean() - 3).abs() < 0.1)  # means of 3
            (torch.Size([10000, 5]), True)
        """
        if seed is not None and generator is not None:
            raise ValueError("seed, generator: got both; takes at most one source of noise")
        log_mean, log_theta, logits = self._parts(prediction)
        if seed is not None:
            generator = torch.Generator(log_mean.device).manual_seed(seed)
        theta = log_theta.exp().expand(log_mean.shape)
        rate = torch._standard_gamma(theta, generator=generator) * (log_mean - log_theta).exp()
        counts = torch.poisson(rate, generator=generator)
        if logits is None:
            return counts
        return counts * torch.bernoulli(torch.sigmoid(-logits), generator=generator)

    def extra_repr(self) -> str:
        """The density's options, for `repr`."""
        dim = None if self.dim == 1 else self.dim
        return named({"features": self.features, "zero_inflated": self.zero_inflated or None, "dim": dim})

    def _nll(self, prediction: Any, target: Tensor, reduction: str) -> Tensor:
        log_mean, log_theta, logits = self._parts(prediction)
        return F.negative_binomial_nll(
            log_mean, target, log_theta.exp(), zero_inflation_logits=logits, log_input=True, reduction=reduction
        )

    def _parts(self, prediction: Any) -> Parts:
        """(log mean, log inverse dispersion, logits or None) in the compute dtype."""
        if isinstance(prediction, Tensor):
            size = prediction.shape[self.dim]
            if size % self.num_parts:
                raise ValueError(
                    f"prediction: got size {size} along dim {self.dim}; takes {self.num_parts} parts of one size"
                )
            prediction = prediction.chunk(self.num_parts, self.dim)
        if not isinstance(prediction, (tuple, list)) or len(prediction) != self.num_parts:
            got = len(prediction) if isinstance(prediction, (tuple, list)) else type(prediction).__name__
            raise TypeError(f"prediction: got {got}; takes {self.num_parts} tensors, or one that is packed")
        log_mean, *rest = (part.to(compute_dtype(part)) for part in prediction)
        logits = rest.pop() if self.zero_inflated else None
        if self.log_inverse_dispersion is None:
            return log_mean, rest[0], logits
        return log_mean, self.log_inverse_dispersion.to(log_mean.dtype), logits
