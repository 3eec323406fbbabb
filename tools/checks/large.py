"""Every op on more elements than 32 bits count, on the CPU: ``python -m tools.checks.large``.

One operand has its elements in memory, the others repeat themselves by a stride of 0. What an op gives is that of one
period, again and again, bit for bit; where it draws noise, that of the same rows as a shard of the batch. Takes 13 GB.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import torch
from torch import Tensor

import fastvae.functional as F
from bench import pages
from tests.support.ops import OPS, PAIRED
from tests.support.oracle import outputs_of
from tools.checks.page import record

ELEMENTS: Final = 2**31 + 8
PERIOD: Final = (8, 4099)  # rows that begin at any alignment
_AT_ONCE: Final = 2**25
Operands = dict[str, Tensor]


class Call(NamedTuple):
    """An op: its call, the operand that has a gradient, operands of one period, and where they are repeated.

    Of points beside components, only the points are, as more rows.
    """

    call: Callable[..., Tensor | tuple[Tensor, ...]]
    wanted: str
    period: Operands
    reduces: bool = True
    dim: int = 0
    seeded: bool = False
    of_points: bool = False


def _sampled(tensors: Operands, **options: object) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl(tensors["mu"], tensors["scale"], seed=5, **options)


def _packed(tensors: Operands, **options: object) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl_packed(tensors["moments"], dim=-1, seed=5, **options)


def _interleaved(tensors: Operands, **options: object) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl_packed(tensors["moments"], dim=-1, interleaved=True, seed=5, **options)


_SEEDED: Final = {
    "reparameterize_kl": _sampled, "reparameterize_kl_packed": _packed, "reparameterize_kl_interleaved": _interleaved,
}  # fmt: skip


def calls() -> dict[str, Call]:
    """All ops but `minibatch_log_densities`, whose time is the square of the batch."""
    found = {}
    for name, op in OPS.items():
        period = op.operands(PERIOD, torch.bfloat16)
        # The samples of a bound are its first dimension.
        dim = 1 if name == "importance_weighted_bound" else 0
        call = _SEEDED.get(name, op.call)
        found[name] = Call(call, op.wanted[0], period, op.reduces, dim, name in _SEEDED)
    op = PAIRED["log_normal_mixture"]
    period = op.operands(PERIOD, torch.bfloat16)
    found["log_normal_mixture"] = Call(op.call, "z", period, reduces=False, of_points=True)
    return found


def repeated(call: Call, times: int) -> Operands:
    """The operands so often: the wanted one in memory, components of a mixture once."""
    if call.of_points:
        return {**call.period, call.wanted: call.period[call.wanted].repeat(times, 1)}
    found = {}
    for key, value in call.period.items():
        whole = value.unsqueeze(call.dim).expand(*value.shape[: call.dim], times, *value.shape[call.dim :])
        found[key] = whole.contiguous() if key == call.wanted else whole
    return found


def evaluate(call: Call, operands: Operands, **options: object) -> list[Tensor]:
    """Outputs, and the gradient of the wanted operand by ones."""
    wanted = operands[call.wanted].detach().requires_grad_()
    if call.reduces:
        options = {"reduction": "sum", **options}
    outputs = outputs_of(call.call, {**operands, call.wanted: wanted}, **options)
    upstreams = [torch.ones((), dtype=output.dtype).expand_as(output) for output in outputs]
    (gradient,) = torch.autograd.grad(outputs, wanted, upstreams)
    return [*(output.detach() for output in outputs), gradient]


def differences(call: Call, times: int) -> Iterator[str]:
    """What is not as in one period."""
    operands = repeated(call, times)
    found = evaluate(call, operands)
    if call.seeded:
        yield from _shards(call, operands, found, times)
        return
    for number, (whole, one) in enumerate(zip(found, evaluate(call, repeated(call, 1)), strict=True)):
        if one.dim() == 0:
            error = abs(whole.double() / times / one.double() - 1).item()
            if not error <= 2 * torch.finfo(one.dtype).eps:
                yield f"result {number}: the sum is {error:.1e} off"
            continue
        dim = call.dim if whole.dim() > 1 and number == len(found) - 1 else 0
        periods = whole.unflatten(0, (times, -1)) if call.of_points else whole.movedim(dim, 0)
        expected = one if call.of_points else one.movedim(dim, 0)[0]
        step = max(_AT_ONCE // max(expected.numel(), 1), 1)
        for begin in range(0, times, step):
            if not (periods[begin : begin + step] == expected).all():
                yield f"result {number}: differs in a period from {begin} on"
                break


def _shards(call: Call, operands: Operands, found: list[Tensor], times: int) -> Iterator[str]:
    """At the beginning, where offsets pass 2^31, 2^30 and 2^29, and at the end."""
    *outputs, gradient = found
    an_element = math.prod(gradient.shape[1:])
    for place in sorted({0, times - 2, *(min(2**bits // an_element, times - 2) for bits in (29, 30, 31))}):
        rows = slice(place, place + 2)
        some = evaluate(call, {key: value[rows] for key, value in operands.items()}, shard=(place, times))
        if not torch.equal(outputs[0][rows], some[0]):
            yield f"z differs in rows {place} to {place + 1}"
        if not torch.equal(gradient[rows], some[-1]):
            yield f"the gradient differs in rows {place} to {place + 1}"


def main() -> None:
    """Call every op, and write what came of it into docs/checks.md."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.large", description=__doc__)
    parser.add_argument("--elements", type=int, default=ELEMENTS, help="at least so many; default: %(default)s")
    parser.add_argument("--only", default="", help="ops with this in their name; leaves docs/checks.md as it is")
    given = parser.parse_args()
    rows = []
    for name, call in calls().items():
        if given.only not in name:
            continue
        start = time.perf_counter()
        times = -(-given.elements // call.period[call.wanted].numel())
        wrong = list(differences(call, times))
        rows.append((f"`{name}`", f"{times * call.period[call.wanted].numel():,}", "; ".join(wrong) or "none"))
        print(*rows[-1], f"{time.perf_counter() - start:.0f} s", sep=" | ", flush=True)
    if not given.only:
        record("large", pages.table(("op", "elements of bfloat16", "differences"), rows, 1))
    if any(row[-1] != "none" for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
