"""What the CPU kernels must reach and what they are after: ratios to the peers, and parts of the triad's bandwidth.

Set for one thread, forward and backward together. AVX2 must reach 0.6 of each; the portable kernels owe nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from bench.cpu.benchmarks import Benchmark
from bench.results import FASTVAE, Required


class _Ratios(NamedTuple):
    """What a group of benchmarks must reach: those of the sizes named, or all of at least so many elements."""

    ops: tuple[str, ...]
    target: str
    sizes: tuple[str, ...] | int
    regime: str
    peers: Mapping[str, Required]


_LATENT: Final = ("reparameterize_kl", "reparameterize_kl_packed")
_RATIOS: Final = (
    _Ratios(("bce_logits",), "float32", ("128x784",), "warm",
            {"eager": Required(2.5, 3.5), "compile": Required(2.8, 3.5)}),
    _Ratios(("bce_logits",), "float32", ("4096x784", "64x3x256x256"), "warm",
            {"eager": Required(3.5, 5), "compile": Required(2.7, 3.5),
             "eager_sigmoid": Required(12, 24), "compile_sigmoid": Required(3.5, 4.5)}),
    _Ratios(("bce_logits",), "uint8", ("4096x784", "64x3x256x256"), "warm", {"eager": Required(4.5, 7)}),
    _Ratios(("mse",), "float32", ("128x784",), "warm", {"eager": Required(1.25, 1.5), "compile": Required(2.2, 2.8)}),
    _Ratios(("mse",), "float32", 3_000_000, "warm", {"eager": Required(1.6, 2.7), "compile": Required(1.6, 2.3)}),
    _Ratios(_LATENT, "-", ("128x20",), "warm", {"eager": Required(1.9, 2.5), "compile": Required(3, 5)}),
    _Ratios(_LATENT, "-", 131_000, "warm", {"eager": Required(2.8, 4), "compile": Required(10, 16)}),
    _Ratios(("elbo",), "float32", ("128x784+128x20",), "warm",
            {"eager": Required(2.3, 3), "compile": Required(2.6, 3.4)}),
    _Ratios(("elbo",), "float32", ("4096x784+4096x20",), "warm",
            {"eager": Required(3.4, 4.5), "compile": Required(3.5, 4.7)}),
    _Ratios(("elbo",), "float32", ("64x3x256x256+64x4x32x32",), "warm",
            {"eager": Required(4, 5.5), "compile": Required(2.7, 3.5)}),
    _Ratios(("bce_logits",), "float32", ("64x3x256x256",), "def",
            {"eager": Required(8, 12), "compile": Required(3, 4.6)}),
    _Ratios(("bce_logits_inplace",), "float32", ("64x3x256x256",), "def",
            {"eager": Required(12, 19), "compile": Required(5, 7)}),
    _Ratios(("reparameterize_kl",), "-", ("65536x128",), "def", {"eager": Required(8, 13), "compile": Required(8, 12)}),
    _Ratios(("mlp_step",), "float32", 0, "warm", {"eager_sigmoid": Required(1.2, None)}),
    *(
        _Ratios((op,), target, (size,), regime, {"eager": Required(*eager), "compile": Required(*compiled)})
        for op, target, size, regime, eager, compiled in (
            ("total_correlation", "-", "256x10", "warm", (8, 15), (3, 5)),
            ("total_correlation", "-", "1024x10", "warm", (13, 24), (5, 9)),
            ("total_correlation", "-", "2048x10", "warm", (14, 25), (6, 11)),
            ("total_correlation", "-", "2048x32", "warm", (10, 18), (3.5, 6)),
            ("total_correlation", "-", "1024x10", "def", (35, 62), (6, 10)),
            ("total_correlation", "-", "2048x32", "def", (40, 76), (4, 7)),
            ("negative_binomial", "float32", "128x2000", "warm", (8, 15), (8, 14)),
            ("negative_binomial", "float32", "128x20000", "warm", (8, 15), (8, 14)),
            ("zero_inflated_negative_binomial", "float32", "128x2000", "warm", (7, 13), (6, 10)),
            ("zero_inflated_negative_binomial", "float32", "128x20000", "warm", (7, 13), (6, 10)),
            ("discretized_logistic_mixture", "float32", "16x3x32x32", "warm", (4, 8), (3.5, 7)),
            ("discretized_logistic_mixture", "float32", "64x3x32x32", "warm", (4, 8), (3.5, 7)),
            ("discretized_logistic_mixture", "float32", "8x3x64x64", "warm", (4, 8), (3.5, 7)),
            ("log_normal_mixture", "-", "500x40+128x40", "warm", (10, 20), (2.2, 5)),
            ("log_normal_mixture", "-", "500x32+1024x32", "warm", (12, 20), (2.5, 5)),
            ("scvi_step", "float32", "128x2000", "warm", (1.8, 2.2), (1.55, 1.9)),
            ("scvi_step", "float32", "128x20000", "warm", (1.8, 2.2), (1.55, 1.9)),
            ("beta_tc_step", "float32", "1024x784", "warm", (2.2, 3), (1.3, 1.7)),
        )
    ),
)  # fmt: skip
# The triad's time for as many bytes, over that of the op: at most 1.3 times as long, and so on.
_BANDWIDTHS: Final = {
    ("mse", "64x3x256x256"): Required(1 / 1.3, None),
    ("bce_logits", "64x3x256x256"): Required(1 / 2, 1 / 1.5),
    ("reparameterize_kl", "98304x128"): Required(1 / 3.2, 1 / 2.4),
    ("reparameterize_kl_packed", "98304x128"): Required(1 / 3.2, 1 / 2.4),
}
_SHARE: Final = {"avx512": 1.0, "avx2": 0.6}


class Setting(NamedTuple):
    """Under what a benchmark ran."""

    mode: str
    regime: str
    threads: int
    capability: str

    @property
    def share(self) -> float:
        """The part of each number that is owed here; 0 for none."""
        counted = self.threads == 1 and self.mode in ("both", "step")
        return _SHARE.get(self.capability, 0.0) if counted else 0.0


def required(benchmark: Benchmark, provider: str, setting: Setting) -> Required | None:
    """By how much fastvae is to beat a peer; of fastvae itself, which part of the bandwidth it is to reach."""
    share = setting.share
    found = _of_bandwidth(benchmark, setting) if provider == FASTVAE else _ratio(benchmark, provider, setting)
    if not share or found is None:
        return None
    return Required(found.must * share, found.goal and found.goal * share)


def _of_bandwidth(benchmark: Benchmark, setting: Setting) -> Required | None:
    if setting.regime != "warm" or benchmark.target == "uint8":
        return None
    return _BANDWIDTHS.get((benchmark.op, benchmark.size))


def _ratio(benchmark: Benchmark, peer: str, setting: Setting) -> Required | None:
    for row in _RATIOS:
        fits = benchmark.elements >= row.sizes if isinstance(row.sizes, int) else benchmark.size in row.sizes
        if fits and benchmark.op in row.ops and (benchmark.target, setting.regime) == (row.target, row.regime):
            return row.peers.get(peer)
    return None
