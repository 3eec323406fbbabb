"""Samples and KL of the Triton kernels against the reference, forward and backward."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import fastvae.functional as F
from fastvae import reference
from tests.support.interpreter import LAYOUTS, check, interpreted, laid_out, normal, outputs_and_gradients, uniform

FORMS = [
    {"parameterization": parameterization, **floor}
    for parameterization, floor in itertools.product(
        ("logvar", "log_std", "std", "softplus", "variance"), ({}, {"min_std": 0.1}, {"min_var": 0.02})
    )
    if not (parameterization == "std" and "min_std" in floor)
]
REDUCTIONS = ("none", "sample", "sum", "mean", "batchmean")


def name(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


def raw_scale(parameterization: str, *shape: int, **options: Any) -> Tensor:
    """Raw scales a form takes: of both signs but for "variance", and away from a std of 0."""
    if parameterization == "variance":
        return (uniform(*shape, **options).detach() + 0.3).requires_grad_()
    if parameterization == "std":
        signed = normal(*shape, **options).detach()
        return (signed.sign() * (signed.abs() + 0.3)).requires_grad_()
    return normal(*shape, **options)


def prior_of(kind: str, parameterization: str) -> tuple[Tensor, ...]:
    shapes = {"standard": None, "full": (3, 4, 6), "broadcast": (4, 1)}[kind]
    if shapes is None:
        return ()
    return normal(*shapes, seed=3), raw_scale(parameterization, *shapes, seed=4)


@pytest.mark.parametrize("clamp", [None, (-0.5, 0.7)])
@pytest.mark.parametrize("prior", ["standard", "full", "broadcast"])
@pytest.mark.parametrize("form", FORMS, ids=name)
def test_every_form_and_prior(form: dict[str, Any], prior: str, clamp: tuple[float, float] | None) -> None:
    if clamp is not None and form["parameterization"] in ("std", "variance"):
        clamp = (0.4, 0.9)

    def f(mu: Tensor, scale: Tensor, *prior: Tensor) -> tuple[Tensor, Tensor]:
        return F.reparameterize_kl(mu, scale, prior or None, clamp=clamp, seed=1, reduction="sample", **form)

    scale = raw_scale(form["parameterization"], 3, 4, 6, seed=2)
    check(f, normal(3, 4, 6), scale, *prior_of(prior, form["parameterization"]))


@pytest.mark.parametrize("form", FORMS[::3], ids=name)
@pytest.mark.parametrize("shape", [(), (1,), (4, 1), (6,), (3, 1, 6)])
def test_the_gradient_of_a_broadcast_prior_is_the_sum_of_the_full_one(
    form: dict[str, Any], shape: tuple[int, ...]
) -> None:
    mu, scale = normal(3, 4, 6, grad=False), raw_scale(form["parameterization"], 3, 4, 6).detach()
    prior = normal(*shape, seed=3), raw_scale(form["parameterization"], *shape, seed=4)
    full = [part.detach().expand(mu.shape).clone().requires_grad_() for part in prior]
    with interpreted():
        summed = torch.autograd.grad(F.gaussian_kl(mu, scale, prior, **form), prior)
        terms = torch.autograd.grad(F.gaussian_kl(mu, scale, tuple(full), **form), full)
    for value, term in zip(summed, terms, strict=True):
        rounding = torch.finfo(torch.float32).eps * value.abs()
        assert ((value - term.double().sum_to_size(shape)).abs() <= rounding).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("batch_dims", [1, 2])
def test_every_dtype_and_reduction(dtype: torch.dtype, reduction: str, batch_dims: int) -> None:
    def f(mu: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return F.reparameterize_kl(mu, scale, seed=1, reduction=reduction, batch_dims=batch_dims)

    check(f, normal(3, 4, 5, dtype=dtype), normal(3, 4, 5, dtype=dtype, seed=1))


@pytest.mark.parametrize("shape", [(1, 5), (1, 1, 5), (3, 1), (1,)])
def test_a_prior_that_only_lacks_dimensions_of_one(shape: tuple[int, ...]) -> None:
    prior_shape = tuple(size for size in shape if size > 1) or ()
    prior = normal(*prior_shape, seed=2), normal(*prior_shape, seed=3)
    if shape == (3, 1):
        prior = normal(1, seed=2), normal(1, 1, seed=3)
    check(lambda *t: F.gaussian_kl(*t[:2], t[2:]), normal(*shape), normal(*shape, seed=1), *prior)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("prior_dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_prior_of_another_dtype(dtype: torch.dtype, prior_dtype: torch.dtype) -> None:
    prior = normal(5, dtype=prior_dtype, seed=2), normal(4, 1, dtype=prior_dtype, seed=3)
    check(lambda *t: F.gaussian_kl(*t[:2], t[2:]), normal(3, 4, 5, dtype=dtype), normal(3, 4, 5, dtype=dtype), *prior)


@pytest.mark.parametrize("source", ["seed", "eps"])
@pytest.mark.parametrize("num_samples", [None, 1, 4])
@pytest.mark.parametrize("length", [8, 7])
def test_samples_of_each_posterior(source: str, num_samples: int | None, length: int) -> None:
    shape = (3, length) if num_samples is None else (num_samples, 3, length)
    noise = {"seed": 5} if source == "seed" else {"eps": normal(*shape, seed=9, grad=False)}

    def f(mu: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return F.reparameterize_kl(mu, scale, num_samples=num_samples, **noise)

    check(f, normal(3, length), normal(3, length, seed=1))


@pytest.mark.parametrize("half", ["reparameterize", "gaussian_kl"])
@pytest.mark.parametrize("form", FORMS[::4], ids=name)
def test_each_half_alone(half: str, form: dict[str, Any]) -> None:
    options = {"seed": 5} if half == "reparameterize" else {}
    scale = raw_scale(form["parameterization"], 3, 5)
    check(lambda *t: getattr(F, half)(*t, **options, **form), normal(3, 5), scale)


@pytest.mark.parametrize(
    "shape", [(1,), (5,), (1, 1), (70, 100), (2, 9001), (2, 8192), (3, 4099), (4097, 1), (20, 500)]
)
@pytest.mark.parametrize("reduction", ["sample", "batchmean"])
def test_shapes_below_at_and_above_a_block(shape: tuple[int, ...], reduction: str) -> None:
    check(lambda *t: F.gaussian_kl(*t, reduction=reduction), normal(*shape), normal(*shape, seed=1))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("reduction", ["none", "sample", "sum"])
def test_every_layout_of_inputs_and_upstream(layout: str, reduction: str) -> None:
    mu, scale, eps = (laid_out(normal(2, 4, 3, 8, seed=seed), layout) for seed in (0, 1, 2))
    prior = laid_out(normal(2, 4, 3, 8, seed=3), layout).requires_grad_(), torch.zeros((), requires_grad=True)
    upstream = laid_out(normal(2, 4, 3, 8, seed=4), layout)

    def f(mu: Tensor, scale: Tensor, *prior: Tensor) -> Tensor:
        z, kl = F.reparameterize_kl(mu, scale, prior, eps=eps.to(mu.dtype), reduction=reduction)
        return (z * upstream).sum() + (kl * kl).sum()

    check(f, mu.requires_grad_(), scale.requires_grad_(), *prior)


@pytest.mark.parametrize("upstream", ["ones of stride 0", "sliced", "one"])
def test_upstream_gradients_of_any_stride(upstream: str) -> None:
    gradient = {
        "ones of stride 0": torch.ones(()).expand(6),
        "sliced": normal(12, grad=False)[::2],
        "one": torch.ones(6),
    }[upstream]

    def f(mu: Tensor, scale: Tensor) -> Tensor:
        return (F.gaussian_kl(mu, scale, reduction="sample") * gradient).sum()

    check(f, normal(6, 5), normal(6, 5, seed=1), scale=1.0)


@pytest.mark.parametrize("dim", [1, 2, -1])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prior", [False, True])
@pytest.mark.parametrize("shape", [(3, 6, 10), (3, 4, 16)])
def test_packed_moments_equal_their_halves(
    dim: int, interleaved: bool, dtype: torch.dtype, prior: bool, shape: tuple[int, ...]
) -> None:
    moments = normal(*shape, dtype=dtype)
    mu, scale = moments.unflatten(dim, (-1, 2)).unbind(dim % 3 + 1) if interleaved else moments.chunk(2, dim)
    priors = (normal(1, dtype=dtype, seed=1), normal(1, dtype=dtype, seed=2)) if prior else ()
    options = {"seed": 3, "reduction": "sample", "clamp": (-1.0, 1.0)}
    with interpreted():
        apart = outputs_and_gradients(
            lambda mu, scale, *p: F.reparameterize_kl(mu, scale, p or None, **options),
            [mu.detach().requires_grad_(), scale.detach().requires_grad_(), *priors],
        )
        packed = outputs_and_gradients(
            lambda m, *p: F.reparameterize_kl_packed(m, p or None, dim=dim, interleaved=interleaved, **options),
            [moments, *priors],
        )
    z, kl, to_mu, to_scale, *to_prior = apart
    to_moments = torch.stack([to_mu, to_scale], dim % 3 + 1).flatten(dim % 3, dim % 3 + 1) if interleaved else None
    expected = [z, kl, torch.cat([to_mu, to_scale], dim) if to_moments is None else to_moments, *to_prior]
    for value, other in zip(packed, expected, strict=True):
        assert torch.equal(value, other)
    assert packed[2].stride() == moments.stride()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("parameterization", ["logvar", "log_std"])
@pytest.mark.parametrize("size", [1e-4, 1e-2, 0.3, 0.8])
def test_kl_near_the_prior_does_not_cancel(reduction: str, parameterization: str, size: float) -> None:
    mu, raw = normal(4, 7, seed=1, grad=False) * size, normal(4, 7, grad=False) * (2 * size)
    with interpreted():
        kl = F.gaussian_kl(mu, raw, parameterization=parameterization, reduction=reduction).double()
    exact = exact_kl(mu.double(), raw.double(), parameterization, reduction)
    assert ((kl - exact).abs() / exact).max() <= 1e-6


def exact_kl(mu: Tensor, raw: Tensor, parameterization: str, reduction: str) -> Tensor:
    return reference.gaussian_kl(mu, raw, parameterization=parameterization, reduction=reduction)


@pytest.mark.parametrize("form", FORMS, ids=name)
def test_kl_near_a_given_prior(form: dict[str, Any]) -> None:
    """The distance of two close float32 numbers is exact; what is left is the rounding of sigma."""
    scale = raw_scale(form["parameterization"], 4, 6).detach()
    prior = (torch.zeros(()), scale * (1 + 2e-3))
    check(lambda mu, s: F.gaussian_kl(mu, s, tuple(p.to(mu.dtype) for p in prior), reduction="none", **form),
          torch.zeros(4, 6), scale)  # fmt: skip


@pytest.mark.parametrize("scale", [-200.0, -90.0, -30.0, 30.0, 80.0, 89.0, 200.0, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("mu", [0.0, 1e30, math.inf, math.nan])
def test_special_points_are_those_of_the_reference(mu: float, scale: float) -> None:
    values = [torch.full((1,), mu, requires_grad=True), torch.full((1,), scale, requires_grad=True)]
    with interpreted():
        fused = outputs_and_gradients(lambda *t: F.gaussian_kl(*t, reduction="sum"), values)
    expected = outputs_and_gradients(lambda *t: reference.gaussian_kl(*t, reduction="sum"), values)
    for value, other in zip(fused, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-6, atol=2e-38, equal_nan=True)


def test_clamp_passes_nan_on_and_stops_gradients_outside_only() -> None:
    raw = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, math.nan], requires_grad=True)
    with interpreted():
        z, kl = F.reparameterize_kl(torch.ones(6), raw, clamp=(-1.0, 1.0), eps=torch.ones(6), reduction="none")
        (gradient,) = torch.autograd.grad(z.sum() + kl.sum(), raw)
    assert z.isnan().tolist() == kl.isnan().tolist() == gradient.isnan().tolist() == [False] * 5 + [True]
    assert (gradient[:5] != 0).tolist() == [False, True, True, True, False]
    assert torch.equal(z[:2], z[[1, 1]])


@pytest.mark.parametrize("wanted", list(itertools.product([False, True], repeat=4))[1:])
def test_every_subset_of_gradients(wanted: tuple[bool, ...]) -> None:
    tensors = [normal(3, 4), normal(3, 4, seed=1), normal(4, seed=2), normal(4, seed=3)]
    tensors = [tensor.detach().requires_grad_(want) for tensor, want in zip(tensors, wanted, strict=True)]
    tensors.append(torch.ones((), requires_grad=True))

    def f(mu: Tensor, scale: Tensor, *rest: Tensor) -> Tensor:
        z, kl = F.reparameterize_kl(mu, scale, rest[:2], seed=1)
        return (z.sum() + kl) * rest[2]

    check(f, *tensors)


@pytest.mark.parametrize("used", ["z", "kl"])
def test_an_unused_output_needs_no_gradient(used: str) -> None:
    def f(mu: Tensor, scale: Tensor) -> Tensor:
        z, kl = F.reparameterize_kl(mu, scale, seed=1)
        return z if used == "z" else kl

    check(f, normal(3, 4), normal(3, 4, seed=1))


def test_a_prior_has_no_gradient_from_z() -> None:
    prior = normal(4, seed=2), normal(4, seed=3)
    with interpreted():
        z, _ = F.reparameterize_kl(normal(3, 4), normal(3, 4, seed=1), prior, seed=1)
        gradients = torch.autograd.grad(z.sum(), prior)
    assert all(torch.equal(gradient, torch.zeros(4)) for gradient in gradients)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing(shape: tuple[int, ...], reduction: str) -> None:
    def run(f: Callable[..., Any]) -> list[Tensor]:
        tensors = [torch.empty(shape, requires_grad=True), torch.empty(shape, requires_grad=True)]
        prior = [torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)]
        return outputs_and_gradients(lambda mu, s, *p: f(mu, s, p, seed=1, reduction=reduction), [*tensors, *prior])

    with interpreted():
        fused = run(F.reparameterize_kl)
    for value, other in zip(fused, run(reference.reparameterize_kl), strict=True):
        torch.testing.assert_close(value, other, equal_nan=True)


def test_a_repeated_backward_gives_the_same_bits() -> None:
    mu, scale = normal(70, 100), normal(70, 100, seed=1)
    with interpreted():
        z, kl = F.reparameterize_kl(mu, scale, seed=1)
        first = torch.autograd.grad(z.sum() + kl, (mu, scale), retain_graph=True)
        second = torch.autograd.grad(z.sum() + kl, (mu, scale))
    assert all(map(torch.equal, first, second))


def test_sums_of_many_terms_keep_float32_accuracy() -> None:
    mu = normal(2**17, grad=False)
    with interpreted():
        total = F.gaussian_kl(mu, mu, reduction="sum").double()
    exact = 0.5 * (mu.double().square() + mu.double().exp() - 1 - mu.double()).sum()
    assert abs(total - exact) / exact <= 1e-7
