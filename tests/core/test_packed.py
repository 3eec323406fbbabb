"""Packed moments: the same as their halves, and three ways."""

import itertools

import pytest
import torch

import fastvae.functional as F
from fastvae import reference
from fastvae._options import REDUCTIONS
from tests.core.test_reparameterize_kl import SEED
from tests.support.backends import on_each
from tests.support.oracle import Reduced, evaluate, three_way
from tests.support.posteriors import (
    FLOATS,
    posterior,
    prior_of,
)

PACKINGS = [((19, 58), 1), ((19, 58), -1), ((7, 6, 5, 3), 1), ((7, 5, 8), 2), ((4, 6, 3, 2, 5), 1), ((5, 32), 1)]


def packed_moments(shape, dim, parameterization, dtype, interleaved):
    half = list(shape)
    half[dim] //= 2
    tensors = posterior(parameterization, tuple(half), dtype)
    if interleaved:
        axis = dim % len(shape)
        return torch.stack((tensors["mu"], tensors["scale"]), axis + 1).flatten(axis, axis + 1), tuple(half)
    return torch.cat((tensors["mu"], tensors["scale"]), dim), tuple(half)


def unpacked(moments, dim, interleaved):
    if interleaved:
        size = moments.shape[dim]
        return (moments.index_select(dim, torch.arange(first, size, 2)) for first in (0, 1))
    return moments.chunk(2, dim)


@pytest.mark.parametrize(("shape", "dim"), PACKINGS)
@pytest.mark.parametrize("interleaved", [False, True])
def test_the_reference_takes_packed_apart(shape, dim, interleaved):
    moments, half = packed_moments(shape, dim, "logvar", torch.float64, interleaved)
    mu, logvar = unpacked(moments, dim, interleaved)
    eps = torch.randn(half, dtype=torch.float64)
    z, kl = reference.reparameterize_kl_packed(moments, dim=dim, interleaved=interleaved, eps=eps, reduction="none")
    torch.testing.assert_close(z, mu + torch.exp(0.5 * logvar) * eps)
    torch.testing.assert_close(kl, 0.5 * (mu.square() + logvar.exp() - 1 - logvar))


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(PACKINGS, [False, True], REDUCTIONS), itertools.product(PACKINGS, [False, True], ["sample"])
    ),
    indirect=["backend"],
)
def test_packed_equals_unpacked(backend, case):
    (shape, dim), interleaved, reduction = case
    moments, half = packed_moments(shape, dim, "softplus", torch.float32, interleaved)
    prior = posterior("softplus", half, prior="same", seed=5)
    operands = {"moments": moments, "prior_mu": prior["prior_mu"], "prior_scale": prior["prior_scale"]}
    options = {"parameterization": "softplus", "reduction": reduction, "seed": SEED, "num_samples": 2}

    def packed(t):
        return F.reparameterize_kl_packed(t["moments"], prior_of(t), dim=dim, interleaved=interleaved, **options)

    def apart(t):
        return F.reparameterize_kl(*unpacked(t["moments"], dim, interleaved), prior_of(t), **options)

    first = evaluate(packed, operands, tuple(operands))
    second = evaluate(apart, operands, tuple(operands))
    tolerance = {} if reduction in ("none", "sample") else {"rtol": 3e-7, "atol": 0.0}
    for name, value in second.items():
        torch.testing.assert_close(first[name], value, **(tolerance or {"rtol": 3e-7, "atol": 3e-7}))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.usefixtures("kernels")
def test_packed_three_ways(dtype, interleaved):
    moments, half = packed_moments((40, 100), 1, "logvar", dtype, interleaved)

    def call(tensors, reduction):
        return F.reparameterize_kl_packed(
            tensors["moments"], interleaved=interleaved, seed=SEED, reduction=reduction, clamp=(-1.0, 1.0)
        )

    three_way(call, [{"moments": moments}], ("moments",), Reduced(torch.Size(half), "batchmean"))
