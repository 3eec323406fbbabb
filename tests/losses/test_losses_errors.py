"""What ELBOLoss refuses, and how it says so."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fastvae import DiagonalGaussian, ELBOLoss
from fastvae.losses import Reconstruction

BATCH = 5


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: ELBOLoss("bernouli"), ValueError, "likelihood: got 'bernouli'; takes one of"),
        (lambda: ELBOLoss(3), ValueError, "likelihood: got 3"),
        (lambda: Reconstruction("bernouli"), ValueError, "likelihood: got 'bernouli'; takes one of"),
        (lambda: ELBOLoss(beta=-1.0), ValueError, "beta: got -1.0"),
        (lambda: ELBOLoss(beta=math.nan), ValueError, "beta: got nan"),
        (lambda: ELBOLoss(beta="1"), TypeError, "beta: got str"),
        (lambda: ELBOLoss(beta=torch.ones(1)), ValueError, "beta: got a tensor"),
        (lambda: ELBOLoss(beta=torch.ones((), dtype=torch.int64)), ValueError, "beta: got a tensor"),
        (lambda: ELBOLoss(capacity=-1.0), ValueError, "capacity: got -1.0"),
        (lambda: ELBOLoss(free_bits=-0.1), ValueError, "free_bits: got -0.1"),
        (lambda: ELBOLoss(free_bits_per="latent"), ValueError, "free_bits_per: got 'latent'"),
        (lambda: ELBOLoss(capacity_per="total"), ValueError, "capacity_per: got 'total'"),
        (lambda: ELBOLoss(kl_estimator="exact"), ValueError, "kl_estimator: got 'exact'"),
        (lambda: ELBOLoss(reduction="mean"), ValueError, "reduction: got 'mean'"),
        (lambda: ELBOLoss(preset="keras2"), ValueError, "preset: got 'keras2'"),
        (lambda: ELBOLoss("gaussian", preset="keras"), ValueError, "likelihood: got 'gaussian' with preset='keras'"),
        (lambda: ELBOLoss("gaussian", preset="vits"), ValueError, "likelihood: got 'gaussian' with preset='vits'"),
        (lambda: ELBOLoss(abs, preset="pythae"), ValueError, "likelihood: got <built-in function abs> with preset"),
        (lambda: ELBOLoss(preset="scvi"), ValueError, "likelihood: got None with preset='scvi'"),
        (lambda: ELBOLoss(preset="keras", free_bits=0.5), ValueError, "free_bits: got 0.5 with preset='keras'"),
        (
            lambda: ELBOLoss(preset="world-models", free_bits_per="dimension"),
            ValueError,
            "free_bits_per: got 'dimension' with preset='world-models'",
        ),
        (lambda: ELBOLoss(preset="keras", capacity=1.0), ValueError, "capacity: got 1.0 with preset='keras'"),
        (
            lambda: ELBOLoss(preset="disentangling-vae", capacity=1.0, capacity_per="sample"),
            ValueError,
            "capacity_per: got 'sample' with preset",
        ),
        (lambda: ELBOLoss(preset="keras", kl_estimator="monte_carlo"), ValueError, "kl_estimator: got 'monte_carlo'"),
        (
            lambda: ELBOLoss(capacity=1.0, reduction="sample"),
            ValueError,
            "reduction: got 'sample' with capacity_per='batch'",
        ),
        (
            lambda: ELBOLoss(free_bits=1.0, free_bits_per="batch_dimension", reduction="sample"),
            ValueError,
            "reduction: got 'sample' with free_bits_per='batch_dimension'",
        ),
        (lambda: ELBOLoss(preset="vits", reduction="sample"), ValueError, "reduction: got 'sample' with preset='vits'"),
    ],
)
def test_mistakes_in_options_are_named(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


X = torch.rand(BATCH, 4)
POSTERIOR = DiagonalGaussian(torch.zeros(BATCH, 2), torch.zeros(BATCH, 2))


@pytest.mark.parametrize(
    ("loss", "arguments", "options", "error", "message"),
    [
        (ELBOLoss(), (X[:, :3], X, POSTERIOR), {}, ValueError, "prediction: got shape"),
        (ELBOLoss(), ((X, X), X, POSTERIOR), {}, TypeError, "prediction: got tuple"),
        (ELBOLoss(), (X, None, POSTERIOR), {}, TypeError, "target: got None"),
        (ELBOLoss(), (X, X, X[:, 0]), {"prior": (X, X)}, ValueError, "prior: got a value with kl as a tensor"),
        (ELBOLoss(), (X, X, POSTERIOR), {"mask": X}, ValueError, "mask: got a tensor"),
        (ELBOLoss(kl_estimator="monte_carlo"), (X, X, POSTERIOR), {}, ValueError, "z: got None"),
        (ELBOLoss(kl_estimator="monte_carlo"), (X, X, X[:, 0]), {}, TypeError, "kl: got a tensor"),
        (ELBOLoss(free_bits=1.0, free_bits_per="dimension"), (X, X, X[:, 0]), {}, ValueError, "kl: got shape"),
        (ELBOLoss(preset="world-models"), (X, X, X[:, 0]), {}, ValueError, "kl: got shape"),
        (ELBOLoss(preset="bolts"), (X, X, X[:, 0]), {}, ValueError, "kl: got shape"),
        (ELBOLoss(preset="oobleck"), (X, None, POSTERIOR), {}, ValueError, "prediction: got a value"),
        (ELBOLoss(preset="oobleck"), (None, X, POSTERIOR), {}, ValueError, "target: got a value"),
        (ELBOLoss(preset="vits"), (None, None, POSTERIOR), {}, ValueError, "z: got None"),
        (ELBOLoss(preset="vits"), (None, None, POSTERIOR), {"z": X[:, :2]}, ValueError, "prior: got None"),
        (
            ELBOLoss(preset="vits"),
            (None, None, POSTERIOR),
            {"z": X[:, :2], "prior": POSTERIOR},
            ValueError,
            "mask: got None",
        ),
        (ELBOLoss(lambda p, x: (p - x).abs()), (X, X, POSTERIOR), {}, ValueError, "likelihood: returned shape"),
        (ELBOLoss(lambda p, x: 1.0), (X, X, POSTERIOR), {}, ValueError, "likelihood: returned float"),
        (ELBOLoss(lambda p, x: p), (X, X, POSTERIOR), {"weight": X}, ValueError, "weight: got a tensor"),
    ],
)
def test_mistakes_in_arguments_are_named(
    loss: ELBOLoss, arguments: tuple, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        loss(*arguments, **options)


def test_a_loss_without_likelihood_has_no_log_prob() -> None:
    with pytest.raises(ValueError, match="preset: got 'oobleck'"):
        ELBOLoss(preset="oobleck").log_prob(X, X)
