"""`torch.distributions.kl_divergence` of a DiagonalGaussian, in torch's registry of pairs of types."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Independent, Normal
from torch.distributions.kl import register_kl

from fastvae.distributions import DiagonalGaussian


def _of_sigma(normal: Normal, like: DiagonalGaussian) -> DiagonalGaussian:
    mu, sigma = normal.loc.expand(like.mu.shape), normal.scale.expand(like.mu.shape)
    return DiagonalGaussian(mu.to(like.mu.dtype), sigma.to(like.mu.dtype), parameterization="std")


@register_kl(DiagonalGaussian, DiagonalGaussian)  # type: ignore[untyped-decorator]
def _to_gaussian(p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
    return p.kl(q)


@register_kl(DiagonalGaussian, Normal)  # type: ignore[untyped-decorator]
def _to_normal(p: DiagonalGaussian, q: Normal) -> Tensor:
    return p.kl(_of_sigma(q, p))


@register_kl(DiagonalGaussian, Independent)  # type: ignore[untyped-decorator]
def _to_independent(p: DiagonalGaussian, q: Independent[Normal]) -> Tensor:
    if not isinstance(q.base_dist, Normal) or len(q.batch_shape) > 1:
        raise NotImplementedError(f"q: got {q}; takes Independent(Normal(...), all dimensions but the batch)")
    return p.kl(_of_sigma(q.base_dist, p))
