"""Default settings per data set, and the published write-ups by name. A new write-up is a new row."""

from __future__ import annotations

from typing import Any, Final

COMMON: Final[dict[str, Any]] = {
    "preset": None,
    "data": "digits",
    "data_dir": None,
    "binarize": False,
    "model": "mlp",
    "decoder_hidden": None,
    "parameterization": "logvar",
    "kl_estimator": "analytic",
    "beta": 1.0,
    "lr": 1e-3,
    "keep_weights": False,
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

_MNIST: Final[dict[str, Any]] = {"data": "mnist", "beta": 1.0}
# Published VAEs.
PRESETS: Final[dict[str, dict[str, Any]]] = {
    # beta-VAE, convolutional (Higgins et al. 2017), on grey pixels; for beta in 0.1, 1 and 3.
    "s1": _MNIST
    | {
        "model": "conv",
        "hidden": (16,),
        "decoder_hidden": (),
        "latent_dim": 2,
        "likelihood": "squared_error",
        "batch_size": 128,
        "epochs": 30,
        "lr": 1e-3,
        "keep_weights": True,
    },
    # Convolutional VAE with the Monte-Carlo ELBO, on binary pixels; published test ELBO -156.81.
    "s3": _MNIST
    | {
        "binarize": True,
        "model": "conv_valid",
        "hidden": (),
        "latent_dim": 2,
        "likelihood": "bernoulli",
        "kl_estimator": "monte_carlo",
        "batch_size": 32,
        "epochs": 10,
        "lr": 1e-4,
        "keep_weights": True,
    },
    # An encoder whose second head is the standard deviation, of either sign.
    "s4": _MNIST
    | {
        "model": "mlp",
        "hidden": (400,),
        "latent_dim": 20,
        "parameterization": "std",
        "likelihood": "squared_error",
        "batch_size": 128,
        "epochs": 10,
        "lr": 1e-3,
    },
    # The MLP VAE of PyTorch's examples, with a packed encoder output; published test loss 105.6 per image.
    "s5": _MNIST
    | {
        "model": "mlp",
        "hidden": (400,),
        "latent_dim": 20,
        "likelihood": "bernoulli_probs",
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
