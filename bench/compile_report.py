"""What every kernel compiles to for four GPUs, none of which need be there: ``python -m bench.compile_report``.

Two targets are compiled at a time, each in a process of its own.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import click

from bench import ROOT

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
_WIDEST = 128


@dataclass(frozen=True)
class Row:
    """One kernel of one variant, for one target.

    Attributes:
        kernel: the op and its variant, then which of its kernels.
        registers: a thread.
        stack, spills: bytes and registers that did not fit; both are to be 0.
        load_bits: of the narrowest load from global memory, loads of one value for many threads left out; None where
            there are no others.
        aligned: whether every row is aligned to four elements: loads are then to be that wide, or 128 bits.
        instructions: in its code.
        element_bits: of the smallest element that the variant loads.
        arithmetic: the float32 instructions of the PTX, none on AMD.
    """

    kernel: str
    target: str
    registers: int
    stack: int
    spills: int
    load_bits: int | None
    aligned: bool
    instructions: int
    element_bits: int
    arithmetic: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """What should not be."""
        narrow = self.aligned and self.load_bits is not None and self.load_bits < min(_WIDEST, 4 * self.element_bits)
        found = {"stack": self.stack, "spills": self.spills, "narrow loads": narrow}
        return [name for name, there in found.items() if there]


_PUBLIC = ("kernel", "target", "registers", "stack", "spills", "load_bits", "aligned", "instructions")


def measure(
    targets: Sequence[str] = TARGETS, *, environment: Mapping[str, str] = os.environ, at_once: int = 2
) -> list[Row]:
    """The rows of all kernels, target by target.

    Raises:
        RuntimeError: something did not compile.
    """
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return [row for rows in pool.map(functools.partial(_compile, environment), targets) for row in rows]


def _compile(inherited: Mapping[str, str], target: str) -> list[Row]:
    environment = {name: value for name, value in inherited.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "bench.proofs.compiled.one_target", target]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{target}: {result.stderr[-3000:]}")
    return [_row(json.loads(line)) for line in result.stdout.splitlines()]


def _row(found: dict[str, Any]) -> Row:
    loads, arithmetic = found.pop("loads"), found.pop("arithmetic")
    return Row(**found, load_bits=min(loads, default=None), arithmetic=tuple(arithmetic))


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Lines of text: the rows of each target, and at the end how many kernels have a fault."""
    width = max(len(row.kernel) for row in rows)
    for target in dict.fromkeys(row.target for row in rows):
        yield f"\n{target:{width}} registers stack spills load bits instructions"
        for row in (row for row in rows if row.target == target):
            bits = "-" if row.load_bits is None else f"{row.load_bits}{'' if row.aligned else ' unaligned'}"
            line = (
                f"{row.kernel:{width}} {row.registers:9} {row.stack:5} {row.spills:6} {bits:>13} {row.instructions:8}"
            )
            yield f"{line}{''.join(f'  {fault.upper()}' for fault in row.faults)}"
    faulty = sum(bool(row.faults) for row in rows)
    yield f"\n{len(rows)} kernels, {faulty} with a stack, a spill or a narrow load on aligned rows"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@click.option("--target", "targets", type=click.Choice(TARGETS), multiple=True, help="Only this. [default: all]")
@click.pass_context
def main(ctx: click.Context, as_json: bool, targets: tuple[str, ...]) -> None:
    """Compile every kernel for GPUs that need not be there; ends with 1 where one has a fault."""
    rows = measure(targets or TARGETS)
    if as_json:
        click.echo(json.dumps([{name: asdict(row)[name] for name in _PUBLIC} for row in rows]))
    else:
        for line in table(rows):
            click.echo(line)
    if any(row.faults for row in rows):
        ctx.exit(1)


if __name__ == "__main__":
    main()
