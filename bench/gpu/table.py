"""The Markdown table of the newest run of a CSV: ``python -m bench.gpu.table CSV``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from bench.gpu.results import Row
from bench.report import seconds
from bench.results import newest

_HEADER: Final = (
    "op and size", "fastvae", "of a copy", "vs eager", "vs compile", "launches", "in a graph", "vs eager", "vs compile",
)  # fmt: skip


def markdown(rows: Sequence[Row]) -> str:
    """The table of one run; where fastvae loses, the ratio is below 1 and set in bold."""
    by_case: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_case.setdefault(row.case, {})[row.provider] = row
    first = rows[0]
    note = (
        f"{first.device}, driver {first.driver}, CUDA {first.cuda}, torch {first.torch}, triton {first.triton}, commit "
        f"{first.commit}, {first.date[:10]}. Forward and backward together, float32 unless said; medians of "
        "interleaved runs, ratios are the peer's time over fastvae's, so that above 1 fastvae is faster and **below 1 "
        "it loses**. Of a copy: the bytes that the op must move over its time, as a part of what a copy of as many "
        "bytes reached in the same rounds. Launches: forward + backward, the draw of a seed included."
    )
    head = ["| " + " | ".join(_HEADER) + " |", "|---" + "|---:" * (len(_HEADER) - 1) + "|"]
    return "\n".join([*head, *(_line(name, found) for name, found in by_case.items()), "", note])


def _line(name: str, found: dict[str, Row]) -> str:
    ours = found["fastvae"]
    cells = [
        name,
        seconds(ours.median_s),
        "" if ours.of_copy is None else f"{ours.of_copy:.0%}",
        _ratio(found.get("eager")),
        _ratio(found.get("compile")),
        "" if ours.launches_forward is None else f"{ours.launches_forward} + {ours.launches_backward}",
        seconds(found["fastvae_graph"].median_s) if "fastvae_graph" in found else "",
        _ratio(found.get("eager_graph")),
        _ratio(found.get("compile_graph")),
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(row: Row | None) -> str:
    if row is None:
        return ""
    shown = f"{row.ratio:.2f}"
    return f"**{shown}**" if row.ratio < 1 else shown


@click.command()
@click.argument("csv", type=click.Path(path_type=Path))
def main(csv: Path) -> None:
    """Print the table of the newest run of CSV."""
    try:
        click.echo(markdown(newest(csv, Row)))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
