"""Small benchmarks, and rows made up from them."""

from dataclasses import replace

from bench import heavy_ops, ops
from bench.cpu.benchmarks import MODES, Benchmark, all_benchmarks
from bench.cpu.measure import Job
from bench.machine import Run
from bench.results import Row

BENCHMARKS = list(all_benchmarks())
RUN = Run("2026-01-02T03:04:05+00:00", "abc1234", "Some CPU", 2, "", "", "2.13.0+cpu", "", "0.1")
SMALL = {
    "bce": (ops.BCE, ((6, 50),)),
    "bce uint8": (ops.BCE_BYTES, ((6, 50),)),
    "bce inplace": (ops.BCE_INPLACE, ((6, 50),)),
    "mse": (ops.MSE, ((6, 50),)),
    "gaussian_nll": (ops.GAUSSIAN_NLL, ((6, 50),)),
    "reparameterize_kl": (ops.REPARAMETERIZE_KL, ((6, 4),)),
    "reparameterize_kl_packed": (ops.REPARAMETERIZE_KL_PACKED, ((6, 4),)),
    "elbo": (ops.ELBO, ((6, 4), (6, 50))),
}
HEAVY = {
    "total correlation": (heavy_ops.TOTAL_CORRELATION, ((9, 4),)),
    "mixture": (heavy_ops.LOG_NORMAL_MIXTURE, ((9, 4), (5, 4))),
    "negative binomial": (heavy_ops.NEGATIVE_BINOMIAL, ((6, 50),)),
    "zero-inflated": (heavy_ops.ZERO_INFLATED, ((6, 50),)),
    "mmd": (heavy_ops.MMD, ((6, 4),)),
    "dip": (heavy_ops.DIP, ((6, 4),)),
    "discretized": (heavy_ops.DISCRETIZED, ((2, 3, 5, 5),)),
}
PEERS = [(name, suffix) for name, (op, _) in SMALL.items() for suffix in op.peers]


def benchmark(**changes) -> Benchmark:
    some = Benchmark("mse", "2x3", 6, {}, dict, min_bytes=72, max_peak=24)
    return replace(some, **changes)


def job(**changes) -> Job:
    return replace(Job(RUN, "warm", 1, [], list(MODES), 3, 0.0), **changes)


def row(**changes) -> Row:
    setting = {"capability": "avx512", "threads": 1, "regime": "warm", "mode": "both", "provider": "fastvae"}
    case = {"op": "mse", "size": "2x3", "dtype": "float32", "target": "float32", "elements": 6}
    times = {"rounds": 3, "median_s": 2e-3, "q20_s": 1e-3, "q80_s": 3e-3}
    ratios = dict.fromkeys(("ratio", "ratio_q20", "ratio_q80"), 1.0)
    # 72 bytes at 1 GB/s are 72 ns.
    memory = {"min_bytes": 72, "bytes_per_s": 1e9, "of_bandwidth": 3.6e-5, "page_faults": 0, "peak_bytes": 24}
    columns = {**RUN._asdict(), **setting, **case, **times, **ratios, **memory, "max_peak_bytes": 280}
    return Row(**{**columns, **changes})
