"""Trainers of small models on the bundled digits."""

from fastvae.train.config import Config
from fastvae.train.presets import resolve
from fastvae.train.run_folder import RunFolder
from fastvae.train.trainer import Trainer

TINY = {"threads": 1, "device": "cpu", "hidden": (16,), "latent_dim": 2, "batch_size": 400, "epochs": 3}


def trainer(path, digits, **changes):
    path.mkdir(exist_ok=True)
    return Trainer(Config(**resolve({**TINY, **changes})), digits, RunFolder(path))


def fitted(path, digits, **changes):
    run = trainer(path, digits, **changes)
    run.fit()
    return run


def weights(path):
    return (path / "weights.safetensors").read_bytes()
