"""What the Triton kernels must reach and what they are after, forward and backward together."""

from __future__ import annotations

from typing import Final

from bench.gpu.benchmarks import LATENTS, LOSSES, Benchmark
from bench.gpu.launches import Launches
from bench.results import FASTVAE, Required

LARGE_ELEMENTS: Final = 64_000_000
OF_COPY: Final = Required(0.85, 0.95)
_LOSS_RATIOS: Final = {"eager": Required(5, None), "compile": Required(1.5, None)}
_LATENT_RATIOS: Final = {"compile": Required(1.2, None)}
# Inductor reads and writes the halves of packed moments apart, and what is bfloat16 more than once.
_PACKED_RATIOS: Final = {"compile": Required(1.4, None)}
# Where launches decide: faster than eager as it is, and no slower than the compiler under graphs.
_LAUNCH_RATIOS: Final = {"eager": Required(1, None), "compile_graph": Required(1, None)}
# Eager, a seed is drawn on the host, and the last program to arrive adds up the sums.
_LAUNCHES: Final = Launches(1, 1)


def required(benchmark: Benchmark, provider: str) -> Required | None:
    """By how much fastvae is to beat a peer; of fastvae itself, which part of a copy's bandwidth it is to reach."""
    large = benchmark.sized.elements >= LARGE_ELEMENTS
    if provider == FASTVAE:
        return OF_COPY if large else None
    if benchmark.launch_bound:
        return _LAUNCH_RATIOS.get(provider)
    if not large:
        return None
    if benchmark.op in LOSSES:
        return _LOSS_RATIOS.get(provider)
    return (_PACKED_RATIOS if "packed" in benchmark.op.name else _LATENT_RATIOS).get(provider)


def launches(benchmark: Benchmark) -> Launches:
    """How many launches fastvae may have."""
    return _LAUNCHES if benchmark.launch_bound and benchmark.op in (*LOSSES, *LATENTS) else Launches()
