"""What every kernel compiles to for four GPUs, none of which need be there: ``python -m bench.compile_report``.

Two targets are compiled at a time, each in a process of its own. The kernels of large tensors, and those that inductor
would generate, go into the model of `bench.proofs.sm_model`.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from bench import machine
from bench.proofs import worker
from bench.proofs.sm_model import report, results

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
_WIDEST = 128
_WORKER = "bench.proofs.compiled.one_target"


@dataclass(frozen=True)
class Row:
    """One kernel of one variant, for one target.

    Attributes:
        kernel: the op and its variant, then which of its kernels.
        registers: a thread.
        stack, spills: bytes and registers that did not fit; both are to be 0.
        load_bits: of the narrowest load from global memory, loads of one value for many threads left out; None where
            there are no others.
        aligned: whether every row is aligned to four elements: loads are then to be of `lanes`, or 128 bits.
        instructions: in its code.
        element_bits: of the smallest element that the variant loads.
        lanes: elements of a group: four, or eight of a half.
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
    lanes: int
    arithmetic: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """What should not be."""
        least = min(_WIDEST, self.lanes * self.element_bits)
        narrow = self.aligned and self.load_bits is not None and self.load_bits < least
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
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        found = pool.map(lambda target: worker.findings(_WORKER, target, only, environment=environment), targets)
        return [_row(row) for rows in found for row in rows]


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
@click.option("--json", "as_json", is_flag=True, help="One JSON list of what is compiled instead of tables.")
@click.option("--target", "targets", type=click.Choice(TARGETS), multiple=True, help="Only this. [default: all]")
@click.option("--only", default="", help="Only kernels with this in the name of their variant, or of their op.")
@click.option("--count", "counted", is_flag=True, help="Only the instructions an element of kernels of large tensors.")
@click.option("--model", "predicted", is_flag=True, help="Only those kernels, with what the model says of them.")
@click.option("--csv", type=click.Path(path_type=Path, dir_okay=False), help="Append what the model says to this file.")
@click.option("--commit", help="What is compiled, for the rows of --csv. [default: of the checkout]")
@click.pass_context
def main(
    ctx: click.Context,
    as_json: bool,
    targets: tuple[str, ...],
    only: str,
    counted: bool,
    predicted: bool,
    csv: Path | None,
    commit: str | None,
) -> None:
    """Compile every kernel for GPUs that need not be there; ends with 1 where one has a fault.

    Without a target, kernels of large tensors and those of inductor then go into the model of one multiprocessor.
    """
    _check(as_json, targets, counted, predicted, csv, commit)
    if counted:
        for target in targets or ("sm_90",):
            _echo(report.counts(report.count(target, only=only)))
        return
    rows = [] if predicted else measure(targets or TARGETS, only=only)
    if as_json:
        click.echo(json.dumps([{name: asdict(row)[name] for name in _PUBLIC} for row in rows]))
    elif rows:
        _echo(table(rows))
    if not (targets or as_json):
        _model(only, csv, commit)
    if any(row.faults for row in rows):
        ctx.exit(1)


def _check(
    as_json: bool, targets: tuple[str, ...], counted: bool, predicted: bool, csv: Path | None, commit: str | None
) -> None:
    """Refuse what does not go together.

    Raises:
        UsageError: an option that would be ignored, or a target whose instructions are not known.
    """
    if counted and (unknown := [target for target in targets if target not in report.TARGETS]):
        raise click.UsageError(f"--target: got {unknown[0]} with --count; takes {' or '.join(report.TARGETS)}")
    if as_json and (counted or predicted):
        raise click.UsageError("--json: got it with --count or --model; takes what is compiled")
    if predicted and (counted or targets):
        raise click.UsageError("--model: got it with --count or --target; takes all GPUs of the model")
    if csv is not None and (as_json or counted or targets):
        raise click.UsageError("--csv: got it without the model; takes no --json, --count or --target")
    if commit is not None and csv is None:
        raise click.UsageError("--commit: got it without --csv; takes the commit of its rows")


def _model(only: str, csv: Path | None, commit: str | None) -> None:
    predictions = report.predict(only=only)
    ours = [found for found in predictions if found.provider == "fastvae" and found.target == "sm_90"]
    _echo(itertools.chain(report.counts(ours), report.shares(predictions), report.ratios(predictions)))
    if csv is not None:
        results.append(csv, predictions, commit or machine.commit())


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


if __name__ == "__main__":
    main()
