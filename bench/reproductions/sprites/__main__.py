"""``python -m bench.reproductions.sprites``: train one of the two models and measure how it divides the factors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import click
import torch
from torch import Tensor

from bench.reproductions.fitting import Plan, fit
from bench.reproductions.sprites import drawing, information, models, pictures
from fastvae import VAE, DiagonalGaussian
from fastvae.train.pictures import saved
from fastvae.train.runs import atomic

_BATCH: Final = 1024
_SAMPLES: Final = 3000
# A heart of the second largest size, turned little, near the middle.
_SHOWN: Final = (2, 2, 4, 5, 5)


def total_correlation(posterior: DiagonalGaussian, z: Tensor) -> float:
    """Of q(z), the mean of all N posteriors: the mean of log q(z) - sum_j log q(z_j) over a sample of each."""
    count, dimensions = z.shape
    joint, product = posterior.minibatch_log_densities(z, dataset_size=count)
    # With the whole data as the minibatch, each logarithm lacks log N: it divides by N^2 where N densities are added.
    return float((joint - product).mean()) + (1 - dimensions) * math.log(count)


@torch.no_grad()
def measured(model: VAE, images: Tensor, factors: Tensor) -> dict[str, Any]:
    """The figures of a trained model over all data, in nats: reconstruction, KL, information, gaps."""
    posterior = model.encode(images)
    z = posterior.sample(seed=0)
    known = information.mutual_information(posterior, factors, num_samples=_SAMPLES)
    gaps = information.gaps(known, factors)
    return {
        "reconstruction": -float(model.elbo.log_prob(model.decode(z), images).mean()),
        "kl": float(posterior.kl().mean()),
        "total_correlation": total_correlation(posterior, z),
        "gaps": {factor.name: float(gap) for factor, gap in zip(drawing.FACTORS, gaps, strict=True)},
        "information": known.tolist(),
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--objective", type=click.Choice(("beta", "tc")), required=True, help="What beta multiplies: KL or TC.")
@click.option("--beta", type=click.FloatRange(min=0), default=4.0, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=120, show_default=True)
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), default=0.003, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--plain", is_flag=True, help="In plain PyTorch.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Take every so many-th image, for a test.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(objective: str, beta: float, epochs: int, lr: float, seed: int, plain: bool, every: int, out: Path) -> None:
    """Train a VAE on sprites; leaves metrics.json and traversals.png in OUT."""
    factors = drawing.grid()[::every]
    images = drawing.draw(factors)
    torch.manual_seed(seed)
    model = models.model_of(objective, beta, len(images))
    minimized = models.plain(model, objective, beta, len(images)) if plain else models.fast(model)
    plan = Plan(epochs, _BATCH, lr)
    fitted = fit(model.parameters(), minimized, images, plan)
    run = {"objective": objective, "beta": beta, "seed": seed, "plain": plain, "images": len(images)}
    found = measured(model, images, factors)
    out.mkdir(parents=True, exist_ok=True)
    title = f"{models.NAMES[objective]}, beta {beta:g}: each latent from -2 to 2"
    shown = drawing.draw(torch.tensor([_SHOWN]))[0]
    saved.save(pictures.traversals(model, shown, torch.tensor(found["information"]), title), out / "traversals.png")
    atomic.write_json(out / "metrics.json", run | plan._asdict() | fitted._asdict() | found)


if __name__ == "__main__":
    main()
