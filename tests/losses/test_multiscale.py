"""MultiScale, and densities of the caller's own, in the losses and the models, against plain torch."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

import fastvae
from fastvae import ELBOLoss
from fastvae.losses import MultiScale
from tests.losses.formulas import DENSITY, NLL
from tests.losses.pyramids import (
    BATCH,
    EXACT,
    assert_same,
    averaged,
    by_hand,
    image,
    multiscale,
    pyramid,
)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("likelihood", NLL)
def test_the_sum_over_scales(likelihood: str, backend: str) -> None:
    prediction, target = pyramid(), image()
    with fastvae.use_backend(backend):
        ours = multiscale(likelihood)(prediction, target)
    assert ours.shape == (BATCH,)
    assert_same(ours, by_hand(prediction, target, likelihood), prediction)


@pytest.mark.parametrize("likelihood", NLL)
def test_the_density_is_that_of_the_full_size(likelihood: str) -> None:
    prediction, target = pyramid(), image()
    target = target.round() if likelihood.startswith(("bernoulli", "poisson")) else target
    density = DENSITY[likelihood](prediction[-1])
    module = multiscale(likelihood)
    assert_same(module.log_prob(prediction, target), density.log_prob(target).sum((1, 2, 3)), prediction[-1:])
    torch.testing.assert_close(module.mean(prediction), density.mean, **EXACT)


def test_bytes_and_bits_as_targets() -> None:
    prediction, pixels = pyramid(), (image() * 255).round().to(torch.uint8)
    for target, values in ((pixels, pixels.double() / 255), (pixels > 127, (pixels > 127).double())):
        assert_same(multiscale()(prediction, target), by_hand(prediction, values), prediction)
        expected = by_hand(prediction[-1:], values)
        torch.testing.assert_close(multiscale().log_prob(prediction, target), -expected, **EXACT)


def test_half_precision_predictions() -> None:
    prediction, pixels = pyramid(), (image() * 255).round().to(torch.uint8)
    halves = tuple(part.detach().bfloat16() for part in prediction)
    ours = multiscale()(halves, pixels)
    assert ours.dtype == torch.float32
    # The inputs are exact in bfloat16; the sums of some 170 terms are float32.
    expected = by_hand(tuple(part.double() for part in halves), pixels.double() / 255)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("factors", [(1,), (2, 1), (6, 3, 1), [6, 2, 1]])
def test_other_factors_and_oblong_images(factors: Any) -> None:
    target = image(height=6, width=12)
    prediction = tuple(torch.randn_like(averaged(target, factor)).requires_grad_() for factor in factors)
    assert_same(multiscale(factors=factors)(prediction, target), by_hand(prediction, target), prediction)


def test_every_scale_learns_its_own_log_scale() -> None:
    module = multiscale("gaussian_learned")
    values = (-0.5, 0.0, 0.7)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), values, strict=True):
            parameter.fill_(value)
    prediction, target = pyramid(), image()
    expected = sum(
        (0.5 * ((part - averaged(target, factor)) / math.exp(value)) ** 2 + value).sum((1, 2, 3))
        for part, factor, value in zip(prediction, (4, 2, 1), values, strict=True)
    )
    assert_same(module(prediction, target), expected, prediction)
    assert len(module.state_dict()) == 3
    assert torch.equal(pickle.loads(pickle.dumps(module))(prediction, target), module(prediction, target))


@pytest.mark.parametrize("reduction", ["batchmean", "sample"])
@pytest.mark.parametrize("samples", [(), (4,)])
def test_in_the_elbo(samples: tuple[int, ...], reduction: str) -> None:
    prediction, target = pyramid(*samples), image()
    kl = torch.rand(BATCH, dtype=torch.float64, requires_grad=True)
    loss = ELBOLoss(multiscale(), reduction=reduction)
    output = loss(prediction, target.expand(*samples, *target.shape), kl, batch_dims=1 + len(samples))
    nll = by_hand(prediction, target)
    assert_same(output.loss, nll.mean() + kl.mean() if reduction == "batchmean" else nll + kl, (*prediction, kl))
    torch.testing.assert_close(output.reconstruction, nll.detach(), **EXACT)


PREDICTION = tuple(part.detach() for part in pyramid())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: MultiScale("bernouli"), ValueError, "likelihood: got 'bernouli'; takes one of"),
        (lambda: MultiScale(factors=()), ValueError, r"factors: got \(\); takes falling ints that end in 1"),
        (lambda: MultiScale(factors=(1, 2, 4)), ValueError, r"factors: got \(1, 2, 4\)"),
        (lambda: MultiScale(factors=(4, 2)), ValueError, r"factors: got \(4, 2\)"),
        (lambda: MultiScale(factors=(2.0, 1)), ValueError, r"factors: got \(2.0, 1\)"),
        (lambda: MultiScale()(PREDICTION[0], image()), TypeError, "prediction: got Tensor; takes a tuple: takes 3"),
        (lambda: MultiScale().mean(PREDICTION[0]), TypeError, "prediction: got Tensor"),
        (lambda: MultiScale()(PREDICTION[1:], image()), ValueError, "prediction: got 2 scales; takes 3 tensors"),
        (lambda: MultiScale().log_prob(PREDICTION[1:], image()), ValueError, "prediction: got 2 scales"),
        (lambda: MultiScale()((*PREDICTION[:2], None), image()), TypeError, r"prediction\[2\]: got NoneType"),
        (
            lambda: MultiScale()(PREDICTION[::-1], image()),
            ValueError,
            r"prediction\[0\]: got shape \[3, 2, 8, 8\]; takes \[3, 2, 2, 2\], the target's with height and width",
        ),
        (lambda: MultiScale()(PREDICTION, image(height=10)), ValueError, r"target: got shape \[3, 2, 10, 8\]; takes"),
        (lambda: MultiScale()(PREDICTION, image()[0]), ValueError, r"target: got shape \[2, 8, 8\]; takes \[batch"),
        (lambda: MultiScale().log_prob(PREDICTION, image(1)), ValueError, "prediction: got shape"),
    ],
)
def test_mistakes_are_named(build: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()
