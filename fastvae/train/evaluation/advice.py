"""What to try when dimensions of the latent have collapsed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from fastvae._likelihoods import LIKELIHOODS
from fastvae.train.evaluation.latent_use import LatentUse
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import WEIGHTED, WHOLE
from fastvae.train.settings.presets import COMMON

_AT_MOST: Final = 3


def hint(use: LatentUse, config: Config, best_epoch: int) -> str | None:
    """One line for a run that uses its latent so; None where nothing has collapsed.

    Args:
        use, config: of the run.
        best_epoch: that its weights are of.
    """
    if not use.collapsed:
        return None
    unused = len(use.collapsed) == len(use.kl_per_dimension)
    said = f"{'the latent tells' if unused else 'the collapsed dimensions tell'} nothing about the image"
    *others, last = islice(_remedies(use, config, best_epoch), _AT_MOST)
    return f"hint: {said}; try {', '.join(others)}{' or ' if others else ''}{last}"


def _remedies(use: LatentUse, config: Config, best_epoch: int) -> Iterator[str]:
    """Options, those first that are likeliest to help."""
    row = LIKELIHOODS.get(config.likelihood)
    if row is not None and row.scale == "fixed":
        yield f"--likelihood gaussian_learned (the scale of {config.likelihood} is fixed, and large for pixels)"
    if config.lr > COMMON["lr"]:
        yield f"--lr {COMMON['lr']:g}"
    if best_epoch == config.epochs:
        yield f"--epochs {2 * config.epochs} (the last was the best)"
    weighted = config.objective in WEIGHTED
    if weighted:
        if config.beta > 1:
            yield "--beta 1"
        elif config.beta_schedule == "constant":
            yield "--beta-schedule linear"
        if not config.free_bits and config.objective in WHOLE:
            yield "--free-bits 0.1 --free-bits-per batch_dimension"
    # A spatial latent has fewer of its channels: those that are used nowhere, one after the other in row-major order.
    places = len(use.kl_per_dimension) // config.latent_dim
    used = config.latent_dim - sum(
        set(range(first, first + places)) <= set(use.collapsed) for first in range(0, len(use.kl_per_dimension), places)
    )
    if 0 < used < config.latent_dim:
        yield f"--latent-dim {used}, which may be all that the images need"
    else:
        yield "a smaller --beta" if weighted else "--objective elbo --beta-schedule linear"
