"""IEEE 754's fused multiply-add in numpy, which has none: a * b + c of float32, rounded once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def fma(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> Floats:
    """a * b + c of float32, broadcast, rounded once to nearest; NaN and infinity as in IEEE 754.

    The product of two floats is exact in float64. The sum is rounded to odd there: where anything was lost, the last
    bit is set on the side of the exact value, so that the second rounding, 29 bits further up, sees no tie that was
    none. Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
    odd".
    """
    x, y, z = (np.asarray(value, dtype=np.float32).astype(np.float64) for value in (a, b, c))
    with np.errstate(all="ignore"):
        product = x * y
        total = np.asarray(product + z)
        added = total - product
        lost = (product - (total - added)) + (z - added)
        bits = total.view(np.int64)
        tied = (lost != 0) & (bits & 1 == 0) & np.isfinite(total)
        outwards = np.where((lost > 0) == (total > 0), 1, -1)
        result: Floats = (bits + np.where(tied, outwards, 0)).view(np.float64).astype(np.float32)
    return result
