"""What only many latents for each image can tell: log-likelihoods, and predictions averaged over the prior."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor
from tqdm import tqdm

from fastvae import CVAE, VAE
from fastvae import functional as F
from fastvae.train.data.datasets import Split
from fastvae.train.models.build import Model, conditioning
from fastvae.train.models.conditional import Baseline
from fastvae.train.processes import group
from fastvae.train.settings.config import Config

# At most so many images, samples of each, and values of all of them go through the decoder at once: 78 MB.
_IMAGES: Final = 250
_SAMPLES: Final = 100
_VALUES: Final = 250 * 100 * 28 * 28

# By their names in `estimates`: what they are of.
NAMES: Final = {"log_likelihood": "importance", "log_likelihood_monte_carlo": "Monte-Carlo"}

Estimator = Callable[[Tensor, Tensor, torch.Generator, tuple[int, int] | None], Tensor]


def estimates(model: Model, config: Config, split: Split, num_samples: int) -> dict[str, Any]:
    """log p(x), or log p(target | condition), in nats averaged over images.

    Returns:
        Of each estimator, under its name, the mean, and with endings the ``_standard_error`` over images and the
        ``_seconds`` it took; and `num_samples`. ``log_likelihood`` draws from the posterior (Burda et al. 2016; Sohn et
        al. 2015, section 4.3), ``log_likelihood_monte_carlo``, of conditional models, from the prior. A GSNN has the
        second only. For a network without a latent ``log_likelihood`` is exact.
    """
    model.eval()
    found: dict[str, Any] = {"num_samples": 0 if isinstance(model, Baseline) else num_samples}
    for name, estimator in _estimators(model, config, num_samples).items():
        start = time.perf_counter()
        values = torch.cat(list(_batches(name, config, split, estimator))).double()
        seconds = round(time.perf_counter() - start, 3)
        error = values.std(correction=0).item() / math.sqrt(len(values))
        found |= {name: values.mean().item(), f"{name}_standard_error": error, f"{name}_seconds": seconds}
    return found


def _estimators(model: Model, config: Config, num_samples: int) -> dict[str, Estimator]:
    options: dict[str, Any] = {"num_samples": num_samples, "chunk_size": _at_once(config)[1]}
    if isinstance(model, VAE):
        return {
            "log_likelihood": lambda images, _, noise, shard: model.log_likelihood(
                images, generator=noise, shard=shard, **options
            )
        }
    conditioned = conditioning(config).to(next(model.parameters()).device)
    if isinstance(model, Baseline):
        return {"log_likelihood": lambda images, labels, *_: model.log_prob(*conditioned(images, labels))}

    def by(method: str) -> Estimator:
        return lambda images, labels, noise, shard: model.log_likelihood(
            *conditioned(images, labels), method=method, generator=noise, shard=shard, **options
        )

    importance = {} if config.objective == "gsnn" else {"log_likelihood": by("importance")}
    return {**importance, "log_likelihood_monte_carlo": by("monte_carlo")}


def _at_once(config: Config) -> tuple[int, int]:
    """Images and samples of each that go through the decoder at once."""
    samples = max(1, min(_SAMPLES, _VALUES // math.prod(config.shape)))
    return max(1, min(_IMAGES, _VALUES // (math.prod(config.shape) * samples))), samples


def _batches(name: str, config: Config, split: Split, estimator: Estimator) -> Iterator[Tensor]:
    generator = torch.Generator(split.images.device).manual_seed(config.seed)
    bar = tqdm(
        total=len(split.images), unit="image", file=sys.stderr, disable=not sys.stderr.isatty() or group.rank() > 0
    )
    with bar, torch.no_grad():
        bar.set_description(name.replace("_", " "))
        for images, labels in split.batches(_at_once(config)[0]):
            share = group.share(len(images))
            values = estimator(images[share.rows], labels[share.rows], generator, share.shard)
            yield group.gathered(values[: share.size])
            bar.update(len(images))


def prediction_errors(model: CVAE | Baseline, config: Config, split: Split, num_samples: int) -> dict[str, float]:
    """The squared error of what is predicted for a target, summed over its values and averaged over images.

    ``prediction_error`` is that of the deterministic prediction, ``prediction_error_averaged`` that of the average over
    `num_samples` latents from the prior.
    """
    model.eval()
    conditioned = conditioning(config).to(split.images.device)
    noise = torch.Generator(split.images.device).manual_seed(config.seed)
    predictions: dict[str, Callable[[Tensor], Tensor]] = {"prediction_error": model.predict}
    if isinstance(model, CVAE):
        predictions["prediction_error_averaged"] = lambda x: model.predict(x, num_samples, generator=noise)
    sums = dict.fromkeys(predictions, 0.0)
    with torch.no_grad():
        for images, labels in split.batches(_at_once(config)[0]):
            condition, target = conditioned(images, labels)
            for name, predict in predictions.items():
                sums[name] += F.mse_loss(predict(condition), target, reduction="sum").item()
    return {name: total / len(split.labels) for name, total in sums.items()}


def lines(result: dict[str, Any]) -> Iterator[str]:
    """What was found, in words."""
    for name, method in NAMES.items():
        if name in result:
            how = f"{result['num_samples']} {method} samples" if result["num_samples"] else "exact"
            error = result[f"{name}_standard_error"]
            in_bits = result.get(f"{name}_bits_per_dimension")
            unit = "" if in_bits is None else f", in bits per dimension {in_bits:.3f}"
            yield f"test log-likelihood {result[name]:.2f} (standard error over images {error:.2f}, {how}){unit}"
    predictions = {"prediction_error": "prediction", "prediction_error_averaged": "prediction averaged over latents"}
    for name, words in predictions.items():
        if name in result:
            yield f"squared error of the {words} {result[name]:.2f} a target"
