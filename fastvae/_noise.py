"""Where an op's noise comes from: torch's generator, a seed, or the caller."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fastvae import _checks, _ops
from fastvae._layout import sample_shape


class Noise(NamedTuple):
    """Exactly one of `eps` (the caller's) and `seed` (one int64 on the device, expanded by the kernel)."""

    eps: Tensor | None
    seed: Tensor | None


def noise(
    mu: Tensor,
    shape: torch.Size,
    *,
    eps: Tensor | None,
    seed: int | Tensor | None,
    generator: torch.Generator | None,
    num_samples: int | None,
) -> Noise:
    """Validate the noise options for a posterior of `shape` on the device and dtype of `mu`.

    Raises:
        ValueError, TypeError: more than one source, or a source of the wrong kind, shape or device.
    """
    _checks.num_samples(num_samples)
    if eps is None and seed is None and generator is None:
        return Noise(None, _drawn(mu))
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
        return Noise(eps, None)
    if seed is not None:
        return Noise(None, _seed_tensor(seed, mu))
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"generator: got {type(generator).__name__}; takes None or a torch.Generator")
    if generator.device.type != mu.device.type and not mu.is_meta:
        raise ValueError(
            f"generator: got device {generator.device}; takes a generator on the device of mu, {mu.device}"
        )
    return Noise(None, _ops.draw_seed(mu, generator))


def _drawn(mu: Tensor) -> Tensor:
    """A seed from torch's default generator; under functorch by torch's own op, which follows vmap's `randomness`."""
    transformed = torch._C._are_functorch_transforms_active()
    return _ops.draw_seed(mu) if transformed or not (mu.is_cpu or mu.is_cuda) else _ops.seed(mu)


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
    return torch.full((1,), seed, dtype=torch.int64, device=mu.device)
