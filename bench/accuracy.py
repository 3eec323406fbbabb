"""How far KL and log density are off, in every implementation: ``python -m bench.accuracy`` writes docs/accuracy.md.

What is measured is `bench.proofs.scales`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import click

import fastvae
from bench import ROOT, pages
from bench.proofs.scales import Errors, measure
from fastvae import _C
from fastvae._options import PARAMETERIZATIONS

PAGE: Final = ROOT / "docs" / "accuracy.md"
IMPLEMENTATIONS: Final = ("reference", "default", "avx2", "avx512", "interpreter")
POINTS: Final = 2048


def backend(implementation: str) -> AbstractContextManager[None]:
    """The backend of an implementation."""
    if implementation == "reference":
        return fastvae.use_backend("reference")
    return fastvae.use_backend("triton") if implementation == "interpreter" else nullcontext()


def measured(implementation: str, points: int = POINTS) -> Errors:
    """The worst errors of an implementation, in a process of its own: instruction sets are chosen once."""
    environment = {**os.environ, "TRITON_INTERPRET": "1", "FASTVAE_CPU_CAPABILITY": "avx512"}
    if implementation in ("default", "avx2"):
        environment["FASTVAE_CPU_CAPABILITY"] = implementation
    command = [sys.executable, "-W", "ignore", "-m", "bench.accuracy", "--of", implementation]
    command += ["--points", str(points)]
    result = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: Errors = json.loads(result.stdout)
    return found


def table(errors: Mapping[str, Errors]) -> str:
    """The Markdown table: a row for each form and quantity, its gradients in a row of their own."""
    rows = []
    for parameterization in PARAMETERIZATIONS:
        for quantity in ("KL to N(0, I)", "KL to a prior", "log density"):
            for label, what in ((quantity, quantity), (f"{quantity}, gradients", f"{quantity}, d")):
                largest = (
                    max(value for name, value in found[parameterization].items() if _is(name, what))
                    for found in errors.values()
                )
                rows.append([parameterization, label, *(f"{value:.2f}" for value in largest)])
    return pages.table(["form", "", *errors], rows, text_columns=2)


def _is(name: str, what: str) -> bool:
    return name == what or name.startswith(f"{what} /")


@click.command()
@click.option("--of", "implementation", type=click.Choice(IMPLEMENTATIONS), help="Print the errors of one, as JSON.")
@click.option("--page", type=click.Path(path_type=Path), default=PAGE, help="[default: docs/accuracy.md]")
@click.option("--points", type=click.IntRange(2), default=POINTS, show_default=True, help="Sigmas of each form.")
def main(implementation: str | None, page: Path, points: int) -> None:
    """Measure every implementation and write the table into the page. Needs a processor with AVX-512."""
    if implementation is not None:
        with backend(implementation):
            click.echo(json.dumps(measure(points)))
        return
    if (best := _C.capability()) != "avx512":
        raise click.ClickException(f"processor: got {best} at most; takes one with AVX-512, and no cap on it")
    errors = {name: measured(name, points) for name in IMPLEMENTATIONS}
    pages.write(page, {"accuracy": table(errors)})
    click.echo(str(page))


if __name__ == "__main__":
    main()
