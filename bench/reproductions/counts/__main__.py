"""``python -m bench.reproductions.counts``: train a single-cell VAE under one likelihood, and measure it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import torch
from matplotlib.figure import Figure
from torch import Tensor

from bench.reproductions.counts import models, separation
from bench.reproductions.counts.simulation import Cells, simulate
from bench.reproductions.fitting import Plan, fit
from fastvae import CVAE
from fastvae.plots import figures
from fastvae.train.pictures import saved
from fastvae.train.runs import atomic

_BATCH: Final = 128
_CHUNK: Final = 100
# Of the cells; their order is random.
_HELD_OUT: Final = 0.2


@torch.no_grad()
def measured(model: CVAE, held_out: Tensor, types: Tensor, *, num_samples: int) -> dict[str, Any]:
    """The figures of a trained model on held-out cells, in nats per cell."""
    model.eval()
    library = models.log_library(held_out)
    terms = models.fast(model)(held_out)
    parts = zip(library.split(_CHUNK), held_out.split(_CHUNK), strict=True)
    log_p = torch.cat([model.log_likelihood(*part, num_samples=num_samples, chunk_size=10, seed=0) for part in parts])
    return {
        "elbo": -float(terms.loss),
        "kl": float(terms.kl),
        "log_likelihood": float(log_p.mean()),
        "log_likelihood_standard_error": float(log_p.std() / len(log_p) ** 0.5),
        "num_samples": num_samples,
        "neighbours": separation.neighbours_of_own_type(model.encode(held_out, library).mu, types),
        "neighbours_of_components": separation.neighbours_of_own_type(
            separation.principal_components(held_out, models.LATENT), types
        ),
    }


@torch.no_grad()
def picture(model: CVAE, cells: Cells, title: str) -> Figure:
    """The posteriors' means on their first two principal components, coloured by type."""
    model.eval()
    means = model.encode(cells.counts, models.log_library(cells.counts)).mu
    points = separation.components(means, 2)
    return figures.latent(points.numpy(), cells.types.numpy(), title, ("first component", "second component"))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--likelihood", type=click.Choice(models.LIKELIHOODS), required=True, help="Of a count.")
@click.option("--cells", type=click.IntRange(min=100), default=5000, show_default=True)
@click.option("--genes", type=click.IntRange(min=20), default=1200, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=0.002, show_default=True)
@click.option("--num-samples", type=click.IntRange(min=1), default=100, show_default=True, help="Of the likelihood.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the training; the cells are always the same.")
@click.option("--plain", is_flag=True, help="In plain PyTorch; not the Poisson.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(
    likelihood: str,
    cells: int,
    genes: int,
    epochs: int,
    lr: float,
    num_samples: int,
    seed: int,
    plain: bool,
    out: Path,
) -> None:
    """Train on simulated cells; leaves metrics.json and latent.png in OUT."""
    if plain and likelihood == "poisson":
        raise click.UsageError("--plain: got it with --likelihood poisson; takes nb or zinb")
    simulated = simulate(cells, genes)
    held_out = round(_HELD_OUT * cells)
    torch.manual_seed(seed)
    model = models.model_of(likelihood, genes)
    minimized = models.plain(model) if plain else models.fast(model)
    plan = Plan(epochs, _BATCH, lr)
    fitted = fit(model.parameters(), minimized, simulated.counts[held_out:], plan)
    run = {"likelihood": likelihood, "seed": seed, "plain": plain, "cells": cells, "genes": genes}
    run["zeros"] = float((simulated.counts == 0).to(torch.float64).mean())
    found = measured(model, simulated.counts[:held_out], simulated.types[:held_out], num_samples=num_samples)
    out.mkdir(parents=True, exist_ok=True)
    title = f"{models.NAMES[likelihood]}: latent means by type of cell"
    saved.save(picture(model, simulated, title), out / "latent.png")
    atomic.write_json(out / "metrics.json", run | plan._asdict() | fitted._asdict() | found)


if __name__ == "__main__":
    main()
