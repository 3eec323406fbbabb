"""Default settings per data set, and the published write-ups by name. A new write-up is a new row."""

from __future__ import annotations

from typing import Any, Final

COMMON: Final[dict[str, Any]] = {
    "preset": None,
    "data": "digits",
    "data_dir": None,
    "model": "mlp",
    "beta": 1.0,
    "lr": 1e-3,
    "device": "auto",
    "amp": "none",
    "compile": False,
    "seed": 0,
}

BY_DATA: Final[dict[str, dict[str, Any]]] = {
    "digits": {
        "hidden": (256, 128),
        "latent_dim": 8,
        "likelihood": "gaussian_learned",
        "batch_size": 64,
        "epochs": 100,
        # Steps too small to share: a second thread costs more than it brings.
        "threads": 1,
    },
    "mnist": {
        "hidden": (400,),
        "latent_dim": 20,
        "likelihood": "bernoulli",
        "batch_size": 128,
        "epochs": 10,
    },
}

# s5: the MLP VAE of PyTorch's examples, with a packed encoder output; published test loss 105.6 per image.
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "s5": {
        "data": "mnist",
        "model": "mlp",
        "hidden": (400,),
        "latent_dim": 20,
        "likelihood": "bernoulli_probs",
        "beta": 1.0,
        "batch_size": 128,
        "epochs": 10,
        "lr": 1e-3,
    },
}


def resolve(given: dict[str, Any]) -> dict[str, Any]:
    """Settings from `given` (the explicit ones), then its preset, then the defaults of its data set."""
    preset = {} if given.get("preset") is None else PRESETS[given["preset"]]
    chosen = {**COMMON, **preset, **given}
    return {**BY_DATA[chosen["data"]], **chosen}
