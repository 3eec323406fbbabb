"""``python -m bench.accuracy``: measure, keep the results of this machine, write docs/accuracy.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import torch

from bench import ROOT
from bench.accuracy import page, rows, scales
from bench.accuracy.measuring import CAPABILITIES, COMPILE, EAGER, IMPLEMENTATIONS, INTERPRETER, backend, measure
from bench.accuracy.ops import BY_NAME, DTYPES
from bench.accuracy.rows import Row
from bench.machine import Run, run_on_cpu, version
from fastvae import _C

_COMPILED: Final = (torch.float32,)
"""torch.compile takes ten seconds a call and dtype, and computes in float32 for the narrower ones."""


def groups(capability: str) -> list[tuple[str, ...]]:
    """The implementations of a machine of that capability, those of one process together."""
    *lower, best = CAPABILITIES[: CAPABILITIES.index(capability) + 1]
    return [(EAGER, best, INTERPRETER), *((name,) for name in lower), (COMPILE,)]


def measured(group: Sequence[str], ops: Sequence[str]) -> Iterator[list[dict[str, object]]]:
    """The rows of each op, and then of all scales, as a process of its own gives them."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    capability = next((name for name in group if name in CAPABILITIES), "")
    if capability:
        environment["FASTVAE_CPU_CAPABILITY"] = capability
    names = [argument for op in ops for argument in ("--op", op)]
    command = [sys.executable, "-W", "ignore", "-m", "bench.accuracy", "--in-process", ",".join(group), *names]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode:
        raise click.ClickException(f"{' and '.join(group)}: exited with {process.returncode}")


def _print_rows(group: Sequence[str], ops: Sequence[str]) -> None:
    for name in ops or BY_NAME:
        found = measure(BY_NAME[name], group, _COMPILED if COMPILE in group else DTYPES)
        lines = [{**each._asdict(), **each.measured._asdict(), "unit": "relative"} for each in found]
        click.echo(json.dumps([{name: value for name, value in line.items() if name != "measured"} for line in lines]))
    if ops or COMPILE in group:
        return
    for implementation in (name if name != EAGER else "reference" for name in group):
        with backend(implementation):
            click.echo(json.dumps(scales.as_rows(implementation)))


def _kept(run: Run, lines: Sequence[dict[str, object]]) -> list[Row]:
    of_run = {"date": run.date, "commit": run.commit, "device": run.device, "torch": run.torch, "fastvae": run.fastvae}
    return [Row(**of_run, triton=version("triton"), **line) for line in lines]  # type: ignore[arg-type]


@click.command()
@click.option("--op", "ops", multiple=True, type=click.Choice(list(BY_NAME)), help="Only this one; may be repeated.")
@click.option("--implementation", "only", multiple=True, type=click.Choice(IMPLEMENTATIONS), help="Only this one, too.")
@click.option("--page-only", is_flag=True, help="Measure nothing: write the page from the results that are kept.")
@click.option("--results", type=click.Path(path_type=Path), default=rows.RESULTS, help="[default: bench/results]")
@click.option("--page", "into", type=click.Path(path_type=Path), default=page.PAGE, help="[default: docs/accuracy.md]")
@click.option("--in-process", "group", hidden=True, help="Print the errors of these implementations, as JSON.")
def main(
    ops: tuple[str, ...], only: tuple[str, ...], page_only: bool, results: Path, into: Path, group: str | None
) -> None:
    """Measure every implementation that this machine has, keep the results and write the page."""
    if group is not None:
        _print_rows(group.split(","), ops)
        return
    if not page_only:
        run = run_on_cpu()
        file = rows.file_of(run.device, results)
        for together in groups(_C.capability()):
            wanted = [name for name in together if not only or name in only]
            for lines in measured(wanted, ops) if wanted else ():
                rows.replace(file, _kept(run, lines))
    page.write(rows.newest(results), into)
    click.echo(str(into))


if __name__ == "__main__":
    main()
