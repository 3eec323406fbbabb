"""What is gained where, in eight rows for README.md: of the results, and of one computation. No ratio is typed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

import fastvae
from bench import pages
from bench.results import FASTVAE, Row
from bench.table import Comparison, comparisons, ratio

_NEAR: Final = 1e-3  # how far from the prior accuracy is said


class Gain(NamedTuple):
    """A row of what is gained where.

    Attributes:
        where: what one trains.
        cases: comparisons of `bench.table`; of several, their ratios stand beside each other.
        why: what makes it so; ``{ours}`` and ``{eager}`` are the most bytes that a call of the first case allocates.
    """

    where: str
    cases: tuple[str, ...]
    why: str


GAINS: Final = (
    Gain(
        "a plain step: MLP 128 x 784, convolutional 64 x 3 x 64 x 64", ("mlp_step 128x1x28x28", "conv_step 64x3x64x64"),
        "matrix products, convolutions and Adam bound it: the loss was a small part",
    ),
    Gain(
        "a step of a beta-TC-VAE, 1024 x 784", ("beta_tc_step 1024x784",),
        "total correlation without a tensor of all pairs: {ours} at most, eager {eager}",
    ),
    Gain(
        "a step of a single-cell VAE, 2,000 or 20,000 genes", ("scvi_step 128x2000", "scvi_step 128x20000"),
        "zero-inflated negative binomial and its gradients in one pass: {ours}, eager {eager}",
    ),
    Gain(
        "a step with a mixture as the prior, 500 components", ("mixture_step 128x784",),
        "its log density without a tensor of all pairs: {ours}, eager {eager}",
    ),
    Gain(
        "cross-entropy, latent and KL alone, 4096 x 784", ("elbo 4096x784+4096x20",),
        "inputs read once, noise drawn again and not stored: {ours}, eager {eager}",
    ),
)  # fmt: skip
# Not every machine has measured the step yet.
_ALONE: Final = Gain(
    "the log density of a mixture prior alone, 500 components", ("log_normal_mixture 500x40+128x40",), GAINS[3].why
)
_LARGE: Final = ("bce_logits 131072x1024", "reparameterize_kl_packed 65536x1024")
_CARD: Final = {"NVIDIA H100 80GB HBM3": "H100"}
_EQUAL_NOISE: Final = (
    "the same noise", "", "",
    "one seed gives the same bits in C++ at every instruction set and thread count, in Triton, in a shard of a batch",
)  # fmt: skip


def table(cpu: Sequence[Row], gpus: Sequence[Sequence[Row]]) -> str:
    """The table: speed on a CPU, accuracy, noise, speed on each GPU; and below it what was measured on."""
    lines = {line.name: line for line in comparisons(cpu)}
    found = [gain if gain.cases[0] in lines else _ALONE for gain in GAINS]
    rows = [_row(gain, [lines[case] for case in gain.cases]) for gain in found]
    rows += [near_the_prior(), _EQUAL_NOISE, *map(_on_a_gpu, gpus)]
    head = ["training, float32", "vs eager", "vs `torch.compile`", "why"]
    device = ", ".join([cpu[0].device, cpu[0].capability, "1 thread", f"torch {cpu[0].torch}"])
    return (
        f"{pages.table(head, rows, text_columns=4)}\n\n{device}: the peer's time over fastvae's, forward and backward; "
        "**below 1 it loses**. Bytes are the most that are allocated at once."
    )


def _row(gain: Gain, lines: Sequence[Comparison]) -> tuple[str, ...]:
    most = {"ours": _megabytes(lines[0], FASTVAE), "eager": _megabytes(lines[0], "eager")}
    return gain.where, *_ratios(lines), gain.why.format(**most)


def _ratios(lines: Sequence[Comparison]) -> Iterator[str]:
    """Of each peer, those of all `lines`."""
    for peer in ("eager", "compile"):
        rows = (line.row(peer) for line in lines)
        yield ", ".join((row and ratio(row)) or "not measured" for row in rows)


def _megabytes(line: Comparison, provider: str) -> str:
    row = line.row(provider)
    return "not measured" if row is None or row.peak_bytes is None else f"{row.peak_bytes / 1e6:.3g} MB"


def _on_a_gpu(rows: Sequence[Row]) -> tuple[str, ...]:
    lines = {line.name: line for line in comparisons(rows)}
    lost = sum(any((row.ratio or 1) < 1 for row in line.rows.values()) for line in lines.values())
    return (
        f"on an {_CARD.get(rows[0].device, rows[0].device)}, large: cross-entropy, latent and KL",
        *_ratios([lines[case] for case in _LARGE]),
        f"memory bounds them. Of {len(lines)} sizes {lost} lose to a peer somewhere, small ones by the cost of a "
        "launch ([all of them](docs/gpu.md#measured), [what is confirmed](docs/gpu.md#confirmed-on-an-h100))",
    )


def near_the_prior() -> tuple[str, ...]:
    """The row of accuracy: the worst relative error of a float32 KL of posteriors 1e-3 from N(0, I)."""
    generator = torch.Generator().manual_seed(0)
    mu, logvar = (_NEAR * torch.randn(1000, 20, generator=generator) for _ in range(2))
    exact = _textbook(mu.double(), logvar.double())
    errors = [
        float(((kl.double() - exact) / exact).abs().max())
        for kl in (_textbook(mu, logvar), fastvae.functional.gaussian_kl(mu, logvar, reduction="sample"))
    ]
    return (
        f"the KL of posteriors {_NEAR:g} from the prior", f"error {errors[1]:.0e}, not {errors[0]:.0e}", "",
        "no cancellation in exp(logvar) - 1 - logvar ([at every scale](docs/accuracy.md))",
    )  # fmt: skip


def _textbook(mu: Tensor, logvar: Tensor) -> Tensor:
    """As it is copied everywhere."""
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1)
