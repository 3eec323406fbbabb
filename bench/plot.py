"""Draw the newest rows of a CSV, of a CPU or of a GPU: ``python -m bench.plot``. Reads nothing but the CSV."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import click
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from bench.results import FASTVAE, GRAPH, Row, latest_file, newest
from bench.table import Comparison, caption, comparisons

# Orange and blue of Okabe & Ito (2008), told apart by everybody, and their sky blue.
WINS: Final = "#0072B2"
_LOSES: Final = "#D55E00"
_OTHER: Final = "#56B4E9"
_TICKS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_PANELS: Final[Mapping[str, str]] = {
    "eager": "eager PyTorch's time / fastvae's",
    "compile": "torch.compile's",
    f"compile{GRAPH}": "both in CUDA graphs: torch.compile's",
}

Places = Mapping[int, Row]
"""Rows by their place from the top."""


def picture(rows: Sequence[Row], threads: int = 1, regime: str = "warm") -> Figure:
    """The peers' times over fastvae's, and the part of memory's bandwidth that fastvae reached, by op and size.

    Args:
        rows: of one device. A panel without any is left out.
        threads, regime: the setting that is drawn, of a CPU.

    Raises:
        ValueError: there are no such rows.
    """
    lines = comparisons(rows, threads)
    found = {title: _rows(lines, provider, regime) for provider, title in _PANELS.items()}
    panels = {title: places for title, places in found.items() if places}
    if not panels:
        raise ValueError(f"run of {rows[0].date}: got no rows of {threads} threads, {regime}; takes a run with them")
    figure = Figure(figsize=(3 * (len(panels) + 1) + 2, 1.6 + 0.19 * len(lines)), layout="constrained")
    axes = figure.subplots(1, len(panels) + 1, sharey=True)
    for panel, (title, places) in zip(axes, panels.items(), strict=False):
        _ratios(panel, places)
        panel.set_title(title, fontsize=8)
    own = _rows(lines, FASTVAE, regime)
    _bandwidth(axes[-1], {place: row for place, row in own.items() if row.case == lines[place].name})
    axes[0].set_yticks(range(len(lines)), [line.name for line in lines], fontsize=7)
    axes[0].set_ylim(len(lines) - 0.4, -0.6)
    setting = next(iter(own.values())).regime
    what = ", ".join(["fastvae, forward + backward", *([f"{setting} allocator"] if setting else [])])
    # Of many runs the caption is longer than the figure is wide; a character of this size takes a twelfth of an inch.
    machine = textwrap.fill(caption(list(own.values())), int(12 * figure.get_figwidth()))
    figure.suptitle(f"{what}\n{machine}", fontsize=9)
    keys: list[Patch | Line2D] = [Patch(color=WINS, label="fastvae is faster"), Patch(color=_LOSES, label="slower")]
    if any(row.must is not None for places in panels.values() for row in places.values()):
        keys.append(Line2D([], [], color="black", marker="|", linestyle="none", label="must reach"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=8, frameon=False)
    return figure


def few(rows: Sequence[Row], names: Collection[str]) -> Figure:
    """Two bars for each of a few comparisons, to be read at the width of a page.

    Args:
        rows: of one device.
        names: of the comparisons, see `bench.table.comparisons`.
    """
    lines = comparisons(rows, names=names)
    figure = Figure(figsize=(8, 1.4 + 0.55 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for offset, (provider, label, color) in enumerate(
        (("eager", "eager PyTorch's time / fastvae's", WINS), ("compile", "torch.compile's time / fastvae's", _OTHER))
    ):
        places = {place + 0.38 * offset - 0.19: row for place, row in _rows(lines, provider, "warm").items()}
        values = [row.ratio or 1 for row in places.values()]
        axes.barh(list(places), [value - 1 for value in values], left=1, height=0.36, color=color, label=label)
        for place, value in zip(places, values, strict=True):
            axes.text(max(value, 1) * 1.04, place, f"{value:.2f}", va="center", fontsize=11)
    _ratio_axis(axes, [row.ratio or 1 for line in lines for row in line.rows.values()])
    axes.set_yticks(range(len(lines)), [line.name for line in lines], fontsize=12)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=12)
    figure.legend(loc="outside upper center", ncols=2, fontsize=12, frameon=False)
    return figure


def _rows(lines: Sequence[Comparison], provider: str, regime: str) -> dict[int, Row]:
    """A provider's rows at the places of their lines."""
    found = {place: line.row(provider, regime) for place, line in enumerate(lines)}
    return {place: row for place, row in found.items() if row is not None}


