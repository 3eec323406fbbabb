"""Every op as one call on named operands, for the tests that hold for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

import fastvae.functional as F
from fastvae._likelihoods import LOSSES as TABLE
from tests.support.posteriors import posterior, prior_of

Shape = tuple[int, ...]


class Op(NamedTuple):
    """`call(tensors, **options)`, operands of a shape and dtype, and those that have gradients."""

    call: Callable[..., Tensor | tuple[Tensor, ...]]
    operands: Callable[[Shape, torch.dtype], dict[str, Tensor]]
    wanted: tuple[str, ...]
    reduces: bool = True


def _uniform(shape: Shape, dtype: torch.dtype, seed: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)).to(dtype)


def _kl(tensors: dict[str, Tensor], **options: object) -> Tensor:
    return F.gaussian_kl(tensors["mu"], tensors["scale"], prior_of(tensors), **options)


def _sample(tensors: dict[str, Tensor], **options: object) -> Tensor:
    return F.reparameterize(tensors["mu"], tensors["scale"], eps=tensors["eps"], **options)


def _seeded(tensors: dict[str, Tensor], **options: object) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl(tensors["mu"], tensors["scale"], prior_of(tensors), seed=5, num_samples=2, **options)


def _packed(tensors: dict[str, Tensor], **options: object) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl_packed(tensors["moments"], dim=-1, seed=5, **options)


def _interleaved(tensors: dict[str, Tensor], **options: object) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl_packed(tensors["moments"], dim=-1, interleaved=True, seed=5, **options)


def _density(tensors: dict[str, Tensor], **options: object) -> Tensor:
    return F.log_normal(tensors["z"], tensors["mu"], tensors["scale"], **options)


def _bound(tensors: dict[str, Tensor], **options: object) -> Tensor:
    return F.importance_weighted_bound(tensors["log_w"], **options)


def _counts(tensors: dict[str, Tensor], **options: object) -> Tensor:
    mean, target, dispersion, logits, weight = tensors.values()
    return F.negative_binomial_nll(
        mean, target, dispersion, zero_inflation_logits=logits, weight=weight, **{"reduction": "mean", **options}
    )


def _mixture(tensors: dict[str, Tensor], **options: object) -> Tensor:
    return F.discretized_logistic_mixture_nll(
        tensors["params"], tensors["target"], num_mixtures=2, dim=-1, bits=4, **options
    )


def _minibatch(tensors: dict[str, Tensor], **options: object) -> tuple[Tensor, Tensor]:
    return F.minibatch_log_densities(tensors["z"], tensors["mu"], tensors["scale"], dataset_size=100_000, **options)


def _gaussians(tensors: dict[str, Tensor], **options: object) -> Tensor:
    return F.log_normal_mixture(*tensors.values(), **options)


def _posterior(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    return posterior("logvar", shape, dtype, "same")


def _with_eps(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    return {**posterior("logvar", shape, dtype), "eps": _uniform(shape, dtype, 3, -2, 2)}


def _moments(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    return {"moments": _uniform((*shape[:-1], 2 * shape[-1]), dtype, 4, -1, 1)}


def _points(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    return {"z": _uniform(shape, dtype, 6, -2, 2), **posterior("logvar", shape, dtype)}


def _components(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    """Points and as many components, whose weights differ."""
    return {**_points(shape, dtype), "log_weights": _uniform(shape[:1], dtype, 7, -2, 2)}


def _log_w(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    return {"log_w": _uniform(shape, dtype, 8, -4, 0)}


def _negative_binomial(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    return {
        "mean": _uniform(shape, dtype, 0, 0.1, 4),
        "target": _uniform(shape, dtype, 1, -3, 5).round().clamp(min=0),
        "inverse_dispersion": _uniform(shape, dtype, 2, 0.3, 3),
        "zero_inflation_logits": _uniform(shape, dtype, 3, -2, 2),
        "weight": _uniform(shape, dtype, 4, 0.5, 1.5),
    }


def _pixels(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
    """One loss an element of `shape`: pixels of one channel, in two components."""
    return {"params": _uniform((*shape, 6), dtype, 9, -1, 1), "target": _uniform((*shape, 1), dtype, 10, -1, 1)}


def _reconstruction(loss: str) -> Op:
    def call(tensors: dict[str, Tensor], **options: object) -> Tensor:
        positional = [tensors[name] for name in ("input", "target", "log_scale") if name in tensors]
        result: Tensor = getattr(F, loss)(*positional, weight=tensors["weight"], **options)
        return result

    def operands(shape: Shape, dtype: torch.dtype) -> dict[str, Tensor]:
        low, high = RANGES.get(loss, (-3.0, 3.0))
        tensors = {
            "input": _uniform(shape, dtype, 0, low, high),
            "target": _uniform(shape, dtype, 1),
            "weight": _uniform(shape, dtype, 2, 0.5, 1.5),
        }
        return tensors | ({"log_scale": _uniform(shape, dtype, 3, -0.5, 0.5)} if loss in SCALED_LOSSES else {})

    wanted = ("input", *(() if TABLE[loss].counts else ("target",)), *(("log_scale",) if TABLE[loss].scaled else ()))
    return Op(call, operands, wanted)


# The rows of the product's table, those with a scale of their own, and those that write over their input.
LOSSES = tuple(TABLE)
COUNT_LOSSES = tuple(loss for loss, row in TABLE.items() if row.counts)
RANGES = {"binary_cross_entropy": (0.02, 0.98), "poisson_nll_of_rate": (0.02, 6.0)}  # of inputs that take no other
SCALED_LOSSES = tuple(loss for loss, row in TABLE.items() if row.scaled)
OVERWRITING_LOSSES = tuple(loss for loss in LOSSES if "inplace" in inspect.signature(getattr(F, loss)).parameters)
OPS = {
    "reparameterize": Op(_sample, _with_eps, ("mu", "scale"), reduces=False),
    "gaussian_kl": Op(_kl, _posterior, ("mu", "scale", "prior_mu", "prior_scale")),
    "reparameterize_kl": Op(_seeded, _posterior, ("mu", "scale", "prior_mu", "prior_scale")),
    "reparameterize_kl_packed": Op(_packed, _moments, ("moments",)),
    "reparameterize_kl_interleaved": Op(_interleaved, _moments, ("moments",)),
    "log_normal": Op(_density, _points, ("z", "mu", "scale")),
    "negative_binomial_nll": Op(_counts, _negative_binomial, ("mean", "inverse_dispersion", "zero_inflation_logits")),
    "importance_weighted_bound": Op(_bound, _log_w, ("log_w",), reduces=False),
    "discretized_logistic_mixture_nll": Op(_mixture, _pixels, ("params",)),
    **{loss: _reconstruction(loss) for loss in LOSSES},
}
# Sums over pairs of points and components, which no element is alone in, for the tests that ask no more than a call.
PAIRED = {
    "minibatch_log_densities": Op(_minibatch, _points, ("z", "mu", "scale"), reduces=False),
    "log_normal_mixture": Op(_gaussians, _components, ("z", "mu", "scale", "log_weights"), reduces=False),
}
ALL_OPS = OPS | PAIRED
