"""What a run prints: a line for each measurement, and the musts at the end."""

from __future__ import annotations

from collections.abc import Sequence

from bench.results import FASTVAE, Row


def seconds(value: float) -> str:
    """A time to three digits, in its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def line(rows: Sequence[Row]) -> str:
    """One measurement, fastvae's row first."""
    ours, *others = rows
    said = [f"{_name(ours)}: {seconds(ours.median_s)}"]
    if ours.peak_bytes is not None:
        said.append(f"{ours.peak_bytes / ours.elements:.2f} B/element")
    if ours.of_bandwidth is not None and ours.bytes_per_s is not None:
        said.append(f"{ours.of_bandwidth:.0%} of {ours.bytes_per_s / 1e9:.3g} GB/s{_verdict(ours)}")
    if ours.launches_forward is not None:
        said.append(f"{ours.launches_forward}+{ours.launches_backward} launches")
    return ", ".join([*said, *map(_other, others)])


def _other(row: Row) -> str:
    if row.provider.startswith(FASTVAE) or row.ratio is None:
        return f"{row.provider} {seconds(row.median_s)}"
    alone = "" if row.alone_ratio is None else f", alone {row.alone_ratio:.2f}x"
    return f"{row.provider} {row.ratio:.2f}x{_verdict(row)}{alone}"


def _verdict(row: Row) -> str:
    """The must of a row and whether it holds, behind its number; nothing where there is none."""
    if row.must is None:
        return ""
    goal = "" if row.goal is None else f", goal {row.goal:.3g}"
    return f" (must {row.must:.3g}{goal}: {'holds' if row.holds else 'MISSED'})"


def summary(rows: Sequence[Row]) -> list[str]:
    """How many musts and bounds hold, then one line for each that does not."""
    judged = [row for row in rows if row.holds is not None]
    bounded = [(row, bound) for row in rows for bound in row.bounds]
    slow = [row for row in judged if not row.holds]
    many = [(row, bound) for row, bound in bounded if bound.used > bound.most]
    lines = [
        f"{len(judged) - len(slow)} of {len(judged)} speeds hold, {len(bounded) - len(many)} of {len(bounded)} bounds"
    ]
    for row in slow:
        what = "part of the bandwidth" if row.provider == FASTVAE else row.provider
        got = "nothing" if row.reached is None else f"{row.reached:.3g}"
        lines.append(f"missed: {_name(row)} {what}: {got}, must {row.must:.3g}")
    lines += [f"too many: {_name(row)}: {bound.used} {bound.of}, at most {bound.most}" for row, bound in many]
    return lines


def _name(row: Row) -> str:
    threads = "" if row.threads is None else f"T{row.threads}"
    parts = (row.regime, threads, row.case, "" if row.mode == "both" else row.mode)
    return " ".join(part for part in parts if part)
