"""What the Triton kernels must reach and what they are after, forward and backward together."""

from __future__ import annotations

from typing import Final

from bench.gpu.cases import LATENTS, LOSSES, Case
from bench.gpu.launches import Launches
from bench.targets import Target

LARGE_ELEMENTS: Final = 64_000_000
OF_COPY: Final = Target(0.85, 0.95)
_LOSS_RATIOS: Final = {"eager": Target(5, None), "compile": Target(1.5, None)}
_LATENT_RATIOS: Final = {"compile": Target(1.2, None)}
# Inductor reads and writes the halves of packed moments apart, and what is bfloat16 more than once.
_PACKED_RATIOS: Final = {"compile": Target(1.4, None)}
# Where launches decide: faster than eager as it is, and no slower than the compiler under graphs.
_LAUNCH_RATIOS: Final = {"eager": Target(1, None), "compile_graph": Target(1, None)}
# A draw of the seed, the kernel and the sum of its parts; the loss needs no seed.
_LATENT_LAUNCHES: Final = Launches(3, 1)
_LOSS_LAUNCHES: Final = Launches(2, 1)


def of_copy(case: Case) -> Target | None:
    """Which part of the bandwidth of a copy fastvae is to reach."""
    return OF_COPY if case.elements >= LARGE_ELEMENTS else None


def ratio(case: Case, peer: str) -> Target | None:
    """By how much fastvae is to beat a peer."""
    if case.launch_bound:
        return _LAUNCH_RATIOS.get(peer)
    if case.elements < LARGE_ELEMENTS:
        return None
    if case.op in LOSSES:
        return _LOSS_RATIOS.get(peer)
    return (_PACKED_RATIOS if "packed" in case.op.name else _LATENT_RATIOS).get(peer)


def launches(case: Case) -> Launches:
    """How many launches fastvae may have."""
    if not case.launch_bound:
        return Launches()
    if case.op in LOSSES:
        return _LOSS_LAUNCHES
    return _LATENT_LAUNCHES if case.op in LATENTS else Launches()
