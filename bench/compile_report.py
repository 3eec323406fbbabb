"""What every kernel compiles to for four GPUs, none of which need be there: ``python -m bench.compile_report``.

Two targets are compiled at a time, each in a process of its own. ``--count`` counts the instructions an element of the
kernels of large tensors instead.
"""

from __future__ import annotations

import functools
import itertools
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
from bench.proofs.sm_model import requirements
from bench.proofs.sm_model.counts import KINDS, Count

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
    targets: Sequence[str] = TARGETS, *, only: str = "", environment: Mapping[str, str] = os.environ, at_once: int = 2
) -> list[Row]:
    """The rows of all kernels whose variant has `only` in its name, target by target.

    Raises:
        RuntimeError: something did not compile.
    """
    run = functools.partial(_lines, "bench.proofs.compiled.one_target", only=only, environment=environment)
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return [_row(found) for lines in pool.map(run, targets) for found in lines]


def count(targets: Sequence[str], *, only: str = "", environment: Mapping[str, str] = os.environ) -> list[Count]:
    """Instructions an element of the kernels of large tensors that have `only` in their names.

    Raises:
        RuntimeError: something did not compile.
    """
    lines = (_lines("bench.proofs.sm_model.counted", target, only=only, environment=environment) for target in targets)
    return [Count(**found) for found in itertools.chain.from_iterable(lines)]


def _lines(module: str, target: str, *, only: str, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    environment = {name: value for name, value in environment.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", module, target, only]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{target}: {result.stderr[-3000:]}")
    return [json.loads(line) for line in result.stdout.splitlines()]


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


def counts_table(counts: Sequence[Count]) -> Iterator[str]:
    """Lines of text: instructions an element by kind, and whether they are as few as they must be, or are to be."""
    width = max((len(count.kernel) for count in counts), default=0)
    for target in dict.fromkeys(count.target for count in counts):
        of_target = [count for count in counts if count.target == target]
        yield f"\n{f'{target}, instructions an element':{width}}    all{''.join(f'{kind:>9}' for kind in KINDS)}"
        for count in of_target:
            kinds = "".join(f"{count.per_element[kind]:9.1f}" for kind in KINDS)
            yield f"{count.kernel:{width}} {count.total:6.1f}{kinds}{_verdict(count)}"


def _verdict(count: Count) -> str:
    limit = requirements.limit(count.kernel)
    if limit is None:
        return ""
    missed = f"MUST BE {limit.must}" if count.total > limit.must else f"goal {limit.goal}"
    return "" if count.total <= limit.goal else f"  {missed}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
@click.option("--target", "targets", type=click.Choice(TARGETS), multiple=True, help="Only this. [default: all]")
@click.option("--only", default="", help="Only kernels with this in the name of their variant, or of their op.")
@click.option("--count", "counted", is_flag=True, help="Instructions an element of the kernels of large tensors.")
@click.pass_context
def main(ctx: click.Context, as_json: bool, targets: tuple[str, ...], only: str, counted: bool) -> None:
    """Compile every kernel for GPUs that need not be there; ends with 1 where one has a fault."""
    if counted:
        for line in counts_table(count(targets or ("sm_90",), only=only)):
            click.echo(line)
        return
    rows = measure(targets or TARGETS, only=only)
    if as_json:
        click.echo(json.dumps([{name: asdict(row)[name] for name in _PUBLIC} for row in rows]))
    else:
        for line in table(rows):
            click.echo(line)
    if any(row.faults for row in rows):
        ctx.exit(1)


if __name__ == "__main__":
    main()
