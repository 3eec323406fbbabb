"""Binet's function: what Stirling's formula leaves of lgamma."""

from __future__ import annotations

import triton
import triton.language as tl

from fastvae._triton.elementary import constant_like
from fastvae._triton.logarithm import log


@triton.jit
def binet_above_1(y, inverse):
    """Binet's function J(y) = lgamma(y) - (y - 1/2) log y + y - log(2 pi) / 2 for y >= 1, and -J'(y)."""
    if y.dtype == tl.float64:
        value = constant_like(y, 0.0)
        descent = constant_like(y, 0.0)
        for _ in range(7):  # up to 8 or more, and Stirling's series there
            w = 1.0 / (2.0 * y + 1.0)
            s = w * w
            # (y + 1/2) log(1 + 1/y) - 1 = w^2 / 3 + w^4 / 5 + ..., and its slope
            p = constant_like(y, 0.0)
            q = constant_like(y, 0.0)
            for k in tl.static_range(17, 0, -1):
                p = (p + 1.0 / (2 * k + 1)) * s
                q = (q + 2.0 * k / (2 * k + 1)) * s
            value += p
            descent += 2.0 * w * q
            y = y + 1.0
        i = 1.0 / y
        s = i * i
        p = ((1 / 156 * s - 691 / 360360) * s + 1 / 1188) * s - 1 / 1680
        p = ((p * s + 1 / 1260) * s - 1 / 360) * s + 1 / 12
        q = ((13 / 156 * s - 11 * 691 / 360360) * s + 9 / 1188) * s - 7 / 1680
        q = ((q * s + 5 / 1260) * s - 3 / 360) * s + 1 / 12
        return value + p * i, descent + q * s
    else:
        # Minimax fits of y J(y) and -y^2 J'(y), off by 3e-9 and 1e-8.
        p = inverse * 1.3711382640841938e-4 + -6.297529956948161e-4
        p = p * inverse + 1.0447210444850545e-3
        p = p * inverse + -5.0487753003064246e-5
        p = p * inverse + -2.7733763968513896e-3
        p = p * inverse + -7.899780762573097e-8
        p = p * inverse + 8.333333090063126e-2
        q = inverse * -2.5602622821925027e-4 + 1.7736152026237286e-3
        q = q * inverse + -4.785238083067311e-3
        q = q * inverse + 5.834218311898678e-3
        q = q * inverse + -3.8951947943303994e-4
        q = q * inverse + -8.293125309842247e-3
        q = q * inverse + -1.5928459191679595e-6
        q = q * inverse + 8.333334371324888e-2
        return p * inverse, q * (inverse * inverse)


@triton.jit
def binet(y, inverse):
    """The same for y > 0."""
    below = y < 1.0
    inverse_above = 1.0 / (y + 1.0)
    value, descent = binet_above_1(tl.where(below, y + 1.0, y), tl.where(below, inverse_above, inverse))
    step = log((y + 1.0) * inverse)
    value += tl.where(below, (y + 0.5) * step - 1.0, 0.0)
    descent += tl.where(below, ((y + 0.5) * inverse) * inverse_above - step, 0.0)
    return value, descent


@triton.jit
def log_factorial(n):
    """lgamma(n + 1), 0 at 0."""
    y = n + 1.0
    remainder, _ = binet_above_1(y, 1.0 / y)
    value = ((y - 0.5) * log(y) + (0.91893853320467274178 - y)) + remainder
    return tl.where(n == 0.0, 0.0, value)
