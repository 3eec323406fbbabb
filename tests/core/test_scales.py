"""KL and log density of every form from the smallest normal sigma to the largest, in every implementation."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from functools import cache

import pytest
import torch
from torch import Tensor, nn

import fastvae
import fastvae.functional as F
from bench import ROOT
from bench.accuracy import scales
from fastvae import reference
from fastvae._options import PARAMETERIZATIONS
from tests.core.units import UNITS, supported
from tests.support.backends import BACKENDS, on

# What the reference itself may be off, in units of the last place: no result here has more than sixteen roundings.
OWN = 8
POINTS = 512


@cache
def own() -> scales.Errors:
    with fastvae.use_backend("reference"):
        return scales.measure(POINTS)


@cache
def errors(implementation: str) -> scales.Errors:
    if implementation == "interpreter":
        with on("triton"):
            return scales.measure(POINTS)
    # In a process of its own, because instruction sets are chosen once.
    code = f"import json; from bench.accuracy import scales; print(json.dumps(scales.measure({POINTS})))"
    environment = {**os.environ, "FASTVAE_CPU_CAPABILITY": implementation}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True
    )
    found: scales.Errors = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_the_reference_loses_no_digits(parameterization: str) -> None:
    assert max(own()[parameterization].values()) <= OWN, own()[parameterization]


@pytest.mark.parametrize("implementation", [*UNITS, "interpreter"])
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
def test_no_implementation_loses_more_than_the_reference(parameterization: str, implementation: str) -> None:
    if implementation in UNITS and implementation not in supported():
        pytest.skip(f"this processor has no {implementation}")
    found, allowed = errors(implementation)[parameterization], own()[parameterization]
    assert {name: error for name, error in found.items() if error > allowed[name] + 1} == {}


SMALL = {"logvar": -100.0, "log_std": -50.0, "std": 2e-22, "softplus": -50.0, "variance": 4e-38}
TINY = {"logvar": -174.0, "log_std": -87.0, "std": 1.2e-38, "softplus": -87.0, "variance": 1.2e-38}
# Of which float32 has no sigma any more, but its logarithm.
VANISHING = {"logvar": -300.0, "log_std": -150.0, "softplus": -150.0}
LARGE = {"logvar": 177.0, "log_std": 88.0, "std": 1e20, "softplus": 3e38, "variance": 3e38}
RAWS = [(name, raw) for raws in (SMALL, TINY, VANISHING, LARGE) for name, raw in raws.items()]


def leaf(value: float, dtype: torch.dtype) -> Tensor:
    return torch.full((3,), value, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("parameterization", "raw"), RAWS)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_divergence_from_oneself_is_nothing(name: str, parameterization: str, raw: float, dtype: torch.dtype):
    mu, scale = leaf(0.7, dtype), leaf(raw, dtype)
    with on(name):
        kl = F.gaussian_kl(mu, scale, (mu, scale), parameterization=parameterization, reduction="none")
        gradients = torch.autograd.grad(kl.sum(), [mu, scale])
    assert kl.tolist() == [0, 0, 0]
    assert [gradient.tolist() for gradient in gradients] == [[0, 0, 0]] * 2


def log_sigma(parameterization: str, raw: float) -> float:
    return {
        "logvar": lambda: raw / 2,
        "log_std": lambda: raw,
        "std": lambda: math.log(raw),
        "softplus": lambda: raw if raw < -40 else math.log(raw if raw > 40 else math.log1p(math.exp(raw))),
        "variance": lambda: math.log(raw) / 2,
    }[parameterization]()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("parameterization", "raw"), RAWS)
@pytest.mark.parametrize("name", BACKENDS)
def test_the_density_at_the_mean_is_that_of_sigma(name: str, parameterization: str, raw: float, dtype: torch.dtype):
    """-log sigma - log(2 pi) / 2, of which the entropy is made."""
    mu, scale = leaf(0.7, dtype), leaf(raw, dtype)
    expected = -log_sigma(parameterization, scale[0].item()) - 0.5 * math.log(2 * math.pi)
    with on(name):
        density = F.log_normal(mu, mu, scale, parameterization=parameterization, reduction="none")
        entropy = fastvae.DiagonalGaussian(mu[:, None], scale[:, None], parameterization=parameterization).entropy()
    rounding = 4 * torch.finfo(dtype).eps
    assert density.tolist() == pytest.approx([expected] * 3, rel=rounding)
    assert entropy.tolist() == pytest.approx([0.5 - expected] * 3, rel=rounding)


@pytest.mark.parametrize(("parameterization", "raw"), [(n, r) for n, r in RAWS if (n, r) not in VANISHING.items()])
@pytest.mark.parametrize("name", BACKENDS)
def test_one_sigma_out(name: str, parameterization: str, raw: float) -> None:
    scale = leaf(raw, torch.float32)
    sigma = torch.full((3,), math.exp(log_sigma(parameterization, raw)))
    with on(name):
        density = F.log_normal(sigma, torch.zeros(3), scale, parameterization=parameterization, reduction="none")
        (gradient,) = torch.autograd.grad(density.sum(), scale)
    expected = -log_sigma(parameterization, raw) - 0.5 * math.log(2 * math.pi) - 0.5
    # The raw scale and sigma are rounded, and so is what the logarithm makes of them.
    assert density.tolist() == pytest.approx([expected] * 3, rel=1e-6, abs=1e-6)
    assert (gradient.abs() <= 1e-6 * scales.log_slope(parameterization, sigma.double()).abs() * 2).all()


@pytest.mark.parametrize(("parameterization", "slope"), [("std", 1.0), ("variance", 0.5)])
@pytest.mark.parametrize("name", BACKENDS)
def test_a_gradient_is_finite_where_the_inverse_of_a_denormal_scale_is_not(
    name: str, parameterization: str, slope: float
) -> None:
    """Fuzzing found it infinite."""
    mu, scale, upstream = torch.zeros(3), leaf(1e-40, torch.float32), torch.full((3,), 2.0**-7)
    expected = [-slope * 2.0**-7 / scale[0].item()] * 3
    with on(name):
        kl = F.gaussian_kl(mu, scale, parameterization=parameterization, reduction="none")
        density = F.log_normal(mu, mu, scale, parameterization=parameterization, reduction="none")
        gradients = [torch.autograd.grad(of, scale, upstream)[0].tolist() for of in (kl, density)]
    assert gradients == [pytest.approx(expected, rel=1e-6)] * 2


@pytest.mark.parametrize("raw", [-45.0, -50.0, -60.0, -100.0])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_kl_of_a_small_softplus(name: str, raw: float) -> None:
    scale = leaf(raw, torch.float32)
    with on(name):
        kl = F.gaussian_kl(torch.zeros(3), scale, parameterization="softplus", reduction="none")
        (gradient,) = torch.autograd.grad(kl.sum(), scale)
    assert kl.tolist() == pytest.approx([-raw - 0.5] * 3, rel=2e-7)
    assert gradient.tolist() == [-1] * 3


@pytest.mark.parametrize("raw", [-200.0, -100.0, -45.0, -20.0, 0.5])
def test_the_log_variance_of_a_softplus(raw: float) -> None:
    scale = leaf(raw, torch.float32)
    logvar = fastvae.DiagonalGaussian(torch.zeros(3), scale, parameterization="softplus").logvar
    (gradient,) = torch.autograd.grad(logvar.sum(), scale)
    assert logvar.tolist() == pytest.approx([2 * log_sigma("softplus", raw)] * 3, rel=1e-6)
    sigma = math.exp(log_sigma("softplus", raw))
    assert gradient.tolist() == pytest.approx([2 * (-math.expm1(-sigma)) / sigma if raw > -40 else 2] * 3, rel=1e-6)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("name", BACKENDS)
def test_a_floor_of_the_variance_under_a_large_sigma(name: str, parameterization: str) -> None:
    """sigma^2 + min_var overflows; sigma does not."""
    raw = {**LARGE, "logvar": 100.0, "log_std": 50.0, "softplus": 1e20, "variance": 1e30}[parameterization]
    scale, options = leaf(raw, torch.float32), {"parameterization": parameterization, "min_var": 1e-4}
    expected = math.exp(log_sigma(parameterization, raw))
    zero, one = torch.zeros(3), torch.ones(3)
    with on(name):
        sigma = F.reparameterize(zero, scale, eps=one, **options)
        kl = F.gaussian_kl(zero, scale, (zero, scale), **options, reduction="none")
        density = F.log_normal(sigma.detach(), zero, scale, **options, reduction="none")
        gradients = torch.autograd.grad(sigma.sum() + kl.sum() + density.sum(), scale)[0]
    assert sigma.tolist() == pytest.approx([expected] * 3, rel=1e-6)
    assert kl.tolist() == [0] * 3
    assert density.tolist() == pytest.approx([-math.log(expected) - 0.5 * math.log(2 * math.pi) - 0.5] * 3, rel=1e-6)
    assert gradients.isfinite().all()


def test_a_prior_far_away() -> None:
    """The quotient of the two sigmas vanishes in float32; its logarithm is -176."""
    zero = torch.zeros(1)
    for parameterization, least, most in (
        ("std", 1.2e-38, 3e38),
        ("variance", 1.2e-38, 3e38),
        ("softplus", -87.0, 3e38),
    ):
        gap = log_sigma(parameterization, most) - log_sigma(parameterization, least)
        for name in BACKENDS:
            with on(name):
                kl = F.gaussian_kl(zero, zero + least, (zero, zero + most), parameterization=parameterization)
            assert kl.item() == pytest.approx(gap - 0.5, rel=1e-6), (parameterization, name)


class Head(nn.Module):
    """Moments with one dimension whose mean is 0 and whose log variance is -90, whatever the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 8)

    def forward(self, *tensors: Tensor) -> Tensor:
        moments = self.linear(torch.cat([tensor.flatten(1) for tensor in tensors], 1)[:, :6])
        return moments * torch.tensor([1.0, 1, 1, 0, 1, 1, 1, 0]) + torch.tensor([0.0] * 7 + [-90])


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 6)

    def forward(self, z: Tensor, *condition: Tensor) -> Tensor:
        return self.linear(z)


