"""One run on several processes, measured here, and a step on up to 4,096 GPUs, simulated: ``python -m bench.scaling``.

Measured: ``torchrun --nproc-per-node N -m fastvae train`` with one global batch, so that all runs are one training.
Simulated: a step that was measured on one GPU, and after it an all-reduce of its gradients through a ring. It is a
model of four numbers, `CLUSTER`, which no cluster has confirmed.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from bench import ROOT, pages
from bench.gpu import training_steps
from bench.machine import cpu
from bench.results import FASTVAE, GRAPH, newest

PAGE: Final = ROOT / "docs" / "scaling.md"
RESULTS: Final = ROOT / "bench" / "results" / "scaling.csv"
_STEP: Final = ROOT / "bench" / "results" / "h100" / "gpu.csv"
_GPUS: Final = (1, 2, 8, 16, 64, 256, 1024, 4096)
_OPTIONS: Final = ("--model=conv", "--hidden=128", "--batch-size=150", "--threads=1", "--device=cpu")
_IMAGES: Final = 1350  # of the bundled digits, those that train


class Cluster(NamedTuple):
    """The links of a ring through all GPUs.

    Attributes:
        node: GPUs of a node.
        inside, between: bytes a second from a GPU to the next one, in a node and from node to node.
        hop_inside, hop_between: seconds that a message of no length takes.
    """

    node: int
    inside: float
    between: float
    hop_inside: float
    hop_between: float


# Of nodes of eight H100s, as their vendor states it: NVLink with 450 GB/s a direction, InfiniBand with 400 Gbit/s a
# GPU. The hops are assumed.
CLUSTER: Final = Cluster(8, 450e9, 50e9, 2e-6, 5e-6)


class Step(NamedTuple):
    """A training step of one GPU: its images, seconds, and bytes of gradients."""

    images: int
    seconds: float
    gradients: int


class Simulated(NamedTuple):
    """A step on so many GPUs, each with its own images, nothing of the all-reduce being hidden."""

    gpus: int
    all_reduce: float
    images_per_second: float
    efficiency: float


class Measured(NamedTuple):
    """The last epoch of a run on so many processes of one thread."""

    device: str
    processes: int
    images_per_second: float
    train_loss: float
    test_elbo: float


def all_reduce_seconds(gpus: int, size: float, cluster: Cluster = CLUSTER) -> float:
    """A ring all-reduce of `size` bytes: 2 (n - 1) messages of a part in n of them, each over the slowest link."""
    crosses = gpus > cluster.node
    bandwidth = cluster.between if crosses else cluster.inside
    hop = cluster.hop_between if crosses else cluster.hop_inside
    return 2 * (gpus - 1) * (size / gpus / bandwidth + hop)


def simulated(step: Step, gpus: int, cluster: Cluster = CLUSTER) -> Simulated:
    """`step` on each of so many GPUs, then the all-reduce."""
    waiting = all_reduce_seconds(gpus, step.gradients, cluster)
    whole = step.seconds + waiting
    return Simulated(gpus, waiting, gpus * step.images / whole, step.seconds / whole)


def measured_step(path: Path = _STEP) -> Step:
    """The newest captured step of `bench.gpu.training`."""
    rows = (row for row in newest(path) if (row.op, row.provider) == ("conv_step", f"{FASTVAE}{GRAPH}"))
    row = max(rows, key=lambda row: row.date)
    networks = training_steps.fresh_networks()
    count = sum(parameter.numel() for network in networks for parameter in network.parameters())
    return Step(int(row.size.split("x")[0]), row.median_s, 4 * count)


def measured(processes: int, epochs: int) -> Measured:
    """A run of the bundled digits on so many processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        options = [*_OPTIONS, f"--epochs={epochs}", f"--out={folder}/run"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "-m", "fastvae", "train", *options], check=True, capture_output=True, env=environment)
        with (Path(folder) / "run" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
    # The first epoch is slower: what the processes need of each other is set up in it.
    seconds = float(rows[-1]["seconds"]) - float(rows[0]["seconds"])
    rate = _IMAGES * (len(rows) - 1) / seconds
    return Measured(cpu(), processes, rate, float(rows[-1]["train_loss"]), float(rows[-1]["test_elbo"]))


def kept() -> list[Measured]:
    """The rows of the newest measurement."""
    with RESULTS.open() as file:
        return [
            Measured(row["device"], int(row["processes"]), *(float(row[name]) for name in Measured._fields[2:]))
            for row in csv.DictReader(file)
        ]


def parts(found: Sequence[Measured], step: Step) -> dict[str, str]:
    """What stands between the markers of the page."""
    header = ["processes", "images/s", "of one process", "train loss", "test ELBO"]
    single = found[0].images_per_second
    lines = [
        (
            f"{row.processes}",
            f"{row.images_per_second:,.0f}",
            f"{row.images_per_second / single:.2f}",
            *map(_loss, row[3:]),
        )
        for row in found
    ]
    measured = f"{pages.table(header, lines, 0)}\n\n{found[0].device}, one thread a process, the last epoch."
    header = ["GPUs", "all-reduce", "step", "images/s", "efficiency"]
    rows = (simulated(step, gpus) for gpus in _GPUS)
    lines = [
        (f"{row.gpus:,}", _ms(row.all_reduce), _ms(step.seconds + row.all_reduce), f"{row.images_per_second:,.0f}",
         f"{row.efficiency:.0%}")
        for row in rows
    ]  # fmt: skip
    of_one = f"A step of {step.images:,} images in {_ms(step.seconds)} on one H100, measured"
    return {
        "measured": measured,
        "simulated": f"{pages.table(header, lines, 0)}\n\n{of_one}; {step.gradients / 1e6:.1f} MB of gradients.",
    }


def _loss(value: object) -> str:
    return f"{value:.4f}"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f} ms"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--processes", default="1,2", show_default=True, help="Numbers of them, separated by commas; or none.")
@click.option("--epochs", default=10, show_default=True, type=click.IntRange(min=2), help="Of each measured run.")
def main(processes: str, epochs: int) -> None:
    """Measure runs on several processes, and write docs/scaling.md from the newest ones and the model."""
    counts = [] if processes == "none" else [int(count) for count in processes.split(",")]
    if counts:
        rows = [measured(count, epochs) for count in counts]
        with RESULTS.open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerows([Measured._fields, *rows])
    pages.write(PAGE, parts(kept(), measured_step()))
    click.echo(str(PAGE))


if __name__ == "__main__":
    main()
