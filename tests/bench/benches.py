"""Small benchmarks, and rows made up from them."""

from dataclasses import replace

from bench import ops, results, rows, worker
from bench.cases import MODES, Case, all_cases

CASES = list(all_cases())
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
PEERS = [(name, suffix) for name, (op, _) in SMALL.items() for suffix in op.peers]


def case(**changes) -> Case:
    some = Case("mse", "2x3", "float32", 6, 72, 24, {}, MODES, dict)
    return replace(some, **changes)


def job(**changes) -> worker.Job:
    return replace(worker.Job("warm", 1, [], list(MODES), 3, 0.0), **changes)


def row(**changes) -> results.Row:
    measured = {
        "rounds": 3,
        "seconds": (2e-3, 1e-3, 3e-3),
        "ratio": (1.0, 1.0, 1.0),
        "page_faults": 0,
        "peak_bytes": 24,
    }
    result = {"mode": "both", "capability": "avx512", "triad_bytes_per_s": 1e9, "providers": {"fastvae": measured}}
    shared = rows.Run("2026-01-02T03:04:05+00:00", "abc1234", "Some CPU", 2)
    return replace(rows.rows_of(result, case(), job(), shared)[0], **changes)
