"""What the models of a run's epochs make of the same latents, for an animation."""

from __future__ import annotations

from typing import Final

from fastvae import VAE
from fastvae.plots import arrays, panels
from fastvae.plots.arrays import Array
from fastvae.train.models.build import create
from fastvae.train.runs import weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.config import Config

ANIMATION: Final = "samples.gif"
_SAMPLES: Final = 16
_COLUMNS: Final = 4


def grids(folder: RunFolder, config: Config, epochs: int) -> list[Array]:
    """What the model of each epoch decoded the same latents to."""
    vae, grids = create(config).eval(), []
    assert isinstance(vae, VAE)
    for epoch in range(1, epochs + 1):
        weights.load(vae, folder, epoch)
        drawn = panels.smoothed(arrays.images(vae.sample(_SAMPLES, seed=config.seed)), 1)
        grids.append(panels.tile(drawn, _COLUMNS))
    return grids
