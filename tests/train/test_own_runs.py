"""Runs on a user's own data, from training to pictures, and on data that has changed since."""

import csv
import json

import numpy as np
import pytest
import torch

from fastvae.train.data import datasets
from fastvae.train.data.stored import Stored
from tests.support.command_line import fails, fastvae
from tests.train import own_data
from tests.train.trainers import saved

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ("--threads", 1, "--batch-size", 20, "--latent-dim", 3)


def elbos(run):
    return [float(row["test_elbo"]) for row in csv.DictReader((run / "metrics.csv").read_text().splitlines())]


def train(run, data, *options):
    result = fastvae("train", "--data", data, *SMALL, *options, "--out", run)
    assert result.code == 0, result
    return result


IMAGE_RUNS = {
    "conv": ("--hidden", 16, "--epochs", 3, "--lr", 3e-3),
    "resnet": ("--model", "resnet", "--hidden", "none", "--likelihood", "discretized_logistic_mixture", "--epochs", 2),
    "label": ("--condition", "label", "--model", "mlp", "--hidden", 32, "--epochs", 4),
    "label, conv": ("--condition", "label", "--hidden", 16, "--epochs", 3, "--lr", 3e-3),
    "grey": ("--channels", 1, "--image-size", 8, "--condition", "quadrants", "--hidden", 16, "--epochs", 2),
}


@pytest.mark.parametrize("kind", IMAGE_RUNS)
@pytest.mark.usefixtures("drawn")
def test_a_folder_from_training_to_pictures(tmp_path, kind):
    images, run = own_data.folder(tmp_path / "discs", 120), tmp_path / "run"
    result = train(run, images, *IMAGE_RUNS[kind])
    assert result.out.startswith("discs, ")
    found = elbos(run)
    assert found[-1] > found[0]
    config = json.loads((run / "config.json").read_text())["config"]
    shape = [1, 8, 8] if kind == "grey" else [3, 12, 12]
    assert (config["source"], config["shape"], config["values"], config["labels"]) == ("folder", shape, "bytes", 2)
    assert config["data"] == str(images)
    assert fastvae("evaluate", run, "--num-samples", 3).code == 0
    assert json.loads((run / "evaluation.json").read_text())["elbo"] == pytest.approx(found[-1], rel=0.2)
    result = fastvae("plot", run)
    assert result.code == 0, result
    assert "reconstructions.png" in result.out
    if kind != "grey":
        assert fastvae("sample", run, "-n", 4, "--out", tmp_path / "some.npy").code == 0
        assert np.load(tmp_path / "some.npy").shape == (4, 12, 12, 3)


def test_a_conditional_run_draws_what_is_asked_for(tmp_path):
    images, run = own_data.folder(tmp_path / "discs", 200), tmp_path / "run"
    train(run, images, "--condition", "label", "--model", "mlp", "--hidden", 64, "--epochs", 30, "--lr", 3e-3)
    for label, channel in ((0, 2), (1, 0)):
        assert fastvae("sample", run, "-n", 8, "--label", label, "--out", tmp_path / "some.npy").code == 0
        drawn = np.load(tmp_path / "some.npy")
        # Blue discs leave more blue than red in an image, and red ones the other way round.
        assert drawn[..., channel].mean() > drawn[..., 2 - channel].mean() + 0.05


@pytest.mark.parametrize("stored", [False, True])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, stored, monkeypatch):
    if stored:
        monkeypatch.setattr(datasets, "IN_MEMORY", 0)
    images, whole, resumed = own_data.folder(tmp_path / "discs"), tmp_path / "whole", tmp_path / "resumed"
    train(whole, images, "--hidden", 16, "--epochs", 2)
    train(resumed, images, "--hidden", 16, "--epochs", 1)
    result = fastvae("train", "--resume", resumed, "--epochs", 2)
    assert result.code == 0, result
    assert saved(resumed) == saved(whole)


