"""Write the newest runs into the README: ``python -m bench.readme``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from bench import ROOT, plot, table
from bench.gpu import table as gpu_table
from bench.gpu.results import Row as GpuRow
from bench.results import Row, latest_file, newest

_NO_GPU: Final = "No run on a GPU has been recorded: nothing is claimed about speed on one."


def insert(text: str, part: str, between: str) -> str:
    """`text` with what stands between the two markers of `part` replaced.

    Raises:
        ValueError: it has not exactly one of each, in their order.
    """
    begin, end = f"<!-- {part}:begin -->", f"<!-- {part}:end -->"
    if (text.count(begin), text.count(end)) != (1, 1) or text.index(begin) > text.index(end):
        raise ValueError(f"README: got no single pair of {begin} and {end}; takes one of each")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n{between}\n{end}{after}"


def cpu(csv: Path, folder: Path) -> str:
    """The picture and the table of the newest run in `csv`, for a page in `folder`."""
    rows = newest(csv, Row)
    picture, *_ = plot.draw(csv, rows, threads=1, regime="warm")
    return f"![Speed-ups]({picture.relative_to(folder)})\n\n{table.markdown(rows)}"


def gpu(results: Path) -> str:
    """The tables of the newest run of each GPU that there is a ``gpu.csv`` of below `results`."""
    tables = [gpu_table.markdown(newest(csv, GpuRow)) for csv in sorted(results.glob("*/gpu.csv"))]
    return "\n\n".join(tables) or _NO_GPU


@click.command()
@click.argument("csv", type=click.Path(path_type=Path), required=False)
@click.option("--readme", type=click.Path(path_type=Path), default=ROOT / "README.md", help="[default: README.md]")
def main(csv: Path | None, readme: Path) -> None:
    """Write the newest run of CSV, by default of the CPU measured last, and those on GPUs into the README."""
    try:
        text = readme.read_text(encoding="utf-8")
        text = insert(text, "bench", cpu((csv or latest_file()).resolve(), readme.resolve().parent))
        text = insert(text, "gpu", gpu(ROOT / "bench" / "results"))
        readme.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(readme))


if __name__ == "__main__":
    main()
