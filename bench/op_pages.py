"""The measured part of the pages of the ops, `docs/ops`: a few rows of the newest results each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import pages, table
from bench.results import Row, newest


class Shown(NamedTuple):
    """What a page shows: rows of the two tables of times, and an op of `bench/results/offline/traffic.md`."""

    cpu: Sequence[str] = ()
    gpu: Sequence[str] = ()
    traffic: Sequence[str] = ()


PAGES: Final[dict[str, Shown]] = {
    "reparameterize_kl": Shown(
        cpu=(
            "reparameterize_kl 128x20",
            "reparameterize_kl 4096x128",
            "reparameterize_kl_packed 128x20",
            "reparameterize_kl_packed 4096x128",
            "reparameterize_kl_packed 64x192x256",
        ),
        gpu=(
            "reparameterize_kl 65536x1024",
            "reparameterize_kl_packed 65536x1024",
            "reparameterize_kl_packed 65536x1024, bf16",
            "reparameterize_kl_packed 128x20",
        ),
        traffic=("reparameterize_kl", "reparameterize_kl_packed"),
    ),
    "binary_cross_entropy": Shown(
        cpu=(
            "bce_logits 128x784",
            "bce_logits 128x784 vs sigmoid + BCE",
            "bce_logits 4096x784",
            "bce_logits 4096x784 vs sigmoid + BCE",
            "bce_logits 4096x784, uint8",
            "bce_logits_inplace 4096x784",
        ),
        gpu=(
            "bce_logits 131072x1024",
            "bce_logits 131072x1024, uint8",
            "bce_logits 131072x1024, bf16, uint8",
            "bce_logits 128x784",
        ),
        traffic=("bce_logits",),
    ),
    "mse_loss": Shown(
        cpu=("mse 128x784", "mse 4096x784", "mse 64x3x256x256"),
        gpu=("mse 131072x1024", "mse 128x784"),
        traffic=("mse",),
    ),
    "gaussian_nll": Shown(
        cpu=("gaussian_nll 128x784", "gaussian_nll 4096x784", "gaussian_nll 64x3x256x256"), traffic=("gaussian_nll",)
    ),
    "negative_binomial_nll": Shown(
        cpu=(
            "negative_binomial 128x2000",
            "negative_binomial 128x20000",
            "zero_inflated_negative_binomial 128x2000",
            "zero_inflated_negative_binomial 128x20000",
            "scvi_step 128x2000",
            "scvi_step 128x20000",
        ),
    ),
    "discretized_logistic_mixture_nll": Shown(
        cpu=(
            "discretized_logistic_mixture 16x3x32x32",
            "discretized_logistic_mixture 64x3x32x32",
            "discretized_logistic_mixture 8x3x64x64",
        ),
    ),
    "log_normal_mixture": Shown(
        cpu=("log_normal_mixture 500x40+128x40", "log_normal_mixture 500x32+1024x32", "mixture_step 128x784")
    ),
    "minibatch_log_densities": Shown(
        cpu=(
            "total_correlation 256x10",
            "total_correlation 1024x10",
            "total_correlation 2048x32",
            "beta_tc_step 1024x784",
        ),
    ),
    "vae_loss": Shown(
        cpu=(
            "elbo 128x784+128x20",
            "elbo 4096x784+4096x20",
            "mlp_step 128x1x28x28",
            "mlp_step 128x1x28x28 vs sigmoid + BCE",
            "conv_step 64x3x64x64",
        ),
        gpu=("elbo 128x784+128x20", "elbo 4096x784+4096x128"),
        traffic=("elbo",),
    ),
}
_CPU: Final = ("fastvae", "vs eager", "vs compile", "bytes/element")
_GPU: Final = ("fastvae", "vs eager", "vs compile", "in a graph", "in a graph, vs eager", "in a graph, vs compile")
_TRAFFIC: Final = (0, 2, 3, 4, 5, 8, 9, 10)
"""Columns of the table: the op and its dtype; bytes and launches of each provider."""
_LARGE: Final = "512x128"


def parts(shown: Shown, cpu: Sequence[Row], gpu: Sequence[Row], traffic: str) -> Iterator[tuple[str, str]]:
    """What stands between each pair of markers of a page; a row that was not measured yet is left out."""
    for part, rows, names, titles in (("cpu", cpu, shown.cpu, _CPU), ("gpu", gpu, shown.gpu, _GPU)):
        if names:
            yield part, table.markdown(rows, names=names, titles=titles)
    if shown.traffic:
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in traffic.splitlines() if "|" in line]
        body = [line for line in lines if line[0] in shown.traffic and line[1].startswith(_LARGE)]
        head, *cells = [[line[column] for column in _TRAFFIC] for line in (lines[0], *body)]
        yield "traffic", pages.table(head, cells, text_columns=2)


def current(cpu: Path, results: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The parts of each page: of a CPU, of the GPU that was measured last, and of the bytes counted.

    Args:
        cpu: the CSV of the CPU.
        results: where the others are, `bench/results`.
    """
    gpus = [newest(csv) for csv in sorted(results.glob("*/gpu.csv"))]
    gpu = max(gpus, key=lambda rows: max(row.date for row in rows))
    traffic = (results / "offline" / "traffic.md").read_text(encoding="utf-8")
    for name, shown in PAGES.items():
        yield f"{name}.md", dict(parts(shown, newest(cpu), gpu, traffic))
