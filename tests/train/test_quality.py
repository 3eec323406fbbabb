"""PSNR, SSIM, FID and KID beside formulas in float64, of models whose images are known."""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae.train.data import datasets, description
from fastvae.train.errors import UserError
from fastvae.train.evaluation.evaluate import evaluated
from fastvae.train.quality import asked as asking
from fastvae.train.quality import features, reconstructions, samples
from fastvae.train.quality.asked import Asked, check
from tests.support.command_line import fails, fastvae
from tests.train.test_other_pictures import Flat, config, spatial, split, vae

pytestmark = pytest.mark.usefixtures("one_thread")

COLOUR = (3, 8, 8)


def split_of(images: Tensor, labels: Tensor | None = None) -> datasets.Split:
    return datasets.Split(images, torch.zeros(len(images), dtype=torch.int64) if labels is None else labels)


class Noisy(nn.Module):
    """An image for each latent, of a few frequencies."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("places", torch.arange(math.prod(shape)) * 0.37)

    def forward(self, z: Tensor) -> Tensor:
        return (0.5 + 0.4 * torch.sin(self.places + 3 * z[:, :1] + z[:, 1:2] * self.places)).unflatten(1, self.shape)


def noisy(*shape: int) -> VAE:
    return VAE(Flat(2), Noisy(*shape), likelihood="gaussian", latent_shape=2)


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


class Corner(nn.Module):
    """Features of a corner of an image, and something else unless they are asked for."""

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        return images[:, :, :2, 0].flatten(1).float() / 100 if return_features else images.flatten(1).float()


class Plain(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, 0, 0].float() / 100


class Fails(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float() @ images.float().flatten(1)


class Scalar(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean()


def saved(network: nn.Module, file: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(network).save(str(file))
    return file


def both(file: Path) -> Asked:
    return Asked(fid=file, kid=file)


def of_samples(model: VAE | CVAE, chosen, test: datasets.Split, asked: Asked) -> dict[str, float]:
    return samples.measured(model, chosen, test, features.load(asked, test))


def drawn_corners(model: VAE, chosen, test: datasets.Split) -> tuple[np.ndarray, np.ndarray]:
    """Features of the test images and of what `model` draws, rounded to bytes."""
    with torch.no_grad():
        drawn = model.sample(len(test.images), generator=torch.Generator().manual_seed(chosen.seed))
    originals, others = test.images, (255 * drawn).round().to(torch.uint8)
    return tuple(Corner()(images.expand(-1, 3, -1, -1), True).double().numpy() for images in (originals, others))


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """The distance of the two Gaussians, by the root of a symmetric matrix."""
    values, vectors = np.linalg.eigh(np.cov(x.T))
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ np.cov(y.T) @ root).clip(0)).sum()
    squared = np.square(x.mean(0) - y.mean(0)).sum()
    return float(squared + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * shared)


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy under (x'y / d + 1)^3."""

    def mean(a: np.ndarray, b: np.ndarray, *, without_itself: bool) -> float:
        values = (a @ b.T / a.shape[1] + 1) ** 3
        return values[~np.eye(len(a), dtype=bool)].mean() if without_itself else values.mean()

    same = (mean(one, one, without_itself=True) for one in (x, y))
    return float(sum(same) - 2 * mean(x, y, without_itself=False))


def test_fid_and_kid_are_those_of_their_definitions(tmp_path):
    file, chosen = saved(Corner(), tmp_path / "corner.pt"), config((3, 8, 8), 10, latent_dim=2, seed=3)
    model, test = noisy(3, 8, 8), split(3, 8, 8, count=50)
    found = of_samples(model, chosen, test, both(file))
    corners = drawn_corners(model, chosen, test)
    assert found == {
        "fid": pytest.approx(frechet(*corners), rel=1e-8),
        "kid": pytest.approx(kernel(*corners), rel=1e-8),
    }


def test_grey_images_are_given_as_three_channels(tmp_path):
    file, chosen = saved(Corner(), tmp_path / "corner.pt"), config((1, 8, 8), 10, latent_dim=2)
    model, test = noisy(1, 8, 8), split(1, 8, 8, count=50)
    assert features.load(both(file), test)["fid"].num_features == 6
    found = of_samples(model, chosen, test, both(file))
    assert found["kid"] == pytest.approx(kernel(*drawn_corners(model, chosen, test)), rel=1e-8)


