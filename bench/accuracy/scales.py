"""How far KL and log density are off at every scale a form can express.

Every result is held to the reference in float64, on the same float32 inputs. An error is in units of the last place of
what the formula adds up: `Sum.terms`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor

import fastvae
import fastvae.functional as F
from fastvae._options import PARAMETERIZATIONS

Errors = dict[str, dict[str, float]]
"""By parameterization, then by quantity."""
POINTS: Final = 2048
QUANTITIES: Final = {
    "KL to N(0, I)": "gaussian_kl",
    "KL to a prior": "gaussian_kl, to a prior",
    "log density": "log_normal",
}
UNIT: Final = "last place"


class Sum(NamedTuple):
    """A result in float64, and the magnitudes of the terms that the formula adds up to it."""

    exact: Tensor
    terms: Tensor


def raw_scale(parameterization: str, sigma: Tensor) -> Tensor:
    """The float32 nearest to the raw scale of a sigma in float64."""
    raw = {
        "logvar": lambda: 2 * sigma.log(),
        "log_std": lambda: sigma.log(),
        "std": lambda: sigma,
        # log(e^sigma - 1), written so that nothing overflows.
        "softplus": lambda: torch.where(sigma > 30, sigma, torch.expm1(sigma.clamp(max=30)).log()),
        "variance": lambda: sigma.square(),
    }[parameterization]()
    return raw.float()


def sigmas(parameterization: str, points: int) -> Tensor:
    """From the smallest normal sigma to the largest, or as far as the raw scale reaches, in float64."""
    least, most = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
    if parameterization == "variance":
        least, most = math.sqrt(least), math.sqrt(most)
    return torch.logspace(math.log10(1.001 * least), math.log10(most / 1.001), points, dtype=torch.float64)


def log_slope(parameterization: str, sigma: Tensor) -> Tensor:
    """d log sigma / d raw."""
    return {
        "logvar": lambda: torch.full_like(sigma, 0.5),
        "log_std": lambda: torch.ones_like(sigma),
        "std": lambda: 1 / sigma,
        "softplus": lambda: -torch.expm1(-sigma) / sigma,
        "variance": lambda: 0.5 / sigma / sigma,
    }[parameterization]()


def sigma_of(parameterization: str, raw: Tensor) -> Tensor:
    """sigma of a float32 raw scale, in float64."""
    zero = torch.zeros_like(raw, dtype=torch.float64)
    with fastvae.use_backend("reference"):
        return F.reparameterize(zero, raw.double(), parameterization=parameterization, eps=zero + 1)


def operands(parameterization: str, points: int) -> dict[str, Tensor]:
    """Raw scales at every size, a prior's within a factor of 1000 of them, and mu some of its sigmas away from 0."""
    generator = torch.Generator().manual_seed(0)
    sigma = sigmas(parameterization, points)
    factor = 10 ** (6 * torch.rand(points, generator=generator, dtype=torch.float64) - 3)
    sigma_p = (sigma * factor).clamp(sigma[0], sigma[-1])
    t = 2 * torch.randn(points, generator=generator, dtype=torch.float64)
    return {
        "mu": (t * sigma_p).float().nan_to_num(posinf=0, neginf=0),
        "scale": raw_scale(parameterization, sigma),
        "prior_scale": raw_scale(parameterization, sigma_p),
    }


