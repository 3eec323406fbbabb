"""Posteriors and priors for the tests: raw scales in a sensible range of every parameterization."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae._options import PARAMETERIZATIONS

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
MODIFIERS = ("plain", "min_std", "min_var", "clamp")
PRIORS = {
    "none": None,
    "same": lambda shape: shape,
    "row": lambda shape: shape[-1:],
    "column": lambda shape: (shape[0], *(1,) * (len(shape) - 1)),
    "one": lambda shape: (1,),
    "scalar": lambda shape: (),
}
_CLAMPS = {
    "logvar": (-0.8, 0.7),
    "log_std": (-0.4, 0.3),
    "std": (0.4, 1.2),
    "softplus": (-0.5, 1.0),
    "variance": (0.5, 1.5),
}


def raw_scale(parameterization: str, shape: tuple[int, ...], generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    raw = {
        "logvar": lambda: normal,
        "log_std": lambda: 0.5 * normal,
        "std": lambda: normal.sign() * (0.3 + 1.5 * uniform),
        "softplus": lambda: 1.5 * normal,
        "variance": lambda: 0.2 + 2 * uniform,
    }[parameterization]()
    return raw.to(dtype)


def unit_scale(parameterization: str) -> float:
    """The raw scale whose sigma is 1."""
    return {"logvar": 0.0, "log_std": 0.0, "std": 1.0, "softplus": 0.541324854612918, "variance": 1.0}[parameterization]


def scale_options(parameterization: str, modifier: str) -> dict[str, object]:
    extra = {
        "plain": {},
        "min_std": {"min_std": 0.1},
        "min_var": {"min_var": 0.05},
        "clamp": {"clamp": _CLAMPS[parameterization]},
    }
    return {"parameterization": parameterization, **extra[modifier]}


def takes(parameterization: str, modifier: str) -> bool:
    """A signed std has no additive floor."""
    return not (parameterization == "std" and modifier == "min_std")


FORMS = [(p, m) for p in PARAMETERIZATIONS for m in MODIFIERS if takes(p, m)]


def posterior(
    parameterization: str,
    shape: tuple[int, ...],
    dtype: torch.dtype = torch.float32,
    prior: str = "none",
    seed: int = 0,
) -> dict[str, Tensor]:
    """mu and scale, and prior_mu and prior_scale where there is a prior."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        "mu": torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype),
        "scale": raw_scale(parameterization, shape, generator, dtype),
    }
    shape_of = PRIORS[prior]
    if shape_of is not None:
        size = shape_of(shape)
        tensors["prior_mu"] = torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
        tensors["prior_scale"] = raw_scale(parameterization, size, generator, dtype)
    return tensors


def prior_of(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    return (tensors["prior_mu"], tensors["prior_scale"]) if "prior_mu" in tensors else None


def draws_of(prior: str) -> range:
    """Seeds to draw operands under: several where the prior is a single value."""
    return range(8 if prior in ("one", "scalar") else 1)