def test_images_of_floating_point_are_given_as_bytes(tmp_path):
    file, chosen = saved(Plain(), tmp_path / "plain.pt"), config(COLOUR, 10, latent_dim=2)
    model, test = noisy(*COLOUR), split(*COLOUR, count=50)
    numbers = test._replace(images=test.images / 255)
    assert of_samples(model, chosen, test, both(file)) == of_samples(model, chosen, numbers, both(file))


def test_a_network_without_the_argument(tmp_path):
    file, test = saved(Plain(), tmp_path / "plain.pt"), split(3, 8, 8)
    network = features.load(Asked(kid=file), test)["kid"]
    assert network.num_features == 3
    torch.testing.assert_close(network(test.images), Plain()(test.images).double())


def test_samples_of_a_conditional_run_have_the_labels_of_the_test_images(tmp_path):
    class Generation(nn.Module):
        def forward(self, z: Tensor, condition: Tensor) -> Tensor:
            return (condition @ torch.tensor([0.2, 0.4, 0.8])).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)

    labels = torch.tensor([0, 0, 0, 1, 2, 2] * 5)
    shades = torch.tensor([51, 102, 204], dtype=torch.uint8)[labels]
    test = split_of(shades.view(-1, 1, 1, 1).repeat(1, 3, 8, 8), labels)
    chosen = config((3, 8, 8), 3, latent_dim=2, condition="label")
    model = CVAE(Flat(2), Generation(), likelihood="gaussian", latent_shape=2)
    found = of_samples(model, chosen, test, Asked(fid=saved(Plain(), tmp_path / "plain.pt")))
    # Of singular covariances: the roots of eigenvalues that are 0 to rounding, 2^-53 of the trace squared.
    assert found["fid"] == pytest.approx(0, abs=1e-6)


def test_kid_of_many_images_has_a_deviation_over_subsets_and_a_seed(tmp_path):
    file, test = saved(Plain(), tmp_path / "plain.pt"), split(3, 8, 8, count=1020)
    again = [of_samples(noisy(3, 8, 8), config((3, 8, 8), 10, latent_dim=2), test, Asked(kid=file)) for _ in range(2)]
    assert again[0] == again[1]
    assert set(again[0]) == {"kid", "kid_standard_deviation"}
    assert again[0]["kid_standard_deviation"] > 0


def pickled(file: Path) -> Path:
    torch.save({"weight": torch.zeros(3)}, file)
    return file


def nothing(file: Path) -> Path:
    file.write_bytes(b"nothing")
    return file


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (nothing, "not a ZIP archive; takes a TorchScript file of a network from uint8 images"),
        (pickled, "file not found; takes a TorchScript file"),
        (lambda file: saved(Fails(), file), "; takes a TorchScript file"),
        (lambda file: saved(Scalar(), file), r"gave \[\] for 2 images; takes a TorchScript file"),
    ],
    ids=["no archive", "a pickle", "another input", "another output"],
)
def test_files_that_are_no_networks_of_features(tmp_path, make, said):
    with pytest.raises(UserError, match=rf"--kid: .*a\.pt: .*{said}") as raised:
        features.load(Asked(kid=make(tmp_path / "a.pt")), split(3, 8, 8))
    assert "\n" not in str(raised.value)


def test_one_test_image_is_too_few(tmp_path):
    with pytest.raises(UserError, match="--fid: got 1 test images; takes at least 2"):
        features.load(both(tmp_path), split(3, 8, 8, count=1))


