"""Measure the ops on a GPU: ``python -m bench.gpu.micro``.

Beside eager PyTorch, torch.compile, and all three replayed as CUDA graphs. A case that cannot be measured is
reported and does not keep the others from it.
"""

from __future__ import annotations

import subprocess
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import torch

import fastvae
from bench import machine
from bench.gpu import report
from bench.gpu.cases import Case, Size, cases_of, sizes
from bench.gpu.correct import mistake
from bench.gpu.device import Device, device
from bench.gpu.device import machine as machine_of
from bench.gpu.launches import Counts, counted
from bench.gpu.measure import Run, measure, rows
from bench.gpu.results import Row
from bench.results import append, check

FILE: Final = "gpu.csv"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of gpu.csv.")
@click.option("--dry-run", is_flag=True, help="On the CPU, in Triton's interpreter, at tiny sizes.")
@click.option("--commit", envvar="FASTVAE_COMMIT", help="What is measured. [default: of the checkout]")
@click.pass_context
def main(ctx: click.Context, out: Path, dry_run: bool, commit: str | None) -> None:
    """Measure every case and append its rows to gpu.csv.

    An op whose results are wrong is not measured, and the exit status says so.
    """
    where = device(dry_run)
    path = out / FILE
    try:
        check(path, Row)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    run = Run(datetime.now(UTC).isoformat(timespec="seconds"), commit or machine.commit(), machine_of(where))
    click.echo(f"{run.machine.device}, driver {run.machine.driver}, torch {run.machine.torch}, {run.commit}")
    smallest = min(sizes(where))
    failed = mistakes(list(cases_of(smallest)), where)
    measured: list[Row] = []
    for size in sizes(where):
        counts = _counts(size, where, failed)
        for case in cases_of(size):
            if _key(case) in failed:
                continue
            try:
                found = rows(case, measure(case, where, counts.get(case.name, {})), run)
            except Exception:
                # Minutes of a GPU are worth more than one case.
                failed[case.name] = traceback.format_exc()
                continue
            finally:
                torch.cuda.empty_cache()
            append(path, found)
            measured += found
            click.echo(report.line(found))
    for said in report.summary(measured):
        click.echo(said)
    click.echo(str(path))
    for name, why in failed.items():
        click.echo(f"not measured: {name}: {why}", err=True)
    if failed:
        ctx.exit(1)


def mistakes(cases: Sequence[Case], where: Device) -> dict[str, str]:
    """The ops that are wrong at these sizes, and how."""
    found = {}
    for case in cases:
        with fastvae.use_backend("triton"):
            try:
                why = mistake(case.op.fastvae, case.inputs(where.name))
            except Exception:
                why = traceback.format_exc()
        if why is not None:
            found[_key(case)] = why
    return found


def _counts(size: Size, where: Device, failed: dict[str, str]) -> Counts:
    """The launches of a size where they decide."""
    if not size.launch_bound:
        return {}
    try:
        return counted(size, where)
    except (subprocess.SubprocessError, ValueError) as error:
        failed["launches"] = str(error)
        return {}


def _key(case: Case) -> str:
    """The op, at any size."""
    return f"{case.op.name} {case.op.dtype} {case.op.target}"


if __name__ == "__main__":
    main()
