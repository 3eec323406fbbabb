"""What the latent-variable models share: posteriors from network outputs, noise, importance sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastvae import functional as F
from fastvae._describe import describe, named
from fastvae._options import scale_form
from fastvae.distributions import DiagonalGaussian
from fastvae.losses import ELBOLoss
from fastvae.modules._networks import call


class LatentVariableModel(nn.Module):
    """A model with Gaussian latents and an `ELBOLoss`. Options left at None are the preset's, or the plain default.

    Args:
        elbo: the objective.
        parameterization, clamp, min_std, min_var: what a raw scale means, see `fastvae.functional.reparameterize`.
        packed_dim, interleaved: how a network's single output packs mu and scale: its halves along dim 1, by default.
        latent_shape: the shape of one sample's latent; None to take that of the latest input.
    """

    def __init__(
        self,
        elbo: ELBOLoss,
        *,
        parameterization: str | None,
        clamp: tuple[float, float] | None,
        min_std: float | None,
        min_var: float | None,
        packed_dim: int | None,
        interleaved: bool | None,
        latent_shape: int | Sequence[int] | None,
    ) -> None:
        super().__init__()
        if elbo.rule.kl_estimator == "masked":
            raise ValueError(
                f"preset: got {elbo.preset!r}, whose KL needs a flow and a mask; takes another. Use "
                f"fastvae.ELBOLoss(preset={elbo.preset!r})"
            )
        self.elbo = elbo
        row = elbo.rule
        self._scale_options: dict[str, Any] = {
            "parameterization": row.parameterization if parameterization is None else parameterization,
            "clamp": row.clamp if clamp is None else clamp,
            "min_std": row.min_std if min_std is None else min_std,
            "min_var": row.min_var if min_var is None else min_var,
        }
        scale_form(**self._scale_options)
        self._packing: dict[str, Any] = {
            "dim": row.packed_dim if packed_dim is None else packed_dim,
            "interleaved": row.interleaved if interleaved is None else interleaved,
        }
        self.latent_shape = _latent_shape(latent_shape)
        self._seen_shape: tuple[int, ...] | None = None

    def extra_repr(self) -> str:
        """The options of the latent, for `repr`; the objective's follow it."""
        scale, packing = self._scale_options, self._packing
        options = {
            "parameterization": scale["parameterization"],
            "clamp": scale["clamp"],
            "min_std": scale["min_std"] or None,
            "min_var": scale["min_var"] or None,
            "packed_dim": None if packing["dim"] == 1 else packing["dim"],
            "interleaved": packing["interleaved"] or None,
            "latent_shape": self.latent_shape,
        }
        return named(options)

    def _gaussian(self, name: str, network: nn.Module, **inputs: Any) -> DiagonalGaussian:
        """The distribution that a network's output stands for."""
        output = call(name, network, **inputs)
        if isinstance(output, Tensor):
            if output.dim() < 2:
                got = " and ".join(map(describe, inputs.values()))
                raise ValueError(
                    f"{', '.join(inputs)}: got {got}, of which {name} makes {describe(output)}; takes [batch, ...]"
                )
            gaussian = DiagonalGaussian.from_moments(output, **self._packing, **self._scale_options)
        elif isinstance(output, (tuple, list)) and len(output) == 2:
            gaussian = DiagonalGaussian(*output, **self._scale_options)
        else:
            raise TypeError(
                f"{name}: returned {type(output).__name__}; takes a network that returns a pair (mu, scale) or one "
                "packed tensor"
            )
        shape = tuple(gaussian.mu.shape[1:])
        if self.latent_shape is None:
            if self._seen_shape != shape:
                self._seen_shape = shape
        elif shape != self.latent_shape:
            raise ValueError(
                f"latent_shape: got {list(self.latent_shape)}; {name} returned a latent of shape {list(shape)}"
            )
        return gaussian

    def _standard(self, batch: int) -> DiagonalGaussian:
        """N(0, I) for `batch` latents, on the device and in the dtype of the parameters."""
        shape = self._seen_shape if self.latent_shape is None else self.latent_shape
        if shape is None:
            raise RuntimeError(
                "latent_shape: got None and no input so far that an encoder or a recognition or prior network has "
                f"seen; takes the shape of one sample's latent, as {type(self).__name__}(..., latent_shape=...)"
            )
        like = next((p for p in self.parameters() if p.is_floating_point()), torch.empty(0))
        zeros = torch.zeros((batch, *shape), dtype=like.dtype, device=like.device)
        return DiagonalGaussian(zeros, zeros)

    @staticmethod
    def _standard_like(posterior: DiagonalGaussian) -> DiagonalGaussian:
        """N(0, I) for latents such as those of `posterior`."""
        zeros = torch.zeros_like(posterior.mu)
        return DiagonalGaussian(zeros, zeros)

    @staticmethod
    def _check_batch(posterior: DiagonalGaussian, name: str, value: Any) -> None:
        """The latents and what is reconstructed, called `name`, are as many, and some."""
        batch = posterior.mu.shape[0]
        if isinstance(value, Tensor) and (value.dim() == 0 or value.shape[0] != batch or batch == 0):
            raise ValueError(
                f"{name}: got {describe(value)} for latents {describe(posterior.mu)}; takes [batch, ...], a sample or "
                "more and a latent for each"
            )

    def _latent(
        self, posterior: DiagonalGaussian, prior: DiagonalGaussian | None, sample: bool, noise: dict[str, Any]
    ) -> tuple[Tensor, Tensor]:
        """(z, KL), the KL as the objective wants it."""
        reduction = self.elbo.kl_reduction
        if not sample:
            return self._draw(posterior, sample, noise), posterior.kl(prior, reduction=reduction)
        if self.elbo.needs_z:
            z = self._draw(posterior, sample, noise)
            return z, posterior.log_ratio(z, prior, reduction=reduction)
        return posterior.rsample_kl(prior, reduction=reduction, **noise)

    @staticmethod
    def _draw(gaussian: DiagonalGaussian, sample: bool, noise: dict[str, Any]) -> Tensor:
        if sample:
            return gaussian.rsample(**noise)
        given = [name for name, value in noise.items() if value is not None]
        if given:
            raise ValueError(f"{', '.join(given)}: got a value with sample=False, which draws nothing; takes None")
        return gaussian.mode()


