"""Constants, square roots and reciprocals."""

from __future__ import annotations

from typing import Final

import triton
import triton.language as tl
from triton.language import target_info

# Triton's interpreter knows no instructions of a device.
COMPILED: Final = tl.constexpr(not triton.knobs.runtime.interpret)

# Powers of two for float32 and float64: a value of any size times one of them may be squared.
SHRINK_32: Final = tl.constexpr(2.0**-64)
SHRINK_64: Final = tl.constexpr(2.0**-512)


@triton.jit
def constant_like(x, value: tl.constexpr):
    """`value` in the shape and dtype of x, whatever x holds."""
    return tl.full(x.shape, value, x.dtype)


@triton.jit
def sqrt(x):
    """The correctly rounded square root."""
    if x.dtype == tl.float64:
        return tl.sqrt(x)
    else:
        return tl.sqrt_rn(x)


@triton.jit
def reciprocal(x):
    """1 / x, to a unit in the last place, of a number whose reciprocal is no denormal."""
    if COMPILED and x.dtype == tl.float32:
        if target_info.is_cuda():
            return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
        else:
            return 1.0 / x
    else:
        return 1.0 / x
