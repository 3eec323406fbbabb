"""The noise contract in numpy: Philox4x32-10 and Box-Muller, the specification the kernels equal bit for bit.

Element ``i`` (logical row-major index) is lane ``i % 4`` of group ``g = i // 4``. Its counter is
``(g low, g high, 0, 0)``, its key the two words of the seed. Only IEEE add, multiply and sqrt in float32.
Philox: Salmon et al. 2011. Polynomials: Cephes, single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]

STREAM: Final = 0
_LOW: Final = np.uint64(0xFFFFFFFF)
_SHIFT: Final = np.uint64(32)
_LOG: Final = (
    1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip


def philox(counter: Sequence[npt.ArrayLike], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 of four counter words (arrays or ints) under two key words."""
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _LOW,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _LOW,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    w0, w1, w2, w3 = (word.astype(np.uint32) for word in (c0, c1, c2, c3))
    return w0, w1, w2, w3


def _minus_two_log(word: Words) -> Floats:
    """-2 ln(x * 2^-24) of the odd 24-bit integer x = 2 * (word >> 9) + 1."""
    f32 = np.float32
    bits = (2 * (word >> np.uint32(9)).astype(np.int32) + 1).astype(f32).view(np.int32)
    exponent = (bits - np.int32(0x3F3504F3)) >> np.int32(23)
    f = (bits - (exponent << np.int32(23))).view(f32) - f32(1)
    p = f * f32(7.0376836292e-2) + f32(-1.1514610310e-1)
    for coefficient in _LOG:
        p = p * f + f32(coefficient)
    square = f * f
    scale = (exponent - np.int32(24)).astype(f32)
    y = (p * f) * square
    y = y + scale * f32(-2.12194440e-4)
    y = y - f32(0.5) * square
    result: Floats = ((f + y) + scale * f32(0.693359375)) * f32(-2)
    return result


def _cos_sin(word: Words) -> tuple[Floats, Floats]:
    """(cos, sin) of 2 pi word / 2^32, reduced exactly to the nearest quarter turn."""
    f32 = np.float32
    quadrant = ((word + np.uint32(0x20000000)) >> np.uint32(30)).astype(np.int32)
    residual = (word - (quadrant.astype(np.uint32) << np.uint32(30))).view(np.int32)
    f = (residual >> np.int32(6)).astype(f32) * f32(5.8516723170686385e-09) * f32(16)
    z = f * f
    s = z * f32(-1.9515295891e-4) + f32(8.3321608736e-3)
    s = s * z + f32(-1.6666654611e-1)
    s = (s * z) * f + f
    c = z * f32(2.443315711809948e-5) + f32(-1.388731625493765e-3)
    c = c * z + f32(4.166664568298827e-2)
    c = (c * z) * z - f32(0.5) * z + f32(1)
    odd = (quadrant & 1) == 1
    cos, sin = np.where(odd, s, c), np.where(odd, c, s)
    return np.where((quadrant == 1) | (quadrant == 2), -cos, cos), np.where(quadrant >= 2, -sin, sin)


def normal(seed: int, count: int, start: int = 0) -> Floats:
    """Elements ``start .. start + count`` of the standard normal stream of `seed` (a signed 64-bit int)."""
    first = start // 4
    group = np.arange(first, (start + count + 3) // 4, dtype=np.uint64)
    key = (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)
    words = philox((group & _LOW, group >> _SHIFT, np.full(group.shape, STREAM), np.zeros(group.shape)), key)
    lanes = []
    for radius_word, angle_word in (words[:2], words[2:]):
        radius = np.sqrt(_minus_two_log(radius_word))
        cos, sin = _cos_sin(angle_word)
        lanes += [radius * cos, radius * sin]
    elements: Floats = np.stack(lanes, axis=-1).reshape(-1)[start - 4 * first :][:count]
    return elements


class _Normal(Function):
    """The stream of a seed, read on the host; under vmap that of each seed, in its row."""

    @staticmethod
    def forward(seed: Tensor, count: int) -> Tensor:
        return torch.from_numpy(normal(int(seed.item()), count))

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: object, in_dims: tuple[int, None], seed: Tensor, count: int) -> tuple[Tensor, int]:
        return torch.stack([_draw(each, count) for each in seed.unbind(in_dims[0])]), 0


_draw: Final[Callable[[Tensor, int], Tensor]] = _Normal.apply


def seed_tensor(seed: int | Tensor | None, generator: torch.Generator | None, like: Tensor) -> Tensor:
    """The seed as one int64; without one, a draw from torch's generator for the device of `like`."""
    if seed is None:
        low, high = -(2**63), 2**63 - 1
        return torch.randint(low, high, (1,), dtype=torch.int64, device=like.device, generator=generator)
    return seed.reshape(1) if isinstance(seed, Tensor) else torch.tensor([seed], dtype=torch.int64, device=like.device)


def normal_like(seed: Tensor, shape: torch.Size, like: Tensor, dtype: torch.dtype) -> Tensor:
    """The same stream as a tensor of `shape` on the device of `like`."""
    if like.is_meta:
        return torch.empty(shape, dtype=dtype, device=like.device)
    return _draw(seed, shape.numel()).reshape(shape).to(device=like.device, dtype=dtype)
