"""Configs of runs on the bundled digits that take no time."""

from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve


def config(**changes) -> Config:
    small = {"threads": 1, "device": "cpu", "hidden": (16,), "latent_dim": 2, "epochs": 2, "likelihood": "bernoulli"}
    return Config(**resolve(small | {"dropout": 0.0} | changes))
