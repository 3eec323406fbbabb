"""What ``fastvae train`` says of a run before and after."""

from __future__ import annotations

from collections.abc import Iterator

from fastvae.train.evaluation import advice, latent_use
from fastvae.train.loop.trainer import Trainer
from fastvae.train.runs.metrics import best
from fastvae.train.settings import architecture


def headline(trainer: Trainer, done: int) -> str:
    """What is trained on what, beginning after so many epochs."""
    config = trainer.config
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    beginning = f"resuming after epoch {done}: " if done else ""
    held_out = len(trainer.validation.labels)
    validation = f", {held_out} validation" if held_out else ""
    return (
        f"{beginning}{config.data_name}, {len(trainer.data.train.labels)} training{validation} and "
        f"{len(trainer.data.test.labels)} test images; "
        f"{config.model}, {parameters} parameters, {architecture.latent(config)}, {config.likelihood}; "
        f"{config.device}, {config.threads} thread{'s' * (config.threads > 1)}"
    )


def results(trainer: Trainer) -> Iterator[str]:
    """What a finished run has reached, of which weights, and what to try if its latent is not used."""
    chosen, config = best(trainer.history), trainer.config
    if trainer.stopped:
        without = len(trainer.history) - chosen.epoch
        yield (
            f"stopped after epoch {len(trainer.history)} of {config.epochs}: {without} "
            f"epoch{'s' * (without > 1)} without a better validation loss"
        )
    if chosen.validation_loss is not None:
        yield f"weights of epoch {chosen.epoch} of {len(trainer.history)}, the best on the validation images"
    yield f"test {trainer.legend.line(chosen.test)}"
    use = latent_use.measured(trainer.trained, config, trainer.data.test)
    if use is not None:
        yield f"latent: {use}"
        hint = advice.hint(use, config, chosen.epoch)
        if hint is not None:
            yield hint
