"""``python -m bench.guides``: the tables and pictures of the guides, of runs that take minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
import torch

from bench import ROOT, pages
from bench.guides import running
from bench.guides.pictures import PICTURES, save
from bench.guides.running import Run
from bench.guides.studies import STUDIES

_DEFAULT: Final = "no option more"


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(STUDIES)))
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each setting.")
@click.option("--docs", type=click.Path(path_type=Path), default=ROOT / "docs", help="Where the pages are.")
def main(names: tuple[str, ...], seeds: int, docs: Path) -> None:
    """Train for the tables NAMES, or for all of them, and write them and their pictures into DOCS."""
    for name in names or STUDIES:
        study = STUDIES[name]
        rows, firsts = [], {}
        for options in study.settings:
            runs = [running.trained(f"{study.common} {options}", seed, study.num_samples) for seed in range(seeds)]
            firsts[options] = runs[0]
            found = running.cells(study.columns, [run.found for run in runs])
            rows.append([f"`{options}`" if options else _DEFAULT, *found])
            click.echo("  ".join(rows[-1]))
        _draw(name, firsts, docs / "pictures")
        command = " ".join(["fastvae train", study.common]).strip()
        of = "Seed 0" if seeds == 1 else f"Means over seeds 0 to {seeds - 1}"
        said = f"{of}, on the test images; torch {torch.__version__}."
        table = pages.table([f"`{command}`", *study.columns], rows)
        pages.write(docs / "guides" / study.page, {name: f"{table}\n\n{said}"})


def _draw(study: str, runs: dict[str, Run], folder: Path) -> None:
    for file, picture in PICTURES.items():
        if picture.study == study:
            save(picture.draw([runs[options] for options in picture.settings]), folder / file)


if __name__ == "__main__":
    main()
