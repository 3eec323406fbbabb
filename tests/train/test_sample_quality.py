"""FID and KID beside their formulas in float64, and the files of networks of features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae.train.data import datasets
from fastvae.train.errors import UserError
from fastvae.train.quality import features, samples
from fastvae.train.quality.asked import Asked
from tests.train.scripted import Corner, Plain, saved
from tests.train.simple_models import COLOUR, Flat, config, noisy, split, split_of

pytestmark = pytest.mark.usefixtures("one_thread")


class Fails(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float() @ images.float().flatten(1)


class Scalar(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean()


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
