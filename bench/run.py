"""Measure and report: ``python -m bench.run``, or ``fastvae bench``.

One worker process for each regime and thread count; rows are appended as they come.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from bench import ROOT, machine, report
from bench.cpu import guard, measure, worker
from bench.cpu.benchmarks import MODES, STEP, Benchmark, all_benchmarks
from bench.cpu.regimes import REGIMES, environment
from bench.options import Names
from bench.results import Row, append, check


class Suite(NamedTuple):
    """What is measured where the options say nothing: the ops up to a size, and the training steps."""

    max_elements: float
    modes: tuple[str, ...]
    regimes: tuple[str, ...]
    threads: tuple[int, ...]
    repeats: int
    min_time: float


SUITES: Final = {
    "cpu": Suite(float("inf"), MODES, tuple(REGIMES), (1, 2), 15, 1.0),
    "quick": Suite(measure.SMALL_ELEMENTS, ("both",), ("warm",), (1,), 15, 0.2),
}


class _Counts(click.ParamType[tuple[int, ...]]):
    name = "counts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        counts = value.split(",")
        if not all(count.isdecimal() and int(count) > 0 for count in counts):
            self.fail(f"got {value!r}; takes whole numbers such as 1,2", param, ctx)
        return tuple(map(int, counts))


def _op_names() -> list[str]:
    return list(dict.fromkeys(benchmark.op for benchmark in all_benchmarks()))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--suite", type=click.Choice(tuple(SUITES)), default="cpu", show_default=True)
@click.option("--ops", type=Names(_op_names()), help="Only these, separated by commas. [default: all]")
@click.option("--passes", type=Names(MODES), help="[default: all (cpu), both (quick)]")
@click.option("--regime", type=Names(tuple(REGIMES)), help="The allocator. [default: warm,def (cpu), warm (quick)]")
@click.option("--threads", type=_Counts(), help="[default: 1,2 (cpu), 1 (quick)]")
@click.option("--repeats", type=click.IntRange(min=1), help="Rounds at least. [default: 15]")
@click.option("--min-time", type=click.FloatRange(min=0), help="Seconds a measurement at least. [default: 1 (cpu)]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="[default: bench/results/<machine>/<suite>.csv, or <suite>-<capability>.csv where that is capped]",
)
@click.pass_context
def main(
    ctx: click.Context,
    suite: str,
    ops: tuple[str, ...] | None,
    passes: tuple[str, ...] | None,
    regime: tuple[str, ...] | None,
    threads: tuple[int, ...] | None,
    repeats: int | None,
    min_time: float | None,
    out: Path | None,
) -> None:
    """Measure fastvae beside eager PyTorch and torch.compile.

    An op whose tests fail is not measured, and the exit status says so.
    """
    chosen = SUITES[suite]
    benchmarks = [
        benchmark
        for benchmark in all_benchmarks()
        if (ops is None or benchmark.op in ops)
        and (benchmark.elements <= chosen.max_elements or STEP in benchmark.modes)
    ]
    run = machine.run_on_cpu()
    path = out or _default_path(run.device, suite)
    try:
        check(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    refused = _refused(benchmarks, whole=suite != "quick")
    benchmarks = [benchmark for benchmark in benchmarks if benchmark.op not in refused]
    measured: list[Row] = []
    for name in regime or chosen.regimes:
        for count in threads or chosen.threads:
            job = measure.Job(
                run=run,
                regime=name,
                threads=count,
                benchmarks=[benchmark.name for benchmark in benchmarks],
                modes=list(passes or chosen.modes),
                repeats=repeats or chosen.repeats,
                min_time=chosen.min_time if min_time is None else min_time,
            )
            for rows in _measure(job):
                append(path, rows)
                measured += rows
                click.echo(report.line(rows))
    for line in report.summary(measured):
        click.echo(line)
    click.echo(str(path))
    for op, files in refused.items():
        click.echo(f"not measured: {op}: {', '.join(files)} fails", err=True)
    if refused:
        ctx.exit(1)


def _default_path(device: str, suite: str) -> Path:
    """A file of the machine; a capped instruction set has one of its own."""
    cap = os.environ.get("FASTVAE_CPU_CAPABILITY")
    return ROOT / "bench" / "results" / machine.folder_name(device) / f"{suite}{f'-{cap}' if cap else ''}.csv"


def _refused(benchmarks: Sequence[Benchmark], *, whole: bool) -> dict[str, Sequence[str]]:
    files = {file: subset for benchmark in benchmarks for file, subset in benchmark.tests.items()}
    click.echo(f"testing: {', '.join(files)}")
    failed = guard.failures(files.items(), whole=whole)
    for output in failed.values():
        click.echo(output, err=True)
    return guard.refused({benchmark.op: benchmark.tests for benchmark in benchmarks}, failed)


def _measure(job: measure.Job) -> Iterator[list[Row]]:
    """The rows of each measurement of a job, as they come."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.cpu.worker"],
        cwd=ROOT,
        env=environment(os.environ, job.regime, job.threads),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        try:
            process.stdin.write(worker.encode(job) + "\n")
            process.stdin.close()
            for line in process.stdout:
                yield [Row(**row) for row in json.loads(line)]
        except BaseException:
            # Nobody is left to read what the worker would still measure.
            process.kill()
            raise
    if process.returncode:
        raise click.ClickException(
            f"the worker for {job.regime}, {job.threads} threads ended with {process.returncode}"
        )


if __name__ == "__main__":
    main()
