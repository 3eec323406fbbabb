"""One provider's count of one workload, and how processes hand it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.proofs.traffic.passes import Tally
from bench.proofs.traffic.workloads import Workload


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


def row_of(workload: Workload, provider: str, forward: Tally, backward: Tally) -> Row:
    """The row of what `provider` does for `workload`."""
    return Row(
        op=workload.sized.op.name,
        size=workload.sized.size,
        dtype=workload.dtype,
        provider=provider,
        forward_bytes=forward.bytes,
        backward_bytes=backward.bytes,
        bytes_per_element=(forward.bytes + backward.bytes) / workload.sized.elements,
        forward_launches=forward.launches,
        backward_launches=backward.launches,
    )


def encode(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as JSON takes them; `Row(**one)` is the way back."""
    return [asdict(row) for row in rows]
