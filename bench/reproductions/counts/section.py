"""What the page says of the counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bench import pages
from bench.reproductions import finished, markdown
from bench.reproductions.counts.models import LIKELIHOODS, NAMES
from bench.reproductions.judging import NOT_RUN, grows, verdict
from bench.reproductions.tasks import SEEDS

_SAID: Final = (
    "Nats per held-out cell. The likelihood given the size of the library is by importance sampling, with its standard "
    "error over cells; the cells are the same for all, so that differences between rows are surer than it says. "
    "The last columns say of a held-out cell's 15 nearest neighbours among the held-out which share is of its own "
    "type: by the means of the latent, and by as many principal components of the logarithms of the normalized counts, "
    "which ask no model. Times are those of the processor, in training alone."
)
_PLAIN: Final = "The same trainings in plain PyTorch, with scvi-tools' formulas and noise of their own:"
_ORDER: Final = "The likelihood rises from Poisson to negative binomial to zero-inflated, as the counts were made"
_HEADER: Final = (
    "likelihood", "seed", "ELBO", "KL", "log-likelihood", "neighbours, latent, %", "neighbours, components, %", "time",
)  # fmt: skip


def counts(write_up: object, numbers: Path) -> list[str]:
    """The figures of each likelihood and seed, the order that the simulation implies, and the times."""
    found = {
        (name, seed): finished.metrics(numbers / f"counts-{name}-{seed}") for name in LIKELIHOODS for seed in SEEDS
    }
    rows = [[NAMES[name], seed, *_cells(run)] for (name, seed), run in found.items()]
    orders = []
    for seed in SEEDS:
        order = grows([None if (run := found[name, seed]) is None else run["log_likelihood"] for name in LIKELIHOODS])
        orders.append(f"- {_ORDER}, seed {seed}: {verdict(order)}")
    said = [_SAID, pages.table(_HEADER, rows), "\n".join(orders)]
    plain = {name: finished.metrics(numbers / f"counts-{name}-plain") for name in LIKELIHOODS if name != "poisson"}
    pairs = [_pair(name, run, found[name, SEEDS[0]]) for name, run in plain.items()]
    header = (
        "likelihood", "log-likelihood, plain PyTorch", "log-likelihood, fastvae", "step, plain PyTorch", "step, fastvae"
    )  # fmt: skip
    return [*said, _PLAIN, pages.table(header, pairs)]


def _cells(run: dict[str, Any] | None) -> list[str]:
    if run is None:
        return [NOT_RUN] * 6
    likelihood = f"{run['log_likelihood']:.2f} ± {run['log_likelihood_standard_error']:.2f}"
    shares = [f"{100 * run[name]:.1f}" for name in ("neighbours", "neighbours_of_components")]
    return [
        markdown.number(run["elbo"]),
        markdown.number(run["kl"]),
        likelihood,
        *shares,
        markdown.time(run["seconds"]),
    ]


def _pair(name: str, plain: dict[str, Any] | None, ours: dict[str, Any] | None) -> list[str]:
    runs = (plain, ours)
    values = [markdown.number(None if run is None else run["log_likelihood"]) for run in runs]
    steps = [NOT_RUN if run is None else markdown.time(run["seconds"] / run["steps"]) for run in runs]
    return [NAMES[name], *values, *steps]
