"""The Markdown table of a run, every row of it, from the CSV alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.report import seconds
from bench.results import Row

SIGMOID: Final = "_sigmoid"
_HEADER: Final = (
    "op and size", "fastvae", "vs eager", "vs compile", "bytes/element", "vs eager, default malloc",
    "vs compile, default malloc",
)  # fmt: skip


def case_name(row: Row) -> str:
    """An op and its size, as in tables and pictures."""
    of = ", uint8" if row.target == "uint8" else ""
    return f"{row.op} {row.size}{of}"


def comparison(row: Row) -> str:
    """The case of a peer's row, with the peer's way where it is another than fastvae's."""
    return f"{case_name(row)} vs sigmoid + BCE" if row.provider.endswith(SIGMOID) else case_name(row)


def whole(rows: Sequence[Row], threads: int, regime: str) -> list[Row]:
    """The rows of one setting that measure forward and backward together.

    Raises:
        ValueError: there are none.
    """
    found = [row for row in rows if (row.threads, row.regime) == (threads, regime) and row.mode in ("both", "step")]
    if not found:
        raise ValueError(f"run of {rows[0].date}: got no rows of {threads} threads, {regime}; takes a run with them")
    return found


def caption(rows: Sequence[Row]) -> str:
    """The setting of rows that share one."""
    row = rows[0]
    threads = f"{row.threads} thread{'s' * (row.threads > 1)}"
    return f"{row.dtype}, {threads}, {row.capability}, {row.regime}\n{row.cpu}, torch {row.torch}, {row.commit}"


def markdown(rows: Sequence[Row], threads: int = 1) -> str:
    """The table of one run; where fastvae loses, the ratio is below 1 and set in bold."""
    warm = whole(rows, threads, "warm")
    default = [row for row in rows if row.regime == "def" and row.mode in ("both", "step") and row.threads == threads]
    ours = {case_name(row): row for row in warm if row.provider == "fastvae"}
    lines = {comparison(row): _line(comparison(row), ours[case_name(row)], warm, default) for row in warm}
    first = warm[0]
    note = (
        f"{first.cpu}, {first.capability}, {threads} thread{'s' * (threads > 1)}, torch {first.torch}, commit "
        f"{first.commit}, {first.date[:10]}. Forward and backward together, {first.dtype}; medians of interleaved "
        "runs, ratios are the peer's time over fastvae's, so that above 1 fastvae is faster and **below 1 it loses**. "
        "Bytes are the most that a call allocates at once, gradients included."
    )
    head = ["| " + " | ".join(_HEADER) + " |", "|---" + "|---:" * (len(_HEADER) - 1) + "|"]
    return "\n".join([*head, *lines.values(), "", note])


def _line(name: str, ours: Row, warm: Sequence[Row], default: Sequence[Row]) -> str:
    peers = [_ratio(name, rows, peer) for rows in (warm, default) for peer in ("eager", "compile")]
    cells = [name, seconds(ours.median_s), *peers[:2], f"{ours.peak_bytes / ours.elements:.3g}", *peers[2:]]
    return f"| {' | '.join(cells)} |"


def _ratio(name: str, rows: Sequence[Row], peer: str) -> str:
    found = [row for row in rows if comparison(row) == name and row.provider.removesuffix(SIGMOID) == peer]
    if not found:
        return ""
    shown = f"{found[0].ratio:.2f}"
    return f"**{shown}**" if found[0].ratio < 1 else shown
