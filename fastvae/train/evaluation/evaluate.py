"""Everything that ``fastvae evaluate`` finds out about a trained model, and how it is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastvae import VAE
from fastvae.train.data.datasets import Split
from fastvae.train.evaluation import latent_use, likelihood
from fastvae.train.evaluation.bits import bits
from fastvae.train.evaluation.elbo import elbo
from fastvae.train.evaluation.legend import Legend
from fastvae.train.models import batches, objectives
from fastvae.train.models.build import Model
from fastvae.train.models.conditional import Baseline
from fastvae.train.quality import asked as quality
from fastvae.train.quality import features, reconstructions, samples
from fastvae.train.quality.asked import Asked
from fastvae.train.settings.config import Config

Found = tuple[dict[str, Any], list[str]]


def evaluated(model: Model, config: Config, test: Split, num_samples: int | None, asked: Asked) -> Iterator[Found]:
    """What is found, part after part: values for evaluation.json, and lines that say them.

    Args:
        model, config: of a run.
        test: its test images, on the device of the model.
        num_samples: latents for each image, of a log-likelihood; None for none.
        asked: of the images.

    Raises:
        UserError: what is asked for cannot be measured of this run, said before anything is.
    """
    quality.check(asked, config)
    batches.check(config, test=len(test.labels))
    networks = features.load(asked, test)
    objective = objectives.create(config, model).to(test.images.device)
    log_normalizer = objectives.log_normalizer(config)
    legend = Legend(config, log_normalizer)
    yield {}, [legend.text]
    means = elbo(objective, test, config.seed, log_normalizer)
    unit = bits(config)
    found = {"images": len(test.labels), **means.as_dict()}
    said = [f"test {legend.line(means)}"]
    if unit is not None:
        found["bits_per_dimension"] = unit.of(means.elbo)
        said.append(f"ELBO in bits per dimension {found['bits_per_dimension']:.3f}, {unit}")
    yield found, said
    use = latent_use.measured(model, config, test)
    if use is not None:
        yield use.as_dict(), [f"latent: {use}"]
    if quality.reconstructs(config):
        assert not isinstance(model, Baseline)
        found = reconstructions.measured(model, config, test, ssim=asked.ssim)
        yield found, [reconstructions.line(found)]
    if networks:
        assert not isinstance(model, Baseline)
        found = samples.measured(model, config, test, networks)
        yield found, list(samples.lines(found, asked, len(test.labels)))
    if num_samples is not None:
        found = likelihood.estimates(model, config, test, num_samples)
        if unit is not None:
            found |= {f"{name}_bits_per_dimension": unit.of(found[name]) for name in likelihood.NAMES if name in found}
        if not isinstance(model, VAE):
            found |= likelihood.prediction_errors(model, config, test, num_samples)
        yield found, list(likelihood.lines(found))
