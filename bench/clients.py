"""Whole training steps of other packages, before and after the change of a few lines: ``python -m bench.clients``.

The steps are those of examples/clients, as their packages make them, on one thread, one call of each in turn. Needs the
extra ``clients``. Writes ``bench/results/clients.csv`` and the table of docs/clients.md.
"""

from __future__ import annotations

import csv
import importlib.util
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import torch

from bench import ROOT, pages
from bench.machine import cpu, version
from bench.timing import Trial, interleave, ratios

PAGE: Final = ROOT / "docs" / "clients.md"
RESULTS: Final = ROOT / "bench" / "results" / "clients.csv"
_EXAMPLES: Final = ROOT / "examples" / "clients"


class Case(NamedTuple):
    """A step of an example: what the page calls it, the package whose version counts, and the arguments of `step`."""

    name: str
    package: str
    example: str
    arguments: Mapping[str, Any]


CASES: Final = (
    Case("PyTorch's example, batch 128", "torch", "pytorch_examples", {}),
    Case("pythae VAE, bce, batch 128", "pythae", "pythae_vae", {}),
    Case("pythae VAE, mse, batch 128", "pythae", "pythae_vae", {"reconstruction_loss": "mse"}),
    Case("pythae BetaTCVAE, batch 128", "pythae", "pythae_vae", {"model": "beta-tc-vae"}),
    Case("pythae BetaTCVAE, batch 1024", "pythae", "pythae_vae", {"model": "beta-tc-vae", "batch": 1024}),
    Case("Lightning, MLP, batch 128", "lightning", "lightning_module", {}),
    Case("diffusers AutoencoderKL, 4x3x64x64", "diffusers", "diffusers_autoencoder", {}),
    Case("scvi-tools SCVI, zinb, 128x2000", "scvi-tools", "scvi_model", {}),
    Case("scvi-tools SCVI, nb, 128x2000", "scvi-tools", "scvi_model", {"gene_likelihood": "nb"}),
    Case("scvi-tools SCVI, zinb, 128x20000", "scvi-tools", "scvi_model", {"genes": 20_000}),
)


class Measured(NamedTuple):
    """Seconds of a step, theirs and with the fused loss, and the median of the ratios of calls made in turn."""

    device: str
    case: str
    package: str
    version: str
    theirs: float
    fused: float
    ratio: float


def example(name: str) -> Any:
    """A script of examples/clients as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", _EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _trial(run: Callable[[], float]) -> Trial:
    return Trial(lambda: None, lambda _: run())


def measured(case: Case, *, repeats: int, min_time: float) -> Measured:
    """Both steps in turn."""
    steps, trials = example(case.example).step, {}
    for provider in ("theirs", "fused"):
        trials[provider] = _trial(steps(fused=provider == "fused", **case.arguments))
    calls = interleave(trials, repeats=repeats, min_time=min_time, warm_up=5)
    theirs, fused = (statistics.median(call.seconds for call in calls[name]) for name in trials)
    ratio = ratios(calls["theirs"], calls["fused"]).median
    return Measured(cpu(), case.name, case.package, version(case.package), theirs, fused, ratio)


def kept(path: Path = RESULTS) -> list[Measured]:
    """The rows of the newest measurement."""
    with path.open() as file:
        return [
            Measured(
                row["device"], row["case"], row["package"], row["version"], float(row["theirs"]), float(row["fused"]),
                float(row["ratio"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def table(rows: Sequence[Measured]) -> str:
    """What stands between the markers of the page."""
    header = ["whole training step", "version", "theirs", "fused", "ratio"]
    lines = [
        (row.case, f"{row.package} {row.version}", f"{1e3 * row.theirs:.2f} ms", f"{1e3 * row.fused:.2f} ms",
         f"{row.ratio:.2f}")
        for row in rows
    ]  # fmt: skip
    return (
        f"{pages.table(header, lines, 2)}\n\n{rows[0].device}, one thread, medians; above 1 the fused step is faster."
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--repeats", default=15, show_default=True, type=click.IntRange(min=1), help="Rounds at least.")
@click.option("--min-time", default=3.0, show_default=True, help="Seconds a case at least.")
@click.option("--measure/--page-only", default=True, help="Or write the page from the rows there are.")
def main(repeats: int, min_time: float, measure: bool) -> None:
    """Measure whole steps of other packages, and write docs/clients.md's table."""
    torch.set_num_threads(1)
    if measure:
        rows = [measured(case, repeats=repeats, min_time=min_time) for case in CASES]
        with RESULTS.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([Measured._fields, *rows])
    pages.write(PAGE, {"clients": table(kept())})
    click.echo(str(PAGE))


if __name__ == "__main__":
    main()
