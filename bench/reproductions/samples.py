"""``python -m bench.reproductions.samples``: a conditional likelihood, estimated with several numbers of latents.

Of latents drawn from the prior few are near those that explain a target: the estimate, whose expectation is a lower
bound, is far below the likelihood until there are enough of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

from fastvae import CVAE
from fastvae.train.data import datasets
from fastvae.train.data.datasets import Split
from fastvae.train.evaluation import likelihood
from fastvae.train.models import build
from fastvae.train.runs import atomic, weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.config import Config
from fastvae.train.studies.quadrants import METHODS


def estimates(model: CVAE, config: Config, images: Split, num_samples: tuple[int, ...]) -> dict[str, Any]:
    """By method and number of latents, as text, -log p(target | condition) in nats, and its standard error."""
    found: dict[str, Any] = {method: {} for method in METHODS}
    for count in num_samples:
        estimated = likelihood.estimates(model, config, images, count)
        for method, (_, key) in METHODS.items():
            error = estimated[f"{key}_standard_error"]
            found[method][str(count)] = {"nll": -estimated[key], "standard_error": error}
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("run", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--data-dir", help="The folder of the four MNIST files.")
@click.option("--images", type=click.IntRange(min=1), default=500, show_default=True, help="The first of the test's.")
@click.option("--num-samples", type=int, multiple=True, default=(100, 1000, 10000), show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(run: Path, data_dir: str | None, images: int, num_samples: tuple[int, ...], out: Path) -> None:
    """Estimate the likelihood of a trained conditional VAE in several ways; leaves metrics.json in OUT."""
    folder = RunFolder(run)
    config = folder.read_config()
    model = build.create(config)
    if not isinstance(model, CVAE):
        raise click.UsageError(f"{run}: got objective {config.objective!r}; takes a conditional VAE")
    weights.load(model, folder)
    torch.set_num_threads(config.threads)
    data = datasets.load(config.data, data_dir or config.data_dir)
    out.mkdir(parents=True, exist_ok=True)
    first = Split(*(tensor[:images] for tensor in data.test))
    found = estimates(model, config, first, num_samples)
    atomic.write_json(out / "metrics.json", {"images": len(first.labels), **found})


if __name__ == "__main__":
    main()
