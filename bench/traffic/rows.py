"""One provider's count of one case, and how processes hand it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.traffic.cases import Case
from bench.traffic.passes import Tally


@dataclass(frozen=True)
class Row:
    """Bytes and launches of one provider, forward and backward."""

    op: str
    size: str
    dtype: str
    provider: str
    forward_bytes: int
    backward_bytes: int
    bytes_per_element: float
    forward_launches: int
    backward_launches: int


def row_of(case: Case, provider: str, forward: Tally, backward: Tally) -> Row:
    """The row of what `provider` does for `case`."""
    return Row(
        op=case.op.name,
        size=case.size,
        dtype=case.dtype,
        provider=provider,
        forward_bytes=forward.bytes,
        backward_bytes=backward.bytes,
        bytes_per_element=(forward.bytes + backward.bytes) / case.elements,
        forward_launches=forward.launches,
        backward_launches=backward.launches,
    )


def encode(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as JSON takes them; `Row(**one)` is the way back."""
    return [asdict(row) for row in rows]
