"""Draw the newest run of a CSV: ``python -m bench.plot``. Reads nothing but the CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import click
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.results import Row, latest_file, newest
from bench.table import SIGMOID, caption, comparison, whole

# Orange and blue of Okabe & Ito (2008), told apart by everybody.
_WINS: Final = "#0072B2"
_LOSES: Final = "#D55E00"
_MARKERS: Final = "osD^vP*X"
_TICKS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
_PEERS: Final = {"eager": "eager PyTorch", "compile": "torch.compile"}


class Compared(Protocol):
    """What a bar is drawn from."""

    @property
    def ratio(self) -> float:
        """The median."""

    @property
    def ratio_q20(self) -> float:
        """The 20 % quantile."""

    @property
    def ratio_q80(self) -> float:
        """The 80 % quantile."""

    @property
    def must(self) -> float | None:
        """What the ratio is to be at least."""


def ratios(rows: Sequence[Row], threads: int, regime: str) -> Figure:
    """A bar for each op and size: the peer's time over fastvae's, with the 20 % and 80 % quantiles.

    Args:
        rows: of one run.
        threads, regime: the setting that is drawn, whole passes only.

    Raises:
        ValueError: the run has no such rows.
    """
    drawn = [row for row in whole(rows, threads, regime) if row.provider.removesuffix(SIGMOID) in _PEERS]
    cases = list(dict.fromkeys(map(comparison, drawn)))
    figure = Figure(figsize=(9, 1.6 + 0.19 * len(cases)), layout="constrained")
    panels = figure.subplots(1, len(_PEERS), sharey=True)
    for panel, (peer, title) in zip(panels, _PEERS.items(), strict=True):
        shown = [row for row in drawn if row.provider.removesuffix(SIGMOID) == peer]
        bars(panel, shown, [cases.index(comparison(row)) for row in shown])
        panel.set_title(f"{title}'s time / fastvae's", fontsize=9)
    panels[0].set_yticks(range(len(cases)), cases, fontsize=7)
    panels[0].set_ylim(len(cases) - 0.4, -0.6)
    figure.suptitle(f"fastvae, forward + backward, {caption(drawn)}", fontsize=9)
    keys: list[Patch | Line2D] = [Patch(color=_WINS, label="fastvae is faster"), Patch(color=_LOSES, label="slower")]
    if any(row.must is not None for row in drawn):
        keys.append(Line2D([], [], color="black", marker="|", linestyle="none", label="must reach"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=8, frameon=False)
    return figure


def bars(panel: Axes, rows: Sequence[Compared], places: Sequence[int]) -> None:
    """A horizontal bar for each row at its place, from a draw to its ratio."""
    values = [row.ratio for row in rows]
    panel.barh(
        places,
        # On a logarithmic axis a bar begins where it is told to: at a draw.
        [value - 1 for value in values],
        left=1,
        height=0.7,
        color=[_WINS if value >= 1 else _LOSES for value in values],
        xerr=(
            [row.ratio - row.ratio_q20 for row in rows],
            [row.ratio_q80 - row.ratio for row in rows],
        ),
        error_kw={"elinewidth": 0.7, "ecolor": "0.5"},
    )
    panel.plot(
        [row.must for row in rows if row.must is not None],
        [place for place, row in zip(places, rows, strict=True) if row.must is not None],
        "k|",
        markersize=8,
    )
    panel.set_xscale("log")
    low, high = min([*values, 0.7]), max([*values, *(row.must or 1 for row in rows), 1.5])
    panel.set_xlim(low / 1.2, high * 1.7)
    for place, row in zip(places, rows, strict=True):
        panel.text(max(row.ratio_q80, 1, row.must or 1) * 1.08, place, f"{row.ratio:.2g}", va="center", fontsize=6)
    panel.axvline(1, color="black", linewidth=0.8)
    panel.xaxis.set_major_locator(FixedLocator(_TICKS))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.tick_params(axis="x", labelsize=7)
    panel.grid(axis="x", linewidth=0.3)
    panel.set_axisbelow(True)


def roofline(rows: Sequence[Row], threads: int, regime: str) -> Figure:
    """The bytes that each op must move over its time, below what the triad of the same run moved.

    The ops compute little for each byte: size, which decides where the data lives, takes the place of intensity.
    """
    drawn = [row for row in whole(rows, threads, regime) if row.provider == "fastvae" and row.min_bytes is not None]
    if not drawn:
        raise ValueError("roofline: got no rows with min_bytes; takes a run of more than the training steps")
    figure = Figure(figsize=(8.5, 4.5), layout="constrained")
    axes = figure.subplots()
    bandwidths: dict[int, list[float]] = {}
    for row in drawn:
        bandwidths.setdefault(row.elements, []).append(row.triad_bytes_per_s / 1e9)
    sizes = sorted(bandwidths)
    axes.plot(sizes, [max(bandwidths[size]) for size in sizes], "k-", linewidth=1.2, label="triad, the same run")
    ops = dict.fromkeys((row.op, row.target) for row in drawn)
    for (op, target), marker in zip(ops, _MARKERS, strict=False):
        mine = sorted((row for row in drawn if (row.op, row.target) == (op, target)), key=lambda row: row.elements)
        reached = [(row.min_bytes or 0) / row.median_s / 1e9 for row in mine]
        label = f"{op}, uint8 target" if target == "uint8" else op
        axes.plot([row.elements for row in mine], reached, marker=marker, linewidth=0.6, markersize=5, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("elements")
    axes.set_ylabel("GB/s of the bytes that must be moved")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(which="both", linewidth=0.3)
    axes.set_title(f"fastvae, forward + backward, {caption(drawn)}", fontsize=9)
    figure.legend(loc="outside right upper", fontsize=7)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG."""
    FigureCanvasAgg(figure)
    # No date or version in the file: the same CSV gives the same bytes.
    figure.savefig(path, dpi=130, metadata={"Software": None})


def draw(csv: Path, rows: Sequence[Row], threads: int, regime: str) -> list[Path]:
    """Draw both pictures beside their CSV."""
    figures = {"ratios": ratios(rows, threads, regime), "roofline": roofline(rows, threads, regime)}
    paths = []
    for name, figure in figures.items():
        paths.append(csv.with_name(f"{name}.png"))
        save(figure, paths[-1])
    return paths


@click.command()
@click.argument("csv", type=click.Path(path_type=Path), required=False)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--regime", type=click.Choice(("warm", "def")), default="warm", show_default=True)
def main(csv: Path | None, threads: int, regime: str) -> None:
    """Draw the newest run of CSV, by default of the machine measured last."""
    try:
        path = csv or latest_file()
        for written in draw(path, newest(path, Row), threads, regime):
            click.echo(str(written))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
