"""Errors in units of the last place of float32, over every n-th float32 there is.

`measure` runs in a process of its own, one an instruction-set unit, and prints JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tests.core.elementary import FUNCTIONS, SPECIAL, Elementary

CHUNK = 2**18
INFINITY = 2.0**128  # where float32 ends: an infinity counts as this, so that a value just below may round to it
LARGE = 2.0**127
SMALLEST = 2.0**-126  # below it float32 is denormal
FLUSHED = math.exp(-87.33)  # math.h: results of exp that would be denormal are 0, from this argument on
# Whose neighbours are tried, too: where formulas change, exponentials end, and float32 has no fractions any more.
CENTRES = (0.0, SMALLEST, 2.0**-24, 2.0**-12, 0.4, 0.5, 0.6, 1.0, 1.4, 2.0, 17.0, 20.0, 87.33, 87.3366, 88.7229, 89.0)
CENTRES += (103.28, 103.98, 104.0, 2.0**23, 2.0**24, 2.0**31, 2.0**127, math.inf)
CENTRES += tuple(math.log(2) * n / 2 for n in range(1, 20))


def patterns(stride: int) -> Iterator[Tensor]:
    """Every `stride`-th float32 by its bits, in chunks, and 64 neighbours on each side of the centres."""
    centres = torch.tensor([*CENTRES, *(-centre for centre in CENTRES)]).view(torch.int32)
    yield (centres[:, None] + torch.arange(-64, 65, dtype=torch.int32)).flatten().view(torch.float32)
    for first in range(-(2**31), 2**31, stride * CHUNK):
        bits = torch.arange(first, min(first + stride * CHUNK, 2**31), stride)
        yield bits.to(torch.int32).view(torch.float32)


def errors(value: Tensor, exact: Tensor, x: Tensor, function: Elementary) -> Tensor:
    """|value - exact| in units; 0 where both are NaN, infinity where one is."""
    size = torch.maximum(exact.abs(), function.magnitude(x)).clamp(SMALLEST, LARGE)
    unit = ((size.view(torch.int64) & 0x7FF0000000000000) - (23 << 52)).view(torch.float64)
    error = (value.double().clamp(-INFINITY, INFINITY) - exact.clamp(-INFINITY, INFINITY)).abs() / unit
    if function.flushed:
        error[(value == 0) & (exact <= FLUSHED)] = 0
    if function.overflows:
        error[value.isinf() & (exact >= LARGE * (1 - 2.0**-22))] = 0
    error[value.isnan() != exact.isnan()] = math.inf
    return error.nan_to_num(nan=0, posinf=math.inf)


def worst(function: Elementary, stride: int) -> dict[str, float]:
    """The largest error and where it is; the number of denormal results; torch's own largest error; the points."""
    found, low, high = {"ulp": -1.0, "own": 0.0, "denormal": 0, "count": 0}, *function.domain
    for chunk in patterns(stride):
        x = chunk[((chunk >= low) & (chunk <= high)) | chunk.isnan()]
        if not x.numel():
            continue
        wide = x.double()
        value, exact = function.call(x).detach(), function.exact(wide)
        error = errors(value, exact, wide, function)
        at = int(error.argmax())
        if error[at] > found["ulp"]:
            found |= {"ulp": error[at].item(), "x": x[at].item(), "value": value[at].item(), "exact": exact[at].item()}
        if function.own is not None:
            # torch raises at NaN probabilities; where we flush, it may be denormal or 0.
            asked = ~x.isnan() & ~((exact <= FLUSHED) & function.flushed)
            own = errors(function.own(x[asked]), exact[asked], wide[asked], function)
            found["own"] = max(found["own"], own.amax().item() if own.numel() else 0.0)
        found["denormal"] += int(((value != 0) & (value.abs() < SMALLEST)).sum())
        found["count"] += x.numel()
    return found


def special(name: str) -> list[float]:
    return FUNCTIONS[name].call(torch.tensor(list(SPECIAL[name]))).tolist()


def measure(stride: int) -> None:
    from fastvae import _C

    torch.set_num_threads(1)
    results = {name: worst(function, stride) for name, function in FUNCTIONS.items()}
    points = {name: special(name) for name in SPECIAL}
    print(json.dumps({"unit": _C.capability(), "results": results, "special": points}))
