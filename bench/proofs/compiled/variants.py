"""The launches that are compiled: every kernel in every variant that changes its code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple
from unittest import mock

import torch
from torch import Tensor

import fastvae.functional as F
from fastvae._autograd.reconstruction import reconstruction_with_samples
from fastvae._options import ReconstructionOptions
from fastvae._triton import _layout, _operands


class Variant(NamedTuple):
    """An op's forward and backward.

    Attributes:
        aligned: whether every row is aligned to four elements, so that no load need be narrower.
        element_bits: of the smallest element that is loaded.
        lanes: how many of its elements a load is to take at least, of 128 bits at most.
    """

    name: str
    run: Callable[[], None]
    aligned: bool
    element_bits: int
    lanes: int = 4


_BATCH: Final = 128
_FILLING: Final = 2**17 // 784 + 1
"""A batch of images that fills a device, for which kernels use larger blocks."""
_FILLING_LATENTS: Final = 6560
"""And one of latents of 20."""


def all_variants() -> Iterator[Variant]:
    """Every one; names are unique."""
    yield from _latents()
    yield from _reconstructions()
    yield from _mixtures()
    yield from _others()
    yield from _logistic_mixtures()


def _leaf(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype, requires_grad=True)


def _backward(*losses: Tensor) -> None:
    torch.autograd.backward([loss.sum() for loss in losses])


def _bits(*dtypes: torch.dtype) -> int:
    return min(8 * dtype.itemsize for dtype in dtypes)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _latents() -> Iterator[Variant]:
    def separate(length: int, batch: int = _BATCH, dtype: torch.dtype = torch.float32, **options: Any) -> None:
        _backward(*F.reparameterize_kl(_leaf(batch, length, dtype=dtype), _leaf(batch, length, dtype=dtype), **options))

    def packed(length: int, batch: int = _BATCH, dtype: torch.dtype = torch.float32, **options: Any) -> None:
        _backward(*F.reparameterize_kl_packed(_leaf(batch, 2 * length, dtype=dtype), **options))

    def variant(
        name: str, run: Callable[[], None], aligned: bool = True, dtype: torch.dtype = torch.float32, lanes: int = 4
    ) -> Variant:
        return Variant(f"reparameterize_kl {name}", run, aligned, _bits(dtype), lanes)

    def further_on(length: int, begin: int) -> None:
        """z and KL of rows that begin so many elements behind an aligned address."""
        mu, scale = torch.zeros(2, begin + _FILLING_LATENTS * length, dtype=torch.bfloat16)[:, begin:]
        _backward(*F.reparameterize_kl(*(each.view(-1, length).requires_grad_() for each in (mu, scale))))

    for length in (20, 10, 2):
        yield variant(f"separate {length}", partial(separate, length))
        yield variant(f"packed {length}", partial(packed, length), length % 4 == 0)
        yield variant(f"packed {length} sample", partial(packed, length, reduction="sample"), length % 4 == 0)
    yield variant("packed 21 sample", partial(packed, 21, reduction="sample"), False)
    yield variant("packed 20 none", partial(packed, 20, reduction="none"))
    yield variant("interleaved 20", partial(packed, 20, interleaved=True))
    yield variant(
        "interleaved 20 bfloat16", partial(packed, 20, interleaved=True, dtype=torch.bfloat16), dtype=torch.bfloat16
    )
    yield variant("interleaved 21", partial(packed, 21, interleaved=True), False)
    yield variant("packed 128 large", partial(packed, 128, 2048))
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        yield variant(f"packed 20 {_name(dtype)}", partial(packed, 20, dtype=dtype), dtype=dtype)
    half: Any = {"dtype": torch.bfloat16}
    yield variant("packed 128 bfloat16 large", partial(packed, 128, 2048, **half), **half, lanes=8)
    yield variant("packed 20 bfloat16 large", partial(packed, 20, _FILLING_LATENTS, **half), **half)
    for begin, lanes in ((4, 4), (8, 8)):
        name = f"separate 20 bfloat16 large, {begin} elements on"
        yield variant(name, partial(further_on, 20, begin), **half, lanes=lanes)
    yield variant(
        "interleaved 24 bfloat16 large", partial(packed, 24, _FILLING_LATENTS, interleaved=True, **half), **half
    )
    samples = partial(packed, 24, _FILLING_LATENTS, num_samples=2, shard=(5, 2**20), **half)
    yield variant("packed 24 bfloat16 large, samples of a shard", samples, **half, lanes=8)
    for form in ("log_std", "std", "softplus", "variance"):
        yield variant(f"packed 20 {form}", partial(packed, 20, parameterization=form))
    yield variant("packed 20 clamp", partial(packed, 20, clamp=(-30.0, 20.0)))
    yield variant("packed 20 min_var", partial(packed, 20, min_var=1e-4))
    yield variant("packed 20 min_std softplus", partial(packed, 20, parameterization="softplus", min_std=1e-4))
    yield variant("packed 20 learned prior", partial(packed, 20, prior=(_leaf(_BATCH, 20), _leaf(_BATCH, 20))))
    yield variant("packed 20 shared prior", partial(packed, 20, prior=(_leaf(20), _leaf(20))))
    yield variant("packed 20 five samples", partial(packed, 20, num_samples=5))
    yield variant("packed 20 shard", partial(packed, 20, shard=(_BATCH, 8 * _BATCH)))
    yield variant("packed 20 five samples of a shard", partial(packed, 20, num_samples=5, shard=(_BATCH, 8 * _BATCH)))
    yield variant("packed 10 shard at an odd row", partial(packed, 10, shard=(5, 2**40)), False)
    yield variant("packed 20 eps", partial(packed, 20, eps=torch.zeros(_BATCH, 20)))
    yield variant("packed 20 seed in memory", lambda: _with_seeds_on_the_device(partial(packed, 20)))
    yield variant("packed 20 wide indices", lambda: _with_wide_indices(partial(packed, 20, 64, reduction="sample")))
    yield Variant(
        "reparameterize 20", lambda: _backward(F.reparameterize(_leaf(_BATCH, 20), _leaf(_BATCH, 20))), True, 32
    )
    yield Variant("gaussian_kl 20", lambda: _backward(F.gaussian_kl(_leaf(_BATCH, 20), _leaf(_BATCH, 20))), True, 32)


def _reconstructions() -> Iterator[Variant]:
    def variant(
        loss: Callable[..., Tensor],
        name: str,
        *shape: int,
        dtype: torch.dtype = torch.float32,
        target: torch.dtype | None = None,
        aligned: bool = True,
        learned_target: bool = False,
        lanes: int = 4,
        **options: Any,
    ) -> Variant:
        shape = shape or (_BATCH, 784)

        def run() -> None:
            # What a decoder returns is no leaf, which could not be written over.
            input = _leaf(*shape, dtype=dtype).clone()
            _backward(loss(input, torch.zeros(shape, dtype=target or dtype).requires_grad_(learned_target), **options))

        return Variant(f"{loss.__name__} {name}", run, aligned, _bits(dtype, target or dtype), lanes)

    def gaussian_nll(scale_shape: tuple[int, ...], reduction: str) -> None:
        shape = (_BATCH, 4, 16, 16)
        _backward(F.gaussian_nll(_leaf(*shape), torch.zeros(shape), _leaf(*scale_shape), reduction=reduction))

    def with_samples(columns: int) -> None:
        options = ReconstructionOptions("mse_loss", False, "mean", 1)
        _backward(
            reconstruction_with_samples(_leaf(_BATCH, columns), torch.zeros(_BATCH, columns), None, None, options)[0]
        )

    bce = F.binary_cross_entropy_with_logits
    for loss in (bce, F.binary_cross_entropy, F.mse_loss, F.l1_loss):
        yield variant(loss, "float32")
        yield variant(loss, "learned target", learned_target=True)
    for poisson in (F.poisson_nll, F.poisson_nll_of_rate):
        for target in (torch.float32, torch.uint8):
            yield variant(poisson, f"float32 {_name(target)}", target=target)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        yield variant(bce, _name(dtype), dtype=dtype)
    for dtype in (torch.float32, torch.bfloat16):
        yield variant(bce, f"{_name(dtype)} uint8", dtype=dtype, target=torch.uint8)
        lanes = 16 // dtype.itemsize
        yield variant(bce, f"{_name(dtype)} uint8 large", _FILLING, 784, dtype=dtype, target=torch.uint8, lanes=lanes)
    yield variant(bce, "bool", target=torch.bool)
    yield variant(bce, "float32 large", _FILLING, 784)
    yield variant(bce, "weight", weight=torch.ones(_BATCH, 1))
    yield variant(bce, "none", reduction="none")
    yield variant(bce, "sample, few long rows", 2, 3, 256, 256, reduction="sample")
    yield variant(bce, "sample, many short rows", 4096, 8, reduction="sample")
    yield variant(bce, "sample, odd rows", _BATCH, 785, aligned=False, reduction="sample")
    yield variant(bce, "in place", inplace=True)
    for name, columns in (("whole", 60), ("parts of", 3 * 32 * 32)):
        yield Variant(f"mse_loss mean and {name} rows", partial(with_samples, columns), True, 32)
    for name, shape in (("scalar", ()), ("channel", (4, 1, 1)), ("elementwise", (_BATCH, 4, 16, 16))):
        for reduction in ("mean", "sample"):
            run = partial(gaussian_nll, shape, reduction)
            yield Variant(f"gaussian_nll {name} log_scale, {reduction}", run, True, 32)


def _mixtures() -> Iterator[Variant]:
    def minibatch(batch: int, dims: int, dtype: torch.dtype = torch.float32, **options: Any) -> None:
        operands = [_leaf(batch, dims, dtype=dtype) for _ in range(3)]
        _backward(*F.minibatch_log_densities(*operands, dataset_size=60_000, **options))

    def mixture(components: int, dims: int, weighted: bool = True) -> None:
        weights = _leaf(components) if weighted else None
        _backward(F.log_normal_mixture(_leaf(_BATCH, dims), _leaf(components, dims), _leaf(components, dims), weights))

    # Tiles are read with masks, an element at a time where that is all that the strides allow.
    for dims in (1, 2, 10, 128):
        yield Variant(f"minibatch_log_densities {dims}", partial(minibatch, _BATCH, dims), False, 32)
    yield Variant("minibatch_log_densities stratified", partial(minibatch, _BATCH, 10, weighting="mss"), False, 32)
    for form in ("std", "softplus", "variance"):
        run = partial(minibatch, _BATCH, 10, parameterization=form)
        yield Variant(f"minibatch_log_densities {form}", run, False, 32)
    for dtype in (torch.bfloat16, torch.float64):
        yield Variant(
            f"minibatch_log_densities {_name(dtype)}", partial(minibatch, _BATCH, 10, dtype), False, _bits(dtype)
        )
    yield Variant("log_normal_mixture", partial(mixture, 500, 40), False, 32)
    yield Variant("log_normal_mixture equal", partial(mixture, 500, 40, False), False, 32)


def _others() -> Iterator[Variant]:
    yield Variant(
        "log_normal", lambda: _backward(F.log_normal(_leaf(50, 128, 20), _leaf(128, 20), _leaf(128, 20))), True, 32
    )
    yield Variant("log_normal standard", lambda: _backward(F.log_normal(_leaf(128, 20))), True, 32)
    yield from _counts()
    bound = F.importance_weighted_bound
    yield Variant("importance_weighted_bound", lambda: _backward(bound(_leaf(50, 128))), True, 32)
    yield Variant("importance_weighted_bound last", lambda: _backward(bound(_leaf(128, 5000), dim=1)), True, 32)


def _counts() -> Iterator[Variant]:
    def nll(
        inflated: bool, dispersion: tuple[int, ...], dtype: torch.dtype, target: torch.dtype, **options: Any
    ) -> None:
        logits = _leaf(_BATCH, 2000, dtype=dtype) if inflated else None
        counts = torch.zeros(_BATCH, 2000, dtype=target)
        mean = _leaf(_BATCH, 2000, dtype=dtype)
        _backward(
            F.negative_binomial_nll(
                mean, counts, _leaf(*dispersion, dtype=dtype), zero_inflation_logits=logits, **options
            )
        )

    for inflated in (False, True):
        for shape in ((2000,), (_BATCH, 2000)):
            for dtype, target in ((torch.float32, torch.float32), (torch.bfloat16, torch.uint16)):
                for reduction in ("batchmean", "sample"):
                    run = partial(nll, inflated, shape, dtype, target, reduction=reduction)
                    name = f"{'zero-inflated ' * inflated}{_name(dtype)} {len(shape)} {reduction}"
                    yield Variant(f"negative_binomial_nll {name}", run, True, _bits(dtype, target))
    for inflated in (False, True):
        run = partial(nll, inflated, (2000,), torch.float64, torch.float64)
        yield Variant(f"negative_binomial_nll {'zero-inflated ' * inflated}float64", run, True, 64)
    run = partial(nll, True, (2000,), torch.float32, torch.int32, log_input=True)
    yield Variant("negative_binomial_nll zero-inflated log int32", run, True, 32)


def _logistic_mixtures() -> Iterator[Variant]:
    def run(
        channels: int, dtype: torch.dtype, target: torch.dtype, layout: torch.memory_format, reduction: str
    ) -> None:
        params = _leaf(16, 100 if channels == 3 else 30, 32, 32, dtype=dtype).contiguous(memory_format=layout)
        pixels = torch.zeros(16, channels, 32, 32, dtype=target)
        _backward(F.discretized_logistic_mixture_nll(params, pixels, reduction=reduction))

    planes, last = torch.contiguous_format, torch.channels_last
    for channels, dtype, target, layout, reduction in (
        (3, torch.float32, torch.float32, planes, "batchmean"),
        (3, torch.float32, torch.uint8, planes, "sample"),
        (3, torch.bfloat16, torch.uint8, planes, "batchmean"),
        (3, torch.float32, torch.uint8, last, "batchmean"),
        (3, torch.float32, torch.float32, planes, "none"),
        (3, torch.float64, torch.float64, planes, "batchmean"),
        (1, torch.float64, torch.float64, planes, "batchmean"),
        (1, torch.float32, torch.uint8, planes, "batchmean"),
    ):
        name = f"{channels} channels {_name(dtype)} {_name(target)} {reduction}{' channels last' * (layout is last)}"
        yield Variant(
            f"discretized_logistic_mixture_nll {name}",
            partial(run, channels, dtype, target, layout, reduction),
            False,  # a lane has one pixel
            _bits(dtype, target),
        )


def _with_seeds_on_the_device(run: Callable[[], None]) -> None:
    """As in the capture of a graph."""
    with mock.patch.object(_operands, "on_host", return_value=False):
        run()


def _with_wide_indices(run: Callable[[], None]) -> None:
    """As for a tensor of 2^31 elements."""
    with mock.patch.object(_layout, "_INT32_ELEMENTS", 0):
        _layout.plan.cache_clear()
        run()
    _layout.plan.cache_clear()
