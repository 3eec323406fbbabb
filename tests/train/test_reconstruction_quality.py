"""PSNR and SSIM beside their formulas in float64, of models whose images are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastvae import CVAE
from fastvae.train.data import description
from fastvae.train.processes import group
from fastvae.train.quality import reconstructions
from tests.train.simple_models import COLOUR, config, noisy, split, split_of, vae

pytestmark = pytest.mark.usefixtures("one_thread")


def test_psnr_by_hand():
    """White images, drawn with 0.9 of it: a mean squared error of 0.01."""
    test = split_of(torch.full((7, 3, 8, 8), 255, dtype=torch.uint8))
    found = reconstructions.measured(vae((0.9, 0.9, 0.9)), config((3, 8, 8), 0, latent_dim=2), test, ssim=False)
    # 0.9 in float32 is off by 2^-25 at most, a tenth by ten times that.
    assert found == {"psnr": pytest.approx(20, abs=20 / math.log(10) * 10 * 2**-25)}


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 9)])
def test_psnr_is_of_the_mean_error_over_all_batches(shape, monkeypatch):
    monkeypatch.setattr(description, "_EVALUATED", 7 * math.prod(shape))
    test, model = split(*shape, count=30), noisy(*shape)
    found = reconstructions.measured(model, config(shape, 10, latent_dim=2), test, ssim=False)
    with torch.no_grad():
        drawn = model.reconstruct(test.images).double().numpy()
    error = np.square(drawn - test.images.numpy().astype(np.float32) / np.float32(255)).mean()
    assert found["psnr"] == pytest.approx(-10 * np.log10(error), rel=1e-12)


def test_nothing_is_missing_from_a_perfect_reconstruction():
    test = split_of(torch.full((2, 3, 8, 8), 255, dtype=torch.uint8))
    found = reconstructions.measured(vae((1.0, 1.0, 1.0)), config((3, 8, 8), 0, latent_dim=2), test, ssim=True)
    assert found == {"psnr": math.inf, "ssim": 1.0}


def test_ssim_by_hand():
    """Of constant images only the luminances differ, x = 0.2 and y = 0.6: (2 x y + 0.01^2) / (x^2 + y^2 + 0.01^2)."""
    test = split_of(torch.full((7, 3, 8, 8), 51, dtype=torch.uint8))
    found = reconstructions.measured(vae((0.6, 0.6, 0.6)), config((3, 8, 8), 0, latent_dim=2), test, ssim=True)
    # Both numbers are float32's, off by 2^-25 at most.
    assert found["ssim"] == pytest.approx(0.2401 / 0.4001, abs=2**-23)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Of two images ``[height, width]``, from the definition: weighted moments about every pixel."""
    distances = np.arange(-5, 6)
    line = np.exp(-np.square(distances / 1.5) / 2)
    weights = np.outer(line, line) / line.sum() ** 2
    x, y = (np.pad(image, 5, mode="reflect") for image in (first, second))
    values = []
    for row, column in np.ndindex(first.shape):
        a, b = (image[row : row + 11, column : column + 11] for image in (x, y))
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a, var_b = (weights * np.square(a - mean_a)).sum(), (weights * np.square(b - mean_b)).sum()
        both = (weights * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        values.append(luminance * (2 * both + 0.03**2) / (var_a + var_b + 0.03**2))
    return float(np.mean(values))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 9), (2, 6, 6)])
def test_ssim_is_that_of_its_definition(shape, monkeypatch):
    monkeypatch.setattr(description, "_EVALUATED", 3 * math.prod(shape))
    test, model = split(*shape, count=8), noisy(*shape)
    found = reconstructions.measured(model, config(shape, 10, latent_dim=2), test, ssim=True)
    with torch.no_grad():
        drawn = model.reconstruct(test.images).double().numpy()
    originals = (test.images.numpy().astype(np.float32) / np.float32(255)).astype(np.float64)
    expected = np.mean(
        [[ssim(x, y) for x, y in zip(*pair, strict=True)] for pair in zip(originals, drawn, strict=True)]
    )
    # Variances as a difference of squares in float64, divided by 0.0009 at least; torchmetrics' window is float64, too.
    assert found["ssim"] == pytest.approx(expected, abs=1e-12)


def test_processes_add_up_what_they_find_in_their_shares(monkeypatch):
    """Three of them, of whom one has no image in the last batch, of two."""
    monkeypatch.setattr(description, "_EVALUATED", 5 * math.prod(COLOUR))
    test, model, chosen = split(*COLOUR, count=12), noisy(*COLOUR), config(COLOUR, 10, latent_dim=2)
    whole = reconstructions.measured(model, chosen, test, ssim=True)
    found: list[Tensor] = []
    monkeypatch.setattr(group, "count", lambda: 3)
    monkeypatch.setattr(group, "add_up", lambda sums: sums.copy_(found.append(sums.clone()) or sum(found)))
    for rank in range(3):
        monkeypatch.setattr(group, "rank", lambda rank=rank: rank)
        last = reconstructions.measured(model, chosen, test, ssim=True)
    assert last == {name: pytest.approx(value, rel=1e-12) for name, value in whole.items()}


def test_the_reconstruction_of_a_conditional_model_is_at_the_posterior_mean():
    class Generation(nn.Module):
        def forward(self, z: Tensor, condition: Tensor) -> Tensor:
            return (z[:, :1] + condition[:, 1:2] / 2).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)

    class Recognition(nn.Module):
        def forward(self, target: Tensor, condition: Tensor) -> Tensor:
            return nn.functional.pad(target.flatten(1)[:, :1] / 510, (0, 1), value=-2.0)

    chosen = config((3, 8, 8), 2, latent_dim=1, condition="label")
    model = CVAE(Recognition(), Generation(), likelihood="gaussian", latent_shape=1)
    test = split_of(torch.full((4, 3, 8, 8), 255, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    # 0.5 without the label and 1 with it, beside 1.
    assert reconstructions.measured(model, chosen, test, ssim=False)["psnr"] == pytest.approx(-10 * math.log10(0.125))
