"""How good a model is on images it was not trained on."""

from __future__ import annotations

import math
import sys
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

from fastvae import VAE
from fastvae.train import random
from fastvae.train.data import Split
from fastvae.train.latent_use import LatentUse, measure
from fastvae.train.metrics import Means, Sums

# Large enough to keep a device busy; no result depends on the batch size of training.
_BATCH: Final = 500
# Images times samples that go through the decoder at once: 25,000 MNIST images are 78 MB.
_IMPORTANCE_BATCH: Final = 250
_CHUNK: Final = 100


@torch.no_grad()
def elbo(model: VAE, split: Split, seed: int, log_normalizer: float) -> Means:
    """The ELBO with one latent sample per image, in float32; a seed's noise is the same at every call."""
    sums = Sums(split.images.device, log_normalizer)
    model.eval()
    with random.separate(seed, split.images.device):
        for batch in split.images.split(_BATCH):
            output = model(batch)
            sums.add(output.reconstruction_loss, output.kl)
    return sums.means()


@torch.no_grad()
def latent_use(model: VAE, images: Tensor) -> LatentUse:
    """Active units, and the analytic KL of each dimension, whichever estimator the objective has."""
    model.eval()
    return measure((model.encode(batch), None) for batch in images.split(_BATCH))


def log_likelihood(model: VAE, split: Split, seed: int, num_samples: int) -> dict[str, Any]:
    """The importance-sampled log p(x) (Burda et al. 2016), averaged over images, in nats, with its standard error."""
    model.eval()
    generator = torch.Generator(split.images.device).manual_seed(seed)
    values: list[Tensor] = []
    with tqdm(total=len(split.images), unit="image", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
        bar.set_description(f"log-likelihood, {num_samples} samples")
        for batch in split.images.split(_IMPORTANCE_BATCH):
            values.append(model.log_likelihood(batch, num_samples=num_samples, chunk_size=_CHUNK, generator=generator))
            bar.update(len(batch))
    all_values = torch.cat(values)
    error = all_values.std(correction=0).item() / math.sqrt(len(all_values))
    return {
        "num_samples": num_samples,
        "log_likelihood": all_values.mean().item(),
        "log_likelihood_standard_error": error,
    }
