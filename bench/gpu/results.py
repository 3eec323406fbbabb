"""The rows of ``gpu.csv``: one a provider, op and size, forward and backward together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bench.results import Judged

GRAPH: Final = "_graph"


@dataclass(frozen=True, kw_only=True)
class Row(Judged):
    """What one provider took, and what it was to take.

    Attributes:
        date: when the run began, the same in all its rows.
        dtype, target: of the inputs, and of the target where there is one.
        provider: ``"fastvae"``, ``"eager"`` or ``"compile"``; with ``"_graph"`` behind it, replayed as a CUDA graph.
        launch_bound: timed on the CPU's clock, launches included; else between events of the device.
        rounds, calls: how often the provider was timed, and how many calls together.
        ratio: the provider's time over fastvae's of the same round, median; under graphs both are.
        min_bytes: what the op must move, at the bandwidth that a copy of as many bytes had in the same rounds.
        of_copy: the copy's time over the provider's of the same round, median; None where caches and launches decide.
        must, goal: what `ratio` is to be at least; on fastvae's own row, what `of_copy` is.
        launches_forward, launches_backward: kernels, copies and fills of each pass; None where nobody counted.
        max_forward, max_backward: how many fastvae may have.
    """

    date: str
    commit: str
    device: str
    driver: str
    cuda: str
    torch: str
    triton: str
    fastvae: str
    op: str
    size: str
    dtype: str
    target: str
    provider: str
    elements: int
    launch_bound: int
    rounds: int
    calls: int
    median_s: float
    q20_s: float
    q80_s: float
    ratio: float
    ratio_q20: float
    ratio_q80: float
    min_bytes: int
    copy_bytes_per_s: float
    of_copy: float | None
    must: float | None
    goal: float | None
    launches_forward: int | None
    launches_backward: int | None
    max_forward: int | None
    max_backward: int | None

    @property
    def reached(self) -> bool:
        """Whether fastvae moved its bytes at least at so large a part of a copy's bandwidth."""
        return self.of_copy is not None and self.must is not None and self.of_copy >= self.must

    @property
    def few_enough(self) -> bool | None:
        """Whether both passes launched no more than they may; None where nobody asked or counted."""
        asked = ((self.launches_forward, self.max_forward), (self.launches_backward, self.max_backward))
        known = [found <= most for found, most in asked if found is not None and most is not None]
        return all(known) if known else None

    @property
    def case(self) -> str:
        """The op and its size, as in tables and pictures."""
        kinds = [*(["bf16"] if self.dtype == "bfloat16" else []), *(["uint8"] if self.target == "uint8" else [])]
        return ", ".join([f"{self.op} {self.size}", *kinds])

    @property
    def graph(self) -> bool:
        """Whether it was replayed as a CUDA graph."""
        return self.provider.endswith(GRAPH)