def results(parameterization: str, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The quantities and their gradients, by the backend in force."""
    mu, scale, prior_scale = (tensors[name].clone().requires_grad_() for name in ("mu", "scale", "prior_scale"))
    options = {"parameterization": parameterization, "reduction": "none"}
    kl = F.gaussian_kl(mu, scale, **options)  # type: ignore[arg-type]
    yield from _with_gradients("KL to N(0, I)", kl, {"mu": mu, "scale": scale})
    kl = F.gaussian_kl(mu, scale, (torch.zeros_like(mu), prior_scale), **options)  # type: ignore[arg-type]
    yield from _with_gradients("KL to a prior", kl, {"mu": mu, "scale": scale, "prior_scale": prior_scale})
    density = F.log_normal(mu, torch.zeros_like(mu), prior_scale, **options)  # type: ignore[arg-type]
    yield from _with_gradients("log density", density, {"mu": mu, "prior_scale": prior_scale})


def _with_gradients(name: str, value: Tensor, leaves: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    yield name, value.detach()
    gradients = torch.autograd.grad(value, list(leaves.values()), torch.ones_like(value))
    for leaf, gradient in zip(leaves, gradients, strict=True):
        yield f"{name}, d / d {leaf}", gradient


def sums(parameterization: str, tensors: Mapping[str, Tensor]) -> dict[str, Sum]:
    """The exact results, with the magnitudes of their terms."""
    wide = {name: value.double() for name, value in tensors.items()}
    with fastvae.use_backend("reference"):
        exact = dict(results(parameterization, wide))
    sigma, sigma_p = (sigma_of(parameterization, tensors[name]) for name in ("scale", "prior_scale"))
    slope, slope_p = log_slope(parameterization, sigma), log_slope(parameterization, sigma_p)
    square, distance = wide["mu"].square(), (wide["mu"] / sigma_p).square()
    r, r_p = sigma.square(), (sigma / sigma_p).square()
    terms = {
        "KL to N(0, I)": 0.5 * (square + (r - 1).abs() + r.log().abs()),
        "KL to N(0, I), d / d scale": (r + 1) * slope,
        "KL to a prior": 0.5 * (distance + (r_p - 1).abs() + r_p.log().abs()),
        "KL to a prior, d / d scale": (r_p + 1) * slope,
        "KL to a prior, d / d prior_scale": (r_p + distance + 1) * slope_p,
        "log density": 0.5 * distance + sigma_p.log().abs() + 0.5 * math.log(2 * math.pi),
        "log density, d / d prior_scale": (distance + 1) * slope_p,
    }
    for name, value in exact.items():
        # Where the value may overflow float32, nothing is asked of its gradients either.
        whole = terms[name.partition(", d /")[0]]
        in_range = 2 * whole <= torch.finfo(torch.float32).max
        terms[name] = torch.where(in_range, terms.get(name, value.abs()), math.inf)
    return {name: Sum(value, terms[name]) for name, value in exact.items()}


def worst(found: Tensor, exact: Sum) -> float:
    """The largest error in units of the last place of the terms, where they are normal float32 numbers."""
    info = torch.finfo(torch.float32)
    normal = (exact.terms <= info.max / 4) & (exact.terms >= info.tiny / info.eps)
    error = (found.double() - exact.exact).abs() / (info.eps * exact.terms)
    return error[normal].nan_to_num(nan=math.inf).max().item()


def measure(points: int = POINTS) -> Errors:
    """The worst errors of the backend in force, over so many sigmas of each form."""
    found: Errors = {}
    for parameterization in PARAMETERIZATIONS:
        tensors = operands(parameterization, points)
        exact = sums(parameterization, tensors)
        found[parameterization] = {
            name: worst(value, exact[name]) for name, value in results(parameterization, tensors)
        }
    return found


def regime(parameterization: str) -> str:
    """The name of the regime of a form."""
    return f"every scale, {parameterization}"


def as_rows(implementation: str, points: int = POINTS) -> list[dict[str, object]]:
    """`measure` as columns of `bench.accuracy.rows`: the value of each quantity, and the largest of its gradients."""
    return [
        {
            "op": op, "dtype": "float32", "regime": regime(form), "result": result, "implementation": implementation,
            "unit": UNIT, "elements": points, "worst": worst, "median": None, "wrong": None, "not_finite": None,
        }
        for form, found in measure(points).items()
        for quantity, op in QUANTITIES.items()
        for result, worst in _value_and_gradients(found, quantity)
    ]  # fmt: skip


def _value_and_gradients(found: Mapping[str, float], quantity: str) -> list[tuple[str, float]]:
    gradients = [error for name, error in found.items() if name.startswith(f"{quantity}, d /")]
    return [("value", found[quantity]), ("gradients", max(gradients))]
