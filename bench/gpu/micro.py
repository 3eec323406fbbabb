"""Measure the ops on a GPU: ``python -m bench.gpu.micro``.

Beside eager PyTorch, torch.compile, and all three replayed as CUDA graphs. A benchmark that cannot be run is
reported and does not keep the others from it.
"""

from __future__ import annotations

import subprocess
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import torch

import fastvae
from bench import report
from bench.gpu import FILE
from bench.gpu.benchmarks import LARGE, MIDDLE, MNIST, Benchmark, Size, benchmarks_of, sizes
from bench.gpu.correct import mistake
from bench.gpu.device import Device, device, new_run
from bench.gpu.launches import Counts, Launches, counted
from bench.gpu.measure import measure, rows
from bench.options import Names
from bench.results import Row, append, check

_SIZES: Final = tuple(size.name for size in (LARGE, MNIST, MIDDLE))
_OPS: Final = tuple(dict.fromkeys(some.op.name for size in (MNIST, MIDDLE) for some in benchmarks_of(size)))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of gpu.csv.")
@click.option("--sizes", "named", type=Names(_SIZES), help="Only these, separated by commas. [default: all]")
@click.option("--ops", type=Names(_OPS), help="[default: all]")
@click.option("--dry-run", is_flag=True, help="On the CPU, in Triton's interpreter, at tiny sizes.")
@click.option("--commit", envvar="FASTVAE_COMMIT", help="What is measured. [default: of the checkout]")
@click.pass_context
def main(
    ctx: click.Context,
    out: Path,
    named: tuple[str, ...] | None,
    ops: tuple[str, ...] | None,
    dry_run: bool,
    commit: str | None,
) -> None:
    """Measure every op and size and append its rows to gpu.csv.

    An op whose results are wrong is not measured, and the exit status says so.
    """
    where = device(dry_run)
    path = out / FILE
    try:
        check(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    run = new_run(where, commit)
    click.echo(f"{run.device}, driver {run.driver}, torch {run.torch}, {run.commit}")

    def wanted(size: Size) -> list[Benchmark]:
        return [benchmark for benchmark in benchmarks_of(size) if ops is None or benchmark.op.name in ops]

    smallest = min(sizes(where), key=lambda size: size.pixels)
    failed = mistakes(wanted(smallest), where)
    measured: list[Row] = []
    for size in sizes(where):
        if named is not None and size.name not in named:
            continue
        counts = _counts(size, where, ops, failed)
        for benchmark in wanted(size):
            if benchmark.kind in failed:
                continue
            try:
                found = rows(benchmark, measure(benchmark, where, counts.get(benchmark.name, Launches())), run)
            except Exception:
                # Minutes of a GPU are worth more than one benchmark.
                failed[benchmark.name] = traceback.format_exc()
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


def mistakes(benchmarks: Sequence[Benchmark], where: Device) -> dict[str, str]:
    """The ops that are wrong at these sizes, and how."""
    found = {}
    for benchmark in benchmarks:
        with fastvae.use_backend("triton"):
            try:
                why = mistake(benchmark.op.fastvae, benchmark.sized.inputs(where.name), benchmark.op.roundings)
            except Exception:
                why = traceback.format_exc()
        if why is not None:
            found[benchmark.kind] = why
    return found


def _counts(size: Size, where: Device, ops: Sequence[str] | None, failed: dict[str, str]) -> Counts:
    """The launches of a size where they decide."""
    if not size.launch_bound:
        return {}
    try:
        return counted(size, where, ops)
    except (subprocess.SubprocessError, ValueError) as error:
        failed["launches"] = str(error)
        return {}


if __name__ == "__main__":
    main()
