"""Draw the newest run of a CSV: ``python -m bench.gpu.plot CSV``. Reads nothing but the CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.gpu.results import Row
from bench.plot import bars, save
from bench.results import newest

_PANELS: Final = {
    "eager": "eager PyTorch's time / fastvae's",
    "compile": "torch.compile's",
    "compile_graph": "both in CUDA graphs: torch.compile's",
}
_REACHED: Final = "#0072B2"


def picture(rows: Sequence[Row]) -> Figure:
    """The peers' times over fastvae's, and the part of a copy's bandwidth that fastvae reached, by op and size.

    Args:
        rows: of one run. A panel without rows is left out.
    """
    cases = list(dict.fromkeys(row.case for row in rows))
    panels = {title: [row for row in rows if row.provider == peer] for peer, title in _PANELS.items()}
    shown = {title: found for title, found in panels.items() if found}
    figure = Figure(figsize=(3 * (len(shown) + 1) + 2, 1.6 + 0.19 * len(cases)), layout="constrained")
    axes = figure.subplots(1, len(shown) + 1, sharey=True)
    for panel, (title, found) in zip(axes, shown.items(), strict=False):
        bars(panel, found, [cases.index(row.case) for row in found])
        panel.set_title(title, fontsize=8)
    _bandwidth(axes[-1], [row for row in rows if row.provider == "fastvae"], cases)
    axes[0].set_yticks(range(len(cases)), cases, fontsize=7)
    axes[0].set_ylim(len(cases) - 0.4, -0.6)
    first = rows[0]
    figure.suptitle(
        f"fastvae, forward + backward\n{first.device}, torch {first.torch}, triton {first.triton}, {first.commit}",
        fontsize=9,
    )
    return figure


def _bandwidth(panel: Axes, rows: Sequence[Row], cases: Sequence[str]) -> None:
    for row in rows:
        if row.of_copy is None:
            continue
        place = cases.index(row.case)
        panel.barh(place, row.of_copy, height=0.7, color=_REACHED)
        panel.text(row.of_copy + 0.02, place, f"{row.of_copy:.0%}", va="center", fontsize=6)
        if row.must is not None:
            panel.plot([row.must], [place], "k|", markersize=8)
    panel.set_xlim(0, 1.2)
    panel.xaxis.set_major_formatter(PercentFormatter(1))
    panel.axvline(1, color="black", linewidth=0.8)
    panel.tick_params(axis="x", labelsize=7)
    panel.grid(axis="x", linewidth=0.3)
    panel.set_axisbelow(True)
    panel.set_title("fastvae's part of a copy's bandwidth", fontsize=8)


@click.command()
@click.argument("csv", type=click.Path(path_type=Path))
def main(csv: Path) -> None:
    """Draw the newest run of CSV beside it."""
    try:
        path = csv.with_suffix(".png")
        save(picture(newest(csv, Row)), path)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(path))


if __name__ == "__main__":
    main()
