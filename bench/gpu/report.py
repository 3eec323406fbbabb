"""What a run prints: a line for each case, and the musts at the end."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gpu.results import Row
from bench.report import seconds, verdict


def line(rows: Sequence[Row]) -> str:
    """One case, fastvae's row first."""
    ours, *others = rows
    said = [f"{ours.case}: {seconds(ours.median_s)}"]
    if ours.of_copy is not None:
        said.append(f"{ours.of_copy:.0%} of a copy at {ours.copy_bytes_per_s / 1e12:.3g} TB/s{verdict(ours)}")
    if ours.launches_forward is not None:
        said.append(f"{ours.launches_forward}+{ours.launches_backward} launches")
    for row in others:
        said.append(
            f"{row.provider} {seconds(row.median_s)}"
            if row.provider.startswith("fastvae")
            else f"{row.provider} {row.ratio:.2f}x{verdict(row)}"
        )
    return ", ".join(said)


def summary(rows: Sequence[Row]) -> list[str]:
    """How many musts hold, then one line for each that does not."""
    judged = [row for row in rows if row.holds is not None]
    bounded = [row for row in rows if row.few_enough is not None]
    slow, many = [row for row in judged if not row.holds], [row for row in bounded if not row.few_enough]
    lines = [
        f"{len(judged) - len(slow)} of {len(judged)} speeds hold, {len(bounded) - len(many)} of {len(bounded)} counts "
        "of launches"
    ]
    for row in slow:
        got = row.of_copy if row.provider == "fastvae" else row.ratio
        what = "part of the copy" if row.provider == "fastvae" else row.provider
        lines.append(f"missed: {row.case} {what}: {got:.3g}, must {row.must:.3g}")
    for row in many:
        most = f"{row.max_forward}+{row.max_backward}"
        lines.append(f"too many: {row.case}: {row.launches_forward}+{row.launches_backward} launches, at most {most}")
    return lines