def test_one_collapsed_dimension_leaves_every_objective_finite() -> None:
    torch.manual_seed(0)
    x = torch.rand(5, 6)
    vae = fastvae.VAE(Head(), Decoder())
    assert vae.log_likelihood(x, num_samples=8).isfinite().all()
    loss = -F.importance_weighted_bound(vae.log_weights(x, num_samples=8)).mean()
    loss.backward()
    assert loss.isfinite()
    cvae = fastvae.CVAE(Head(), Decoder(), Head())
    output = cvae(x, x)
    output.loss.backward()
    assert output.loss.isfinite()
    for model in (vae, cvae):
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_float64_at_both_ends() -> None:
    """What no wider dtype can check: known answers."""
    for name in BACKENDS:
        with on(name):
            for raw in (-1400.0, 1400.0):
                scale = torch.tensor([raw], dtype=torch.float64)
                sigma = torch.exp(scale / 2)
                density = F.log_normal(sigma, torch.zeros_like(sigma), scale)
                assert density.item() == pytest.approx(-raw / 2 - 0.5 * math.log(2 * math.pi) - 0.5, rel=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("power", "logvar"), [(-1060, -1430.0), (-1000, -1300.0), (-1015, -1450.0), (1000, 1300.0)])
def test_float64_over_a_variance_that_it_does_not_hold(backend: str, power: int, logvar: float) -> None:
    """Found by changing the product: beyond e^1400 it was too small."""
    z = torch.tensor([[2.0**power]], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([[logvar]], dtype=torch.float64)
    with on(backend):
        (gradient,) = torch.autograd.grad(F.log_normal(z, torch.zeros_like(z), scale).sum(), z)
    exponent = power * math.log(2) - logvar
    expected = math.exp(exponent) if exponent < 709 else math.inf
    assert gradient.item() == pytest.approx(-expected, rel=1e-12)


def test_the_reference_differentiates_twice_at_every_scale() -> None:
    for parameterization, raw in [*SMALL.items(), *LARGE.items()]:
        scale = leaf(raw, torch.float64)
        zero = torch.zeros(3, dtype=torch.float64)
        density = reference.log_normal(zero, zero, scale, parameterization=parameterization)
        (first,) = torch.autograd.grad(density.sum(), scale, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), scale, allow_unused=True) if first.requires_grad else (None,)
        assert first.isfinite().all()
        assert second is None or second.isfinite().all(), parameterization