REFUSED = {
    "flat": (config((50,), 0), Asked(ssim=True), r"--ssim: got a run on samples of shape \(50,\); takes one on images"),
    "quadrants": (
        config((1, 8, 8), 10, condition="quadrants"),
        Asked(kid=Path("a")),
        "--kid: got a run with condition 'quadrants'; takes one that draws whole images",
    ),
    "baseline": (
        config(COLOUR, 10, condition="label", objective="baseline"),
        Asked(fid=Path("a")),
        "--fid: got a run with objective 'baseline'; takes one with a latent",
    ),
    "gsnn": (
        config(COLOUR, 10, condition="label", objective="gsnn"),
        Asked(ssim=True),
        "--ssim: got a run with objective 'gsnn'; takes one with a posterior",
    ),
    "small": (config((3, 5, 8), 0), Asked(ssim=True), r"shape \(3, 5, 8\); takes at least 6 x 6 pixels"),
    "channels": (config((4, 8, 8), 0), Asked(fid=Path("a")), "--fid: got images of 4 channels; takes 1 or 3"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_runs_without_such_images(case):
    chosen, asked, said = REFUSED[case]
    with pytest.raises(UserError, match=said):
        check(asked, chosen)


def test_what_a_run_has_is_not_refused():
    check(Asked(True, Path("a"), Path("a")), config(COLOUR, 10))
    check(Asked(fid=Path("a")), config(COLOUR, 10, condition="label", objective="gsnn"))
    check(Asked(), config((50,), 0))


@pytest.mark.parametrize("asked", [Asked(ssim=True), Asked(fid=Path("a")), Asked(kid=Path("a"))])
def test_without_torchmetrics(monkeypatch, asked):
    monkeypatch.setattr(asking, "find_spec", lambda name: None)
    check(Asked(), config(COLOUR, 10))
    name = "ssim" if asked.ssim else next(iter(asked.features))
    with pytest.raises(UserError, match=rf"--{name}: torchmetrics is not installed: pip install 'fastvae\[metrics\]'"):
        check(asked, config(COLOUR, 10))


def everything(model, chosen, test, num_samples=None, asked=Asked()) -> tuple[dict, list[str]]:  # noqa: B008
    values, lines = {}, []
    for found, said in evaluated(model, chosen, test, num_samples, asked):
        values |= found
        lines += said
    return values, lines


def test_evaluation_of_coloured_images(tmp_path):
    file = saved(Corner(), tmp_path / "corner.pt")
    chosen = config(COLOUR, 10, latent_dim=2, likelihood="gaussian", dropout=0.0)
    values, lines = everything(noisy(*COLOUR), chosen, split(*COLOUR), 3, Asked(True, file, file))
    assert {"psnr", "ssim", "fid", "kid", "bits_per_dimension", "log_likelihood_bits_per_dimension"} < set(values)
    assert f"reconstruction PSNR {values['psnr']:.2f} dB, SSIM {values['ssim']:.4f}" in lines
    assert f"FID {values['fid']:.2f}, 40 samples, features of corner.pt" in lines
    assert f"KID {values['kid']:.4f}, 40 samples, features of corner.pt" in lines


def test_evaluation_of_a_spatial_latent():
    values, lines = everything(spatial(), config(COLOUR, 10, latent_dim=2, likelihood="gaussian"), split(*COLOUR))
    assert values["positions"] == 4
    assert values["latent_dim"] == 2
    assert sum(values["kl_per_dimension"]) == pytest.approx(values["kl"], rel=1e-5)
    assert any(line.startswith("latent: ") and "channels active" in line for line in lines)


def test_evaluation_of_flat_data_has_no_images():
    model = VAE(Flat(2), nn.Linear(2, 50), likelihood="gaussian", latent_shape=2)
    values, lines = everything(model, config((50,), 0, latent_dim=2, likelihood="gaussian"), split(50))
    assert "psnr" not in values
    assert not any("PSNR" in line for line in lines)


def test_evaluate_command(run, tmp_path):
    file = saved(Corner(), tmp_path / "corner.pt")
    result = fastvae("evaluate", run, "--ssim", "--fid", file, "--kid", file)
    assert result.code == 0, result
    found = json.loads((run / "evaluation.json").read_text())
    assert f"reconstruction PSNR {found['psnr']:.2f} dB, SSIM {found['ssim']:.4f}\n" in result.out
    assert f"FID {found['fid']:.2f}, 297 samples, features of corner.pt\n" in result.out
    assert f"KID {found['kid']:.4f}, 297 samples, features of corner.pt\n" in result.out
    assert found["images"] == 297


def test_evaluate_command_says_what_is_wrong_before_it_begins(run):
    line = fails("evaluate", run, "--fid", run / "checkpoint.pt")
    assert "--fid: " in line
    assert "takes a TorchScript file" in line
    assert "--kid" in fails("evaluate", run, "--kid", run / "missing.pt")
    assert not (run / "evaluation.json").exists()
