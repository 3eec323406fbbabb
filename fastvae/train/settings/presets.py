"""The default settings, those of each data set, and the published models by name: a new one is a new row."""

from __future__ import annotations

from typing import Final

from fastvae.train.settings.config import WARMUP_STEPS, Settings
from fastvae.train.settings.kinds import GOES_WITH

# What only some runs use begins at the value that changes nothing.
COMMON: Final[Settings] = {field: plain for field, (plain, _) in GOES_WITH.items()} | {
    "preset": None,
    "data": "digits",
    "data_dir": None,
    "binarize": "none",
    "condition": "none",
    "activation": "relu",
    "warmup_steps": WARMUP_STEPS,
    "free_bits_per": "sample",
    "validation": 0.1,
    "accumulate": 1,
    "early_stopping": None,
    "lr": 1e-3,
    "adam_eps": 1e-8,
    "weight_decay": 0.0,
    "clip_grad": None,
    "ema": None,
    "warmup": 0,
    "lr_schedule": "constant",
    "keep_weights": False,
    "tensorboard": False,
    "device": "auto",
    "amp": "none",
    "compile": False,
    "seed": 0,
}

# By the name of a data set, or the kind of one's own.
BY_DATA: Final[dict[str, Settings]] = {
    "digits": {
        # Without dropout the network memorizes so few images; a deeper one with it uses less of its latent.
        "hidden": (512,),
        "dropout": 0.2,
        # As many as tell the digits apart and are all used, whatever the seed.
        "latent_dim": 12,
        "likelihood": "gaussian_learned",
        "batch_size": 64,
        "epochs": 150,
        # Steps too small to share: a second thread costs more than it brings.
        "threads": 1,
    },
    "mnist": {
        "hidden": (400,),
        "dropout": 0.0,
        "latent_dim": 20,
        "likelihood": "bernoulli",
        "batch_size": 128,
        "epochs": 10,
    },
    "images": {
        "model": "conv",
        "hidden": (256,),
        "dropout": 0.0,
        "latent_dim": 64,
        "likelihood": "gaussian_learned",
        "batch_size": 64,
        "epochs": 30,
    },
    "features": {
        "hidden": (256,),
        "dropout": 0.0,
        "latent_dim": 8,
        "likelihood": "gaussian_learned",
        "batch_size": 128,
        "epochs": 50,
    },
    # scVI's networks (Lopez et al. 2018).
    "counts": {
        "hidden": (128,),
        "dropout": 0.1,
        "latent_dim": 10,
        "likelihood": "negative_binomial",
        "batch_size": 128,
        "epochs": 100,
    },
}

# What other networks and latents have in place of the defaults of a data set.
BY_MODEL: Final[dict[str, Settings]] = {"resnet": {"activation": "silu", "hidden": (), "dropout": 0.0}}
BY_LATENT: Final[dict[str, Settings]] = {"spatial": {"latent_dim": 4}}

# Published VAEs: trained on all training images, to the last epoch.
_MNIST: Final[Settings] = {"data": "mnist", "beta": 1.0, "validation": 0.0}
PUBLISHED: Final[dict[str, Settings]] = {
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
    # The label-conditioned MLP: published training loss 127, its batch size not given.
    "s2": _MNIST
    | {
        "condition": "label",
        # As published, for the figure; with one_hot, the digits drawn for a label are those asked for.
        "label_encoding": "number",
        "model": "mlp",
        "hidden": (512, 256, 64),
        "dropout": 0.2,
        "latent_dim": 2,
        "parameterization": "softplus",
        "min_std": 1e-8,
        "likelihood": "bernoulli_probs",
        "probability_floor": 1e-8,
        "batch_size": 32,
        "epochs": 30,
        "lr": 1e-4,
    },
    # Convolutional VAE with the Monte-Carlo ELBO, on binary pixels; published test ELBO -156.81.
    "s3": _MNIST
    | {
        "binarize": "threshold",
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
    # Completion of images from 1, 2 or 3 quadrants (Sohn, Lee & Yan 2015); `fastvae quadrants` is the whole study.
    "quadrants": _MNIST
    | {
        "condition": "quadrants",
        "model": "mlp",
        "hidden": (500, 500),
        "latent_dim": 50,
        "likelihood": "bernoulli",
        "batch_size": 128,
        "epochs": 10,
        "lr": 1e-3,
    },
    # The deeper of the networks with one latent layer of Burda et al. 2016, trained for the first five of their eight
    # stages: 1, 3, 9, 27 and 81 epochs, the rate of each being that of the one before it, divided by 10^(1/7).
    "iwae": _MNIST
    | {
        "binarize": "dynamic",
        "objective": "iwae",
        "train_samples": 5,
        "model": "mlp",
        "activation": "tanh",
        "hidden": (200, 200),
        "latent_dim": 50,
        "likelihood": "bernoulli",
        "batch_size": 20,
        "epochs": 121,
        "lr": 1e-3,
        "adam_eps": 1e-4,
        "lr_schedule": "steps",
        "lr_milestones": (1, 4, 13, 40),
        "lr_decay": 10 ** (-1 / 7),
    },
}
