"""Profile the kernels of large tensors by Nsight Compute: ``python -m bench.gpu.profiled --out DIR``.

One row a pass of an op: its time, the instructions it issues, how busy the schedulers and the memory are. What
`bench.proofs.sm_model` predicts is held against these rows.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import click
import torch

import fastvae
from bench import ROOT
from bench.calls import SizedOp, trial
from bench.gpu.benchmarks import LARGE
from bench.gpu.device import Device, device, new_run, synchronize
from bench.large_ops import OPS
from bench.machine import Run

FILE: Final = "profile.csv"
_WARP: Final = 32
# What Nsight Compute calls the columns of a row.
_METRICS: Final = {
    "duration_ns": "gpu__time_duration.sum",
    "warp_instructions": "smsp__inst_executed.sum",
    "issue_active_percent": "smsp__issue_active.avg.pct_of_peak_sustained_active",
    "dram_percent": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
}
_SECONDS: Final = 120


class Pass(NamedTuple):
    """Forward of an op, or backward of a latent: a loss has written its gradient before."""

    sized: SizedOp
    mode: str

    @property
    def name(self) -> str:
        """As the rows have it: the op, the pass, and a target of bytes."""
        target = ", uint8 target" if self.sized.op.target == "uint8" else ""
        return f"{self.sized.op.name} {self.mode}{target}"


def passes() -> Iterator[Pass]:
    """In the order in which they are launched."""
    for op in OPS:
        latent = op.name.startswith("reparameterize_kl")
        for mode in ("forward", "backward") if latent else ("forward",):
            yield Pass(SizedOp(op, (LARGE.latent if latent else LARGE.pixels,)), mode)


def launch(where: Device) -> None:
    """Each pass once, where the profiler looks: compiled before, and with nothing else beside it."""
    for one in passes():
        inputs = one.sized.inputs(where.name)
        with fastvae.use_backend("triton"):
            outputs = one.sized.op.fastvae(*inputs.differentiable, *inputs.constant)
            made = trial(one.sized.op.fastvae, inputs._replace(upstream=inputs.upstream_of(outputs)), one.mode)
            made.timed(made.prepare())
            given = made.prepare()
            synchronize()
            torch.cuda.profiler.start()
            made.timed(given)
            synchronize()
            torch.cuda.profiler.stop()
        del inputs, outputs, made, given
        torch.cuda.empty_cache()


def rows(printed: Iterable[str], run: Run) -> list[dict[str, str]]:
    """What Nsight Compute printed, a line a metric, as a row a pass.

    Raises:
        ValueError: it saw other kernels than one a pass.
    """
    kernels: dict[str, dict[str, float]] = {}
    for line in csv.DictReader(line for line in printed if line.startswith('"')):
        kernels.setdefault(line["ID"], {})[line["Metric Name"]] = float(line["Metric Value"].replace(",", ""))
    launched = list(passes())
    if len(kernels) != len(launched):
        raise ValueError(f"got {len(kernels)} kernels of {len(launched)} passes")
    found = []
    for one, metrics in zip(launched, kernels.values(), strict=True):
        values = {column: metrics[metric] for column, metric in _METRICS.items()}
        an_element = _WARP * values["warp_instructions"] / one.sized.elements
        found.append(
            {
                "date": run.date[:10],
                "commit": run.commit,
                "device": run.device,
                "op": one.name,
                "dtype": one.sized.op.dtype,
                "elements": f"{one.sized.elements}",
                "duration_ns": f"{values['duration_ns']:.0f}",
                "warp_instructions": f"{values['warp_instructions']:.0f}",
                "instructions_per_element": f"{an_element:.1f}",
                "issue_active_percent": f"{values['issue_active_percent']:.2f}",
                "dram_percent": f"{values['dram_percent']:.2f}",
            }
        )
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help=f"Folder of {FILE}; without, launch only."
)
@click.option("--commit", envvar="FASTVAE_COMMIT", help="What is measured. [default: of the checkout]")
def main(out: Path | None, commit: str | None) -> None:
    """Profile each pass and append its row to profile.csv."""
    where = device(dry_run=False)
    if out is None:
        launch(where)
        return
    metrics = ",".join(_METRICS.values())
    # The clocks are left as they are, as in every other measurement.
    command = ["ncu", "--csv", "--print-units", "base", "--profile-from-start", "off", "--clock-control", "none",
               "--metrics", metrics, sys.executable, "-m", "bench.gpu.profiled"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=_SECONDS, check=False)
    try:
        found = rows(done.stdout.splitlines(), new_run(where, commit))
    except (ValueError, KeyError) as error:
        raise click.ClickException(f"ncu, exit status {done.returncode}: {error!r}\n{done.stdout[-2000:]}") from error
    path = out / FILE
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, found[0], lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(found)
    for row in found:
        click.echo(
            f"{row['op']:45} {row['dtype']:9} {float(row['duration_ns']) / 1e3:8.1f} us  "
            f"{row['instructions_per_element']:>6} instructions, issue {row['issue_active_percent']} %, "
            f"dram {row['dram_percent']} %"
        )
    click.echo(str(path))


if __name__ == "__main__":
    main()