def _ratios(panel: Axes, places: Places) -> None:
    """A bar from 1 to each ratio, with its 20 % and 80 % quantiles and what it must be."""
    drawn = {place: row for place, row in places.items() if row.ratio is not None}
    values = [row.ratio or 1 for row in drawn.values()]
    low, high = ([row.ratio_q20 or 1 for row in drawn.values()], [row.ratio_q80 or 1 for row in drawn.values()])
    panel.barh(
        list(drawn),
        # Bars begin at 1: on a logarithmic axis there is no 0.
        [value - 1 for value in values],
        left=1,
        height=0.7,
        color=[WINS if value >= 1 else _LOSES for value in values],
        xerr=(
            [value - least for value, least in zip(values, low, strict=True)],
            [most - value for value, most in zip(values, high, strict=True)],
        ),
        error_kw={"elinewidth": 0.7, "ecolor": "0.5"},
    )
    _musts(panel, places)
    for (place, row), value, most in zip(drawn.items(), values, high, strict=True):
        panel.text(max(most, 1, row.must or 1) * 1.08, place, f"{value:.2g}", va="center", fontsize=6)
    _ratio_axis(panel, [*values, *(row.must or 1 for row in drawn.values())])
    panel.tick_params(axis="x", labelsize=7)


def _ratio_axis(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis of ratios, with a line at 1."""
    axes.set_xscale("log")
    axes.set_xlim(min([*values, 0.7]) / 1.2, max([*values, 1.5]) * 1.7)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(axis="x", linewidth=0.3)
    axes.set_axisbelow(True)


def _bandwidth(panel: Axes, places: Places) -> None:
    drawn = {place: row.of_bandwidth for place, row in places.items() if row.of_bandwidth is not None}
    panel.barh(list(drawn), list(drawn.values()), height=0.7, color=WINS)
    for place, value in drawn.items():
        panel.text(value + 0.02, place, f"{value:.0%}", va="center", fontsize=6)
    _musts(panel, places)
    panel.set_xlim(0, 1.2)
    panel.xaxis.set_major_formatter(PercentFormatter(1))
    panel.axvline(1, color="black", linewidth=0.8)
    panel.tick_params(axis="x", labelsize=7)
    panel.grid(axis="x", linewidth=0.3)
    panel.set_axisbelow(True)
    panel.set_title("fastvae's part of the bandwidth", fontsize=8)


def _musts(panel: Axes, places: Places) -> None:
    musts = {place: row.must for place, row in places.items() if row.must is not None}
    panel.plot(list(musts.values()), list(musts), "k|", markersize=8)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG."""
    FigureCanvasAgg(figure)
    # No date or version in the file: the same CSV gives the same bytes.
    figure.savefig(path, dpi=130, metadata={"Software": None})


@click.command()
@click.argument("csv", type=click.Path(path_type=Path), required=False)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--regime", type=click.Choice(("warm", "def")), default="warm", show_default=True)
def main(csv: Path | None, threads: int, regime: str) -> None:
    """Draw the newest rows of CSV beside it, by default of the CPU measured last."""
    try:
        path = csv or latest_file()
        save(picture(newest(path), threads, regime), path.with_suffix(".png"))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(path.with_suffix(".png")))


if __name__ == "__main__":
    main()
