"""What the CPU kernels must reach and what they are after: ratios to the peers, and multiples of the triad's floor.

Set for one thread, forward and backward together. AVX2 must reach 0.6 of each; the portable kernels owe nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Target(NamedTuple):
    """A ratio to a peer is to be at least, a multiple of the floor at most this."""

    must: float
    goal: float | None


class _Ratios(NamedTuple):
    """Targets of a group of cases: the sizes named, or all of at least so many elements."""

    ops: tuple[str, ...]
    target: str
    sizes: tuple[str, ...] | int
    regime: str
    peers: Mapping[str, Target]


_LATENT: Final = ("reparameterize_kl", "reparameterize_kl_packed")
_RATIOS: Final = (
    _Ratios(("bce_logits",), "float32", ("128x784",), "warm",
            {"eager": Target(2.5, 3.5), "compile": Target(2.8, 3.5)}),
    _Ratios(("bce_logits",), "float32", ("4096x784", "64x3x256x256"), "warm",
            {"eager": Target(3.5, 5), "compile": Target(2.7, 3.5),
             "eager_sigmoid": Target(12, 24), "compile_sigmoid": Target(3.5, 4.5)}),
    _Ratios(("bce_logits",), "uint8", ("4096x784", "64x3x256x256"), "warm", {"eager": Target(4.5, 7)}),
    _Ratios(("mse",), "float32", ("128x784",), "warm", {"eager": Target(1.25, 1.5), "compile": Target(2.2, 2.8)}),
    _Ratios(("mse",), "float32", 3_000_000, "warm", {"eager": Target(1.6, 2.7), "compile": Target(1.6, 2.3)}),
    _Ratios(_LATENT, "-", ("128x20",), "warm", {"eager": Target(1.9, 2.5), "compile": Target(3, 5)}),
    _Ratios(_LATENT, "-", 131_000, "warm", {"eager": Target(2.8, 4), "compile": Target(10, 16)}),
    _Ratios(("elbo",), "float32", ("128x784+128x20",), "warm",
            {"eager": Target(2.3, 3), "compile": Target(2.6, 3.4)}),
    _Ratios(("elbo",), "float32", ("4096x784+4096x20",), "warm",
            {"eager": Target(3.4, 4.5), "compile": Target(3.5, 4.7)}),
    _Ratios(("elbo",), "float32", ("64x3x256x256+64x4x32x32",), "warm",
            {"eager": Target(4, 5.5), "compile": Target(2.7, 3.5)}),
    _Ratios(("bce_logits",), "float32", ("64x3x256x256",), "def",
            {"eager": Target(8, 12), "compile": Target(3, 4.6)}),
    _Ratios(("bce_logits_inplace",), "float32", ("64x3x256x256",), "def",
            {"eager": Target(12, 19), "compile": Target(5, 7)}),
    _Ratios(("reparameterize_kl",), "-", ("65536x128",), "def", {"eager": Target(8, 13), "compile": Target(8, 12)}),
    _Ratios(("mlp_step",), "float32", 0, "warm", {"eager": Target(1.2, None)}),
)  # fmt: skip
_FLOORS: Final = {
    ("mse", "64x3x256x256"): Target(1.3, None),
    ("bce_logits", "64x3x256x256"): Target(2, 1.5),
    ("reparameterize_kl", "98304x128"): Target(3.2, 2.4),
    ("reparameterize_kl_packed", "98304x128"): Target(3.2, 2.4),
}
_SHARE: Final = {"avx512": 1.0, "avx2": 0.6}
# What a peak may exceed its bytes an element by: scalars (the loss, a seed, partial sums).
SCALARS: Final = 256


class Setting(NamedTuple):
    """Under what a case ran."""

    mode: str
    regime: str
    threads: int
    capability: str

    @property
    def share(self) -> float:
        """The part of each number that is owed here; 0 for none."""
        counted = self.threads == 1 and self.mode in ("both", "step")
        return _SHARE.get(self.capability, 0.0) if counted else 0.0


def ratio(op: str, size: str, target: str, elements: int, peer: str, setting: Setting) -> Target | None:
    """By how much fastvae is to beat a peer."""
    share = setting.share
    for row in _RATIOS:
        fits = elements >= row.sizes if isinstance(row.sizes, int) else size in row.sizes
        if share and fits and op in row.ops and (target, setting.regime) == (row.target, row.regime):
            found = row.peers.get(peer)
            return found and Target(found.must * share, found.goal and found.goal * share)
    return None


def floor(op: str, size: str, target: str, setting: Setting) -> Target | None:
    """How many times the triad's time for the same bytes fastvae may take."""
    share = setting.share
    found = _FLOORS.get((op, size))
    if not share or found is None or setting.regime != "warm" or target == "uint8":
        return None
    return Target(found.must / share, found.goal and found.goal / share)
