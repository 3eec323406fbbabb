"""The Markdown table of a CSV: ``python -m bench.table CSV``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from bench import pages
from bench.report import seconds
from bench.results import FASTVAE, GRAPH, SIGMOID, Row, newest

_COPIED: Final = " vs sigmoid + BCE"


class Comparison(NamedTuple):
    """fastvae and its peers, written one way, at one size.

    Attributes:
        name: the op, the size, and the way where it is not fastvae's own.
        rows: by provider, `SIGMOID` left out, and regime.
    """

    name: str
    rows: Mapping[tuple[str, str], Row]

    def row(self, provider: str, regime: str = "warm") -> Row | None:
        """A provider's row. What is measured on a GPU, which has no regimes, counts as warm."""
        return self.rows.get((provider, regime), self.rows.get((provider, "")) if regime == "warm" else None)


def comparisons(rows: Sequence[Row], threads: int = 1, names: Collection[str] | None = None) -> list[Comparison]:
    """What forward and backward together, or a training step, take; on a CPU, on so many threads.

    Args:
        names: only these.

    Raises:
        ValueError: there are none.
    """
    whole = [row for row in rows if row.mode in ("both", "step") and row.threads in (None, threads)]
    ours: dict[str, dict[tuple[str, str], Row]] = {}
    peers: dict[str, dict[tuple[str, str], Row]] = {}
    for row in whole:
        if row.provider.startswith(FASTVAE):
            ours.setdefault(row.case, {})[row.provider, row.regime] = row
        else:
            name = f"{row.case}{_COPIED}" if row.provider.endswith(SIGMOID) else row.case
            peers.setdefault(name, {})[row.provider.removesuffix(SIGMOID), row.regime] = row
    made = [
        Comparison(name, {**ours[name.removesuffix(_COPIED)], **found})
        for name, found in peers.items()
        if names is None or name in names
    ]
    if not made:
        raise ValueError(f"run of {rows[0].date}: got no rows of {threads} threads; takes a run with them")
    return made


class Column(NamedTuple):
    """What of a provider's rows is shown; left out where there is nothing to show in any line.

    Attributes:
        note: what is to be said of it below the table.
    """

    title: str
    provider: str
    shown: Callable[[Row], str | None]
    regime: str = "warm"
    note: str = ""

    def cell(self, comparison: Comparison) -> str:
        """Empty where nothing was measured."""
        row = comparison.row(self.provider, self.regime)
        return (row and self.shown(row)) or ""


def _bold(value: float | None) -> str | None:
    if value is None:
        return None
    return f"**{value:.2f}**" if value < 1 else f"{value:.2f}"


def ratio(row: Row) -> str | None:
    """The peer's time over fastvae's; where fastvae loses, it stands out."""
    return _bold(row.ratio)


def _alone_ratio(row: Row) -> str | None:
    return _bold(row.alone_ratio)


def _alone(row: Row) -> str | None:
    return None if row.alone_s is None else seconds(row.alone_s)


def _time(row: Row) -> str:
    return seconds(row.median_s)


def _bandwidth(row: Row) -> str | None:
    return None if row.of_bandwidth is None else f"{row.of_bandwidth:.0%}"


def _memory(row: Row) -> str | None:
    return None if row.peak_bytes is None else f"{row.peak_bytes / row.elements:.3g}"


def _launches(row: Row) -> str | None:
    return None if row.launches_forward is None else f"{row.launches_forward} + {row.launches_backward}"


COLUMNS: Final = (
    Column("fastvae", FASTVAE, _time),
    Column(
        "of bandwidth", FASTVAE, _bandwidth,
        note="Of bandwidth: the bytes that the op must move over its time, as a part of what STREAM's triad (on a GPU, "
        "a copy) of as many reached in the same run; small ones lie in caches.",
    ),
    Column("vs eager", "eager", ratio),
    Column("vs compile", "compile", ratio),
    Column(
        "alone", FASTVAE, _alone,
        note="Alone: each provider in a loop of its own, which finds what it needs in caches; in turn, every call "
        "finds what the other providers left there.",
    ),
    Column("alone, vs eager", "eager", _alone_ratio),
    Column("alone, vs compile", "compile", _alone_ratio),
    Column(
        "bytes/element", FASTVAE, _memory,
        note="Bytes are the most that a call allocates at once, gradients included.",
    ),
    Column("vs eager, default malloc", "eager", ratio, "def"),
    Column("vs compile, default malloc", "compile", ratio, "def"),
    Column(
        "launches", FASTVAE, _launches, note="Launches: forward + backward, the draw of a seed included."
    ),
    Column("in a graph", f"{FASTVAE}{GRAPH}", _time),
    Column("in a graph, vs eager", f"eager{GRAPH}", ratio),
    Column("in a graph, vs compile", f"compile{GRAPH}", ratio),
)  # fmt: skip


def caption(rows: Sequence[Row]) -> str:
    """What rows share: the device, the versions, and each run that they are of."""
    row = rows[0]
    threads = "" if row.threads is None else f"{row.threads} thread{'s' * (row.threads > 1)}"
    software = {"driver": row.driver, "CUDA": row.cuda, "torch": row.torch, "triton": row.triton}
    versions = (f"{name} {version}" for name, version in software.items() if version)
    said = [row.device, row.capability, threads, *versions]
    runs = dict.fromkeys(f"commit {row.commit}, {row.date[:10]}" for row in rows)
    return ", ".join(part for part in [*said, " and ".join(runs)] if part)


def markdown(
    rows: Sequence[Row], threads: int = 1, names: Collection[str] | None = None, titles: Collection[str] | None = None
) -> str:
    """The table, and below it what its numbers are.

    Args:
        names: of the comparisons to show. [default: all]
        titles: of the columns to show. [default: all]
    """
    lines = comparisons(rows, threads, names)
    asked = [column for column in COLUMNS if titles is None or column.title in titles]
    shown = [column for column in asked if any(column.cell(line) for line in lines)]
    body = [[line.name, *(column.cell(line) for column in shown)] for line in lines]
    of_lines = list({id(row): row for line in lines for row in line.rows.values()}.values())
    note = (
        f"{caption(of_lines)}. Forward and backward together, float32 unless said; medians of interleaved runs, ratios "
        "are the peer's time over fastvae's, so that above 1 fastvae is faster and **below 1 it loses**."
    )
    notes = [note, *(column.note for column in shown if column.note)]
    return f"{pages.table(['op and size', *(column.title for column in shown)], body)}\n\n{' '.join(notes)}"


@click.command()
@click.argument("csv", type=click.Path(path_type=Path))
def main(csv: Path) -> None:
    """Print the table of the newest rows of CSV."""
    try:
        click.echo(markdown(newest(csv)))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
