"""What a run prints: a line for each measurement, and the musts at the end."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results import Judged, Row


def seconds(value: float) -> str:
    """A time to three digits, in its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def line(rows: Sequence[Row]) -> str:
    """One measurement, fastvae's row first."""
    ours, *peers = rows
    where = f"{ours.regime} T{ours.threads} {ours.op} {ours.size} {ours.target} {ours.mode}"
    said = [f"{where}: {seconds(ours.median_s)}, {ours.peak_bytes / ours.elements:.2f} B/element"]
    if ours.floor is not None:
        said.append(f"{ours.floor:.2f}x the triad{verdict(ours)}")
    said += [f"{peer.provider} {peer.ratio:.2f}x{verdict(peer)}" for peer in peers]
    return ", ".join(said)


def verdict(row: Judged) -> str:
    """The must of a row and whether it holds, behind its number; nothing where there is none."""
    if row.must is None:
        return ""
    goal = "" if row.goal is None else f", goal {row.goal:.3g}"
    return f" (must {row.must:.3g}{goal}: {'holds' if row.holds else 'MISSED'})"


def summary(rows: Sequence[Row]) -> list[str]:
    """How many musts hold, then one line for each that does not."""
    judged = [row for row in rows if row.holds is not None]
    bounded = [row for row in rows if row.small_enough is not None]
    slow, large = [row for row in judged if not row.holds], [row for row in bounded if not row.small_enough]
    lines = [
        f"{len(judged) - len(slow)} of {len(judged)} speeds hold, {len(bounded) - len(large)} of {len(bounded)} peaks"
    ]
    for row in slow:
        got = row.floor if row.provider == "fastvae" else row.ratio
        what = "triad" if row.provider == "fastvae" else row.provider
        lines.append(f"missed: {_name(row)} {what}: {got:.3g}, must {row.must:.3g}")
    for row in large:
        lines.append(f"too large: {_name(row)}: {row.peak_bytes} bytes, at most {row.max_peak_bytes}")
    return lines


def _name(row: Row) -> str:
    return f"{row.regime} T{row.threads} {row.op} {row.size} {row.target}"