def test_data_that_has_moved(tmp_path):
    images, run = own_data.folder(tmp_path / "discs"), tmp_path / "run"
    train(run, images, "--hidden", 16, "--epochs", 1)
    images.rename(tmp_path / "elsewhere")
    assert f"--data: {images}: no such file or folder" in fails("evaluate", run)
    moved = ("--data-dir", tmp_path / "elsewhere")
    for arguments in (("evaluate", run), ("plot", run), ("train", "--resume", run, "--epochs", 2)):
        result = fastvae(*arguments, *moved)
        assert result.code == 0, result
    assert len(elbos(run)) == 2
    assert fastvae("train", "--resume", run, "--epochs", 3).code == 0  # it remembers


def test_data_that_is_another(tmp_path):
    images, run = own_data.folder(tmp_path / "discs"), tmp_path / "run"
    train(run, images, "--hidden", 16, "--epochs", 1)
    own_data.folder(tmp_path / "larger", size=16)
    line = fails("evaluate", run, "--data-dir", tmp_path / "larger")
    assert "16 x 16 pixels, others have 12 x 12; --image-size resizes them" in line
    np.save(tmp_path / "x.npy", np.zeros((9, 4), np.uint8))
    line = fails("evaluate", run, "--data-dir", tmp_path / "x.npy")
    assert "not the data of the run any more: is arrays, was folder" in line
    (images / "green").mkdir()
    (images / "red" / "001.png").rename(images / "green" / "001.png")
    assert "not the data of the run any more: labels 3, was 2" in fails("evaluate", run)


def test_runs_are_compared(tmp_path):
    images = own_data.folder(tmp_path / "discs")
    for seed in (0, 1):
        train(tmp_path / f"run{seed}", images, "--hidden", 16, "--epochs", 1, "--seed", seed)
    result = fastvae("compare", tmp_path / "run0", tmp_path / "run1", "--out", tmp_path / "both.png")
    assert result.code == 0, result
    own_data.folder(tmp_path / "other", 60)
    train(tmp_path / "run2", tmp_path / "other", "--hidden", 16, "--epochs", 1)
    line = fails("compare", tmp_path / "run0", tmp_path / "run2", "--out", tmp_path / "both.png")
    assert "takes runs on the same data" in line


def arrays(path, shape):
    random = np.random.RandomState(0)
    basis = random.randn(2, int(np.prod(shape)))
    values = random.randn(200, 2) @ basis
    return values.reshape(200, *shape)


@pytest.mark.parametrize("likelihood", ["gaussian_learned", "bernoulli"])
def test_images_in_floating_point(tmp_path, likelihood):
    values = 1 / (1 + np.exp(-arrays(tmp_path, (8, 8))))
    np.save(tmp_path / "x.npy", values.astype(np.float32))
    train(tmp_path / "run", tmp_path / "x.npy", "--likelihood", likelihood, "--hidden", 32, "--epochs", 3)
    found = elbos(tmp_path / "run")
    assert found[-1] > found[0]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["model"] == "conv"


@pytest.mark.parametrize(("unit", "zero"), [(1.0, 0.0), (20.0, 1000.0), (1e-6, -1e-4)])
@pytest.mark.usefixtures("drawn")
def test_vectors_of_any_numbers(tmp_path, unit, zero):
    values = zero + unit * arrays(tmp_path, (12,))
    np.save(tmp_path / "x.npy", values)
    run = tmp_path / "run"
    result = train(run, tmp_path / "x.npy", "--hidden", 32, "--epochs", 5, "--lr", 5e-3)
    found = elbos(run)
    assert found[-1] > found[0]
    assert "pictures of the latent and the losses only" in result.out
    assert not (run / "samples.png").exists()
    assert (run / "latent.png").exists()
    assert fastvae("evaluate", run, "--num-samples", 3).code == 0
    assert fastvae("sample", run, "-n", 50).code == 0
    drawn = np.load(run / "generated.npy")
    assert drawn.shape == (50, 12)
    # In the units of the data.
    assert np.abs(drawn.mean(0) - values.mean(0)).max() < values.std(0).max()
    assert 0.1 < (drawn.std(0) / values.std(0)).mean() < 2


