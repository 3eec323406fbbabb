"""Where an op's noise comes from: torch's generator, a seed, or the caller."""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _backend, _checks, _ops
from fastvae._capture import is_capturing
from fastvae._extension import _C
from fastvae._layout import sample_shape
from fastvae._options import shard_of

_OFFSETS: Final = 4
"""What a draw takes of a CUDA generator's counter, which stays a multiple of it."""

_drawing: Final = threading.Lock()


class Noise(NamedTuple):
    """Exactly one of `eps` (the caller's) and `seed` (one int64, expanded by the kernel), which is on the device, or on
    the host, where a kernel can be given it by value; and the `shard` whose noise it is, None for a whole batch."""

    eps: Tensor | None
    seed: Tensor | None
    shard: tuple[int, int] | None


def noise(
    mu: Tensor,
    shape: torch.Size,
    *,
    eps: Tensor | None,
    seed: int | Tensor | None,
    generator: torch.Generator | None,
    num_samples: int | None,
    shard: tuple[int, int] | None,
) -> Noise:
    """Validate the noise options for a posterior of `shape` on the device and dtype of `mu`.

    Raises:
        ValueError, TypeError: more than one source, or a source of the wrong kind, shape or device; a shard that is
            none of the batch, or with `eps`.
    """
    _checks.num_samples(num_samples, shape)
    if eps is None and _backend.leaves():
        _refuse_elsewhere(seed=seed, generator=generator, shard=shard)
        return Noise(_of_the_runtime(mu, shape, num_samples), None, None)
    if shard is not None:
        if eps is not None:
            raise ValueError("shard: got a value with eps, the noise of these rows; takes None")
        shard = _part(shard, sample_shape(shape, num_samples), shape[0])
    if eps is None and seed is None and generator is None:
        return Noise(None, _drawn(mu, None), shard)
    given = [name for name, value in (("eps", eps), ("seed", seed), ("generator", generator)) if value is not None]
    if len(given) > 1:
        raise ValueError(
            f"{', '.join(given)}: got {len(given)} sources of noise; takes at most one of eps, seed, generator"
        )
    if eps is not None:
        _checks.tensor("eps", eps)
        _checks.constant("eps", eps)
        _checks.same_device("eps", eps, "mu", mu)
        expected = sample_shape(shape, num_samples)
        if eps.shape != expected:
            raise ValueError(f"eps: got shape {list(eps.shape)}; takes the shape of the sample, {list(expected)}")
        return Noise(eps, None, None)
    if seed is not None:
        return Noise(None, _seed_tensor(seed, mu), shard)
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: got {type(generator).__name__}; takes None or a torch.Generator")
    if generator.device.type != mu.device.type and not mu.is_meta:
        raise ValueError(
            f"generator: got device {generator.device}; takes a generator on the device of mu, {mu.device}"
        )
    return Noise(None, _drawn(mu, generator), shard)


def _refuse_elsewhere(**given: object) -> None:
    """The noise contract holds where our kernels run; an exported program draws by its own runtime's generator."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name}: got a value in a program that is exported or traced, which draws noise of its runtime's own; "
                "takes None, or eps, the noise as an input"
            )


def _of_the_runtime(mu: Tensor, shape: torch.Size, num_samples: int | None) -> Tensor:
    """Noise by torch's own op, which every runtime has, of the sizes that the program is called with."""
    of_one = mu if mu.shape == shape else mu.new_empty(1).expand(shape)
    like = of_one if num_samples is None else of_one.expand(num_samples, *shape)
    dtype = torch.float64 if mu.dtype == torch.float64 else torch.float32
    return torch.randn_like(like, dtype=dtype)


def _part(shard: object, sample: torch.Size, batch: int) -> tuple[int, int] | None:
    """The rows that a shard is; None where they are all."""
    start, total = shard_of(shard, batch)
    if batch and sample.numel() // batch * total >= 2**63:
        raise ValueError(f"shard: got ({start}, {total}) of a sample {list(sample)}; takes less than 2**63 elements")
    return None if (start, total) == (0, batch) else (start, total)


def _drawn(mu: Tensor, generator: torch.Generator | None) -> Tensor:
    """A seed from torch's generator: its default one where None is given."""
    if _takes_a_value(mu) and not is_capturing(mu.get_device()):
        return _drawn_on_host(torch.cuda.default_generators[mu.get_device()] if generator is None else generator)
    # Under functorch torch's own op draws, which follows vmap's `randomness`.
    transformed = torch._C._are_functorch_transforms_active()
    if generator is not None or transformed or not (mu.is_cpu or mu.is_cuda):
        return _ops.draw_seed(mu, generator)
    return _ops.seed(mu)


def _drawn_on_host(generator: torch.Generator) -> Tensor:
    """What `_ops.draw_seed` would draw from a CUDA generator, without a launch: kernels of PyTorch's own take seed and
    offset from the host, too."""
    with _drawing:
        offset = generator.get_offset()
        generator.set_offset(offset + _OFFSETS)
    # Of no dimension, which is the fastest to make.
    return torch.scalar_tensor(_C.cuda_randint(generator.initial_seed(), offset), dtype=torch.int64)


def _takes_a_value(mu: Tensor) -> bool:
    """May a kernel for `mu` be given the value of its seed: on CUDA, and where it is called at once?"""
    return mu.is_cuda and _is_called_at_once(mu)


def _is_called_at_once(mu: Tensor) -> bool:
    """Outside of traces and transforms, on a tensor that is nothing but memory."""
    return not is_dynamo_compiling() and _C.direct_call_device((mu,)) is not None


def _seed_tensor(seed: int | Tensor, mu: Tensor) -> Tensor:
    if isinstance(seed, Tensor):
        if seed.dtype != torch.int64 or seed.numel() != 1:
            raise TypeError(
                f"seed: got a tensor of dtype {seed.dtype} and shape {list(seed.shape)}; takes an int or one int64"
            )
        _checks.same_device("seed", seed, "mu", mu)
        return seed.reshape(1)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise TypeError(f"seed: got {type(seed).__name__}; takes an int or a one-element int64 tensor")
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed: got {seed}; takes an int of 64 bits, -2**63 to 2**63 - 1")
    return torch.full((1,), seed, dtype=torch.int64, device="cpu" if _takes_a_value(mu) else mu.device)