def _latent_shape(value: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    shape = (value,) if isinstance(value, int) else tuple(value)
    if not all(isinstance(size, int) and size >= 1 for size in shape):
        raise ValueError(f"latent_shape: got {value!r}; takes positive ints, the shape of one sample's latent")
    return shape


def chunks(num_samples: int, chunk_size: int) -> Iterator[int]:
    """`num_samples` in pieces of at most `chunk_size`."""
    for name, value in (("num_samples", num_samples), ("chunk_size", chunk_size)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: got {value!r}; takes an int of at least 1")
    for start in range(0, num_samples, chunk_size):
        yield min(chunk_size, num_samples - start)


def seeded(seed: int | None, generator: torch.Generator | None, device: torch.device) -> torch.Generator | None:
    """One source for the draws of every chunk."""
    if seed is None:
        return generator
    if generator is not None:
        raise ValueError("seed, generator: got 2 sources of noise; takes at most one")
    return torch.Generator(device).manual_seed(seed)


def log_mean_exp(log_w: Iterator[Tensor], num_samples: int) -> Tensor:
    """log of the mean over all samples of exp(log_w), from pieces of ``[chunk, batch]``, in float64."""
    total: Tensor | None = None
    for piece in log_w:
        part = F.importance_weighted_bound(piece.double()) + math.log(piece.shape[0])
        total = part if total is None else torch.logaddexp(total, part)
    assert total is not None
    return total - math.log(num_samples)