@pytest.mark.parametrize("likelihood", ["negative_binomial", "poisson", "zero_inflated_negative_binomial"])
@pytest.mark.parametrize("condition", ["none", "label"])
def test_counts(tmp_path, likelihood, condition):
    pytest.importorskip("anndata")
    counts = own_data.counts(tmp_path / "cells.h5ad", 200, 9)
    options = ("--likelihood", likelihood, "--condition", condition, "--label-key", "kind", "--lr", 5e-3)
    result = train(tmp_path / "run", tmp_path / "cells.h5ad", *options, "--hidden", 32, "--epochs", 8)
    found = elbos(tmp_path / "run")
    assert found[-1] > found[0]
    assert found[-1] < 0  # of a probability
    # Poisson counts, of which a model that is told nothing of a cell knows the rates of all.
    rates = counts.mean(0)
    alone = torch.distributions.Poisson(torch.from_numpy(rates)).log_prob(torch.from_numpy(counts)).sum(1).mean()
    assert found[-1] > alone
    assert "constant of the likelihood" not in result.out
    assert fastvae("evaluate", tmp_path / "run", "--num-samples", 5).code == 0
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["log_likelihood"] == pytest.approx(evaluation["elbo"], rel=0.1)
    assert fastvae("sample", tmp_path / "run", "-n", 40, "--out", tmp_path / "some.npy").code == 0
    drawn = np.load(tmp_path / "some.npy")
    assert drawn.max() > 1.5  # counts, and not fractions of 255
    assert abs(drawn.mean() - counts.mean()) < 0.5 * counts.mean()


MISTAKES = {
    "condition": (
        ("--condition", "label"),
        "--condition: got 'label'; takes 'none' or 'quadrants' with data that has no",
    ),
    "quadrants": (
        ("--condition", "quadrants"),
        "--condition: got 'quadrants'; takes 'none' or 'label' with samples of",
    ),
    "conv": (("--model", "conv"), "--model conv: shape: got (4,); takes (channels, height, width) with architecture"),
    "likelihood": (("--likelihood", "bernoulli"), "--likelihood: got 'bernoulli'; takes one of ('gaussian', "),
    "levels": (("--likelihood", "poisson"), "--likelihood: got 'poisson'; takes one of ('gaussian', "),
    "binarize": (("--binarize", "threshold"), "--binarize: got 'threshold'; takes 'none' with data that is no uint8"),
    "size": (("--image-size", "8"), "--image-size: got 8; takes None with source 'arrays'"),
    "channels": (("--channels", "1"), "--channels: got 1; takes None with source 'arrays'"),
    "key": (("--label-key", "kind"), "--label-key: got 'kind'; takes None with source 'arrays'"),
    "moved": (("--data-dir", "."), "--data-dir: got one for a new run; takes none with a path as --data"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_settings_that_do_not_go_with_the_data(tmp_path, mistake):
    options, message = MISTAKES[mistake]
    np.save(tmp_path / "x.npy", np.random.RandomState(0).randn(20, 4))
    assert message in fails("train", "--data", tmp_path / "x.npy", *options, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_settings_of_other_data_are_refused_with_names():
    for option in ("--image-size", "--channels", "--label-key", "--layer", "--cache-dir"):
        value = "1" if option in ("--image-size", "--channels") else "x"
        assert f"{option}: got " in fails("train", option, value)


def test_patches_of_photographs(tmp_path, monkeypatch):
    """Also from the map."""
    data = pytest.importorskip("skimage.data")
    photographs = [data.astronaut(), data.coffee(), data.chelsea()]
    patches = [
        photograph[top : top + 16, left : left + 16]
        for photograph in photographs
        for top in range(0, 288, 24)
        for left in range(0, 432, 36)
    ]
    np.save(tmp_path / "x.npy", np.stack(patches))
    monkeypatch.setattr(datasets, "IN_MEMORY", 0)
    assert isinstance(datasets.load(str(tmp_path / "x.npy"), None).train.images, Stored)
    options = ("--model", "resnet", "--hidden", "none", "--likelihood", "discretized_logistic_mixture", "--lr", 2e-3)
    train(tmp_path / "run", tmp_path / "x.npy", *options, "--epochs", 3)
    found = elbos(tmp_path / "run")
    assert found[-1] > found[0]
    # A level of 256, all alike, costs log(256) nats.
    assert found[-1] > -np.log(256) * 3 * 16 * 16
