"""``python -m bench.reproductions.samples``: a conditional likelihood, estimated with several numbers of latents.

Of latents drawn from the prior few are near those that explain a target: the estimate, whose expectation is a lower
bound, is far below the likelihood until there are enough of them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import click
import torch

from fastvae import CVAE
from fastvae.train.data import datasets
from fastvae.train.data.datasets import Data
from fastvae.train.models import build
from fastvae.train.models.build import conditioning
from fastvae.train.runs import atomic, weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.config import Config

# Images at once, and decoded for as many latents at once.
_IMAGES: Final = 50
_CHUNK: Final = 200


@torch.no_grad()
def estimates(model: CVAE, config: Config, data: Data, images: int, num_samples: tuple[int, ...]) -> dict[str, Any]:
    """By method and number of latents, -log p(target | condition) in nats over the first test images.

    Returns:
        For each method and number, as text, the mean and its standard error over images.
    """
    model.eval()
    conditioned = conditioning(config)
    found: dict[str, Any] = {}
    for method in ("monte_carlo", "importance"):
        for count in num_samples:
            noise = torch.Generator().manual_seed(config.seed)
            values = []
            for pictures, labels in zip(
                data.test.images[:images].split(_IMAGES), data.test.labels[:images].split(_IMAGES), strict=True
            ):
                pair = conditioned(pictures, labels)
                options: dict[str, Any] = {"num_samples": count, "chunk_size": _CHUNK, "generator": noise}
                values.append(-model.log_likelihood(*pair, method=method, **options))
            nll = torch.cat(values).double()
            error = nll.std(correction=0).item() / math.sqrt(len(nll))
            found.setdefault(method, {})[str(count)] = {"nll": nll.mean().item(), "standard_error": error}
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
    found = estimates(model, config, data, images, num_samples)
    atomic.write_json(out / "metrics.json", {"images": min(images, len(data.test.labels)), **found})


if __name__ == "__main__":
    main()
