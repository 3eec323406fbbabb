"""Trainers of small models on the bundled digits."""

from fastvae.train.loop.trainer import Trainer
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve

TINY = {"threads": 1, "device": "cpu", "hidden": (16,), "latent_dim": 2, "batch_size": 400, "epochs": 3}


def trainer(path, digits, **changes):
    path.mkdir(exist_ok=True)
    return Trainer(Config(**resolve({**TINY, **changes})), digits, RunFolder(path))


def fitted(path, digits, **changes):
    run = trainer(path, digits, **changes)
    run.fit()
    return run


def saved(path):
    return (path / "weights.safetensors").read_bytes()
