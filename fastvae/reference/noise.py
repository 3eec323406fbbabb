"""The noise contract in numpy: Philox4x32-7 and Box-Muller, the specification the kernels equal bit for bit.

Element ``i`` (logical row-major index) is lane ``i % 4`` of group ``g = i // 4``. Its counter is
``(g low, g high, 0, 0)``, its key the two words of the seed. Only IEEE add, multiply, fused multiply-add and sqrt in
float32, and no product is a term of a plain sum: there is nothing left for a compiler to contract. docs/noise.md has
the formulas, and values to check another implementation by. Philox: Salmon et al. 2011.
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

from fastvae.reference.fused import Floats, fma

Words = npt.NDArray[np.uint32]

STREAM: Final = 0
ROUNDS: Final = 7
_LOW: Final = np.uint64(0xFFFFFFFF)
_SHIFT: Final = np.uint64(32)
# Minimax fits, highest power first: of what -2 ln(1 + f) has beyond 4 ln(2) f, over f, for -1/2 <= f < 0; and of the
# cosine and the sine over v of pi v / 2, in z = v^2, for |v| <= 1/2.
_LOG: Final = (
    -2.882215976715088, -3.3916242122650146, -2.5153398513793945, -0.40707799792289734, -0.5392255187034607,
    0.4856102466583252, -0.6674017906188965, 0.9999855160713196, 0.7725886702537537,
)  # fmt: skip
_COS: Final = (-0.02041725255548954, 0.2536029517650604, -1.2336976528167725, 1.0)
_SIN: Final = (-0.00460165785625577, 0.07968007773160934, -0.6459638476371765, 1.5707963705062866)
_MINUS_TWO_LN_2: Final = np.float32(-1.3862943649291992)  # times 2^-23, where it is used


def philox(
    counter: Sequence[npt.ArrayLike], key: Sequence[npt.ArrayLike], rounds: int = ROUNDS
) -> tuple[Words, Words, Words, Words]:
    """Philox4x32 of four counter words under two key words, arrays or ints."""
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = (np.asarray(word, dtype=np.uint64) for word in key)
    for _ in range(rounds):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & _LOW, (k1 + np.uint64(0xBB67AE85)) & _LOW
    w0, w1, w2, w3 = (word.astype(np.uint32) for word in (c0, c1, c2, c3))
    return w0, w1, w2, w3


def _horner(x: Floats, coefficients: Sequence[float]) -> Floats:
    p = np.full(x.shape, coefficients[0], np.float32)
    for coefficient in coefficients[1:]:
        p = fma(p, x, coefficient)
    return p


def minus_two_log(word: Words) -> Floats:
    """-2 ln u of u = (2 (word >> 9) + 1) 2^-24, which is (1 + f) 2^n with 1 + f in [1/2, 1).

    The bits of a float, as an integer, are linear in f between powers of two: n + 2 f in units of 2^-23.
    """
    f32 = np.float32
    u = ((word >> np.uint32(9)) | np.uint32(0x3F800000)).view(f32) - f32(1 - 2.0**-24)
    bits = u.view(np.int32)
    steps = (bits - np.int32(0x3F800000)).astype(f32)
    f = ((bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000)).view(f32) - f32(1)
    return fma(steps, _MINUS_TWO_LN_2 * f32(2.0**-23), _horner(f, _LOG) * f)


def quarter_turns(word: Words) -> Floats:
    """Bits 1 to 22 as v, an odd multiple of 2^-23 in (-1/2, 1/2)."""
    return ((word & np.uint32(0x007FFFFE)) | np.uint32(0x3F800001)).view(np.float32) - np.float32(1.5)


def cos_sin(word: Words) -> tuple[Floats, Floats]:
    """(cos, sin) of v quarter turns; where bit 30 is set they change places."""
    v = quarter_turns(word)
    z = v * v
    c, s = _horner(z, _COS), _horner(z, _SIN) * v
    exchanged = (word & np.uint32(0x40000000)) != 0
    return np.where(exchanged, s, c), np.where(exchanged, c, s)


def pair(radius_word: Words, angle_word: Words) -> tuple[Floats, Floats]:
    """The two normals of two words. Bit 31 of the angle's is the sign of the radius."""
    magnitude = np.sqrt(minus_two_log(radius_word))
    radius = (magnitude.view(np.uint32) | (angle_word & np.uint32(0x80000000))).view(np.float32)
    cos, sin = cos_sin(angle_word)
    return radius * cos, radius * sin


def words(seed: int, group: npt.NDArray[np.uint64]) -> tuple[Words, Words, Words, Words]:
    """The words of some groups of the stream of `seed` (a signed 64-bit int)."""
    counter = (group & _LOW, group >> _SHIFT, np.full(group.shape, STREAM), np.zeros(group.shape))
    return philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))


def normal(seed: int, count: int, start: int = 0) -> Floats:
    """Elements ``start .. start + count`` of the standard normal stream of `seed`."""
    first = start // 4
    w0, w1, w2, w3 = words(seed, np.arange(first, (start + count + 3) // 4, dtype=np.uint64))
    lanes = np.stack([*pair(w0, w1), *pair(w2, w3)], axis=-1)
    elements: Floats = lanes.reshape(-1)[start - 4 * first :][:count]
    return elements


class _Normal(Function):
    """Stretches of `count` elements of a seed, read on the host, at `starts`; under vmap those of each, in its row."""

    @staticmethod
    def forward(seed: Tensor, count: int, starts: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.concatenate([normal(int(seed.item()), count, start) for start in starts]))

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, int, Sequence[int]], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(
        info: object, in_dims: tuple[int, None, None], seed: Tensor, count: int, starts: Sequence[int]
    ) -> tuple[Tensor, int]:
        return torch.stack([_draw(each, count, starts) for each in seed.unbind(in_dims[0])]), 0


_draw: Final[Callable[[Tensor, int, Sequence[int]], Tensor]] = _Normal.apply


def seed_tensor(seed: int | Tensor | None, generator: torch.Generator | None, like: Tensor) -> Tensor:
    """The seed as one int64; without one, a draw from torch's generator for the device of `like`."""
    if seed is None:
        low, high = -(2**63), 2**63 - 1
        return torch.randint(low, high, (1,), dtype=torch.int64, device=like.device, generator=generator)
    return seed.reshape(1) if isinstance(seed, Tensor) else torch.tensor([seed], dtype=torch.int64, device=like.device)


def normal_like(
    seed: Tensor, like: Tensor, dtype: torch.dtype, num_samples: int | None, shard: tuple[int, int] | None
) -> Tensor:
    """eps for `num_samples` of `like`, on its device: the stream at their row-major index.

    With a `shard` (start, total) row b of ``[K, batch, ...]`` is row start + b of ``[K, total, ...]``.
    """
    shape = like.shape if num_samples is None else torch.Size((num_samples, *like.shape))
    if like.is_meta:
        return torch.empty(shape, dtype=dtype, device=like.device)
    start, total = (0, like.shape[0]) if shard is None else shard
    row = like.shape[1:].numel()
    starts = [(sample * total + start) * row for sample in range(1 if num_samples is None else num_samples)]
    return _draw(seed, like.shape.numel(), starts).reshape(shape).to(device=like.device, dtype=dtype)
