"""Runs of every kind of networks and latents, given a label or not, on the command line."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fastvae import networks
from fastvae.train.errors import UserError
from fastvae.train.models import build
from fastvae.train.pictures import conditional
from fastvae.train.runs import metrics
from fastvae.train.settings import architecture
from fastvae.train.settings.presets import PUBLISHED
from fastvae.train.settings.resolve import new, resolve
from tests.support.command_line import fails, fastvae
from tests.train import own_data
from tests.train.small_runs import config
from tests.train.trainers import fitted

pytestmark = pytest.mark.usefixtures("one_thread")

NARROW = ("--widths", "8,8", "--batch-size", 500, "--threads", 1, "--epochs", 1)
OF_VECTORS = {"latent.png", "traversal.png"}


def test_one_epoch_of_a_resnet(tmp_path, digits):
    """With its defaults: widths, blocks and activation are in the config."""
    folder = tmp_path / "run"
    result = fastvae("train", "--model", "resnet", "--epochs", 1, "--threads", 1, "--out", folder)
    assert result.code == 0, result
    found = json.loads((folder / "config.json").read_text())["config"]
    chosen = {name: found[name] for name in ("widths", "blocks", "activation", "hidden", "latent")}
    assert chosen == {"widths": [32, 64], "blocks": 1, "activation": "silu", "hidden": [], "latent": "vector"}
    (epoch,) = metrics.read(folder / "metrics.csv")
    # The best that a decoder can do without a latent: one mean for all images, and one deviation.
    pixels = digits.test.images.double() / 255
    variance = (pixels - pixels.mean(0)).square().mean()
    assert epoch.test_elbo > -64 * 0.5 * (1 + math.log(2 * math.pi * variance))


@pytest.mark.parametrize("model", ["conv", "resnet"])
@pytest.mark.usefixtures("drawn")
def test_a_spatial_latent_through_every_command(tmp_path, model):
    folder = tmp_path / "run"
    trained = fastvae("train", "--model", model, "--latent", "spatial", *NARROW, "--out", folder)
    assert trained.code == 0, trained
    assert "spatial latent of 4 channels" in trained.out
    names = {file.name for file in folder.iterdir()}
    assert {"reconstructions.png", "samples.png", "interpolation.png", "losses.png"} < names
    assert not names & OF_VECTORS
    evaluated = fastvae("evaluate", folder, "--num-samples", 2)
    assert evaluated.code == 0, evaluated
    assert json.loads((folder / "evaluation.json").read_text())["latent_dim"] == 4
    assert fastvae("sample", folder, "--number", 3, "--out", tmp_path / "three.npy").code == 0
    assert fastvae("plot", folder).code == 0
    other = tmp_path / "other"
    assert fastvae("train", "--hidden", 9, "--epochs", 1, "--threads", 1, "--out", other).code == 0
    assert fastvae("compare", folder, other, "--out", tmp_path / "both.png").code == 0


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
@pytest.mark.parametrize("objective", ["elbo", "tc"])
def test_spatial_latents_with_learned_priors(tmp_path, digits, prior, objective):
    run = fitted(
        tmp_path / "run", digits, model="resnet", latent="spatial", hidden=(), widths=(8, 8), epochs=2,
        prior=prior, components=5, objective=objective, **({"dataset_size": 1350} if objective == "tc" else {}),
    )  # fmt: skip
    assert run.history[1].train_elbo > run.history[0].train_elbo
    assert run.model.sample(2).shape == (2, 1, 8, 8)


CONDITIONAL = {
    "vector": {},
    "spatial": {"latent": "spatial", "hidden": (), "latent_dim": 3},
    "learned": {"latent": "spatial", "hidden": (), "prior": "learned"},
    "gsnn": {"objective": "gsnn"},
    "hybrid": {"objective": "hybrid", "prior": "learned"},
    "baseline": {"objective": "baseline"},
    "number": {"label_encoding": "number"},
}


@pytest.mark.parametrize("model", ["conv", "resnet"])
@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_label_beside_images(tmp_path, digits, name, model):
    changes = {"model": model, "widths": (8, 8), "condition": "label", "lr": 1e-2} | CONDITIONAL[name]
    run = fitted(tmp_path / "run", digits, **changes)
    first, *_, last = run.history
    assert last.train_elbo > first.train_elbo
    conditioned = build.conditioning(run.config)
    with torch.no_grad():
        group = conditional.for_each_label(run.model, conditioned, range(10), 0)[1]
    assert group.shape[::3] == (10, 8)
    # Of the same latent, what is drawn depends on the label.
    assert abs(group[3, 0] - group[7, 0]).max() > 1e-3


OF_COLOURS = {
    "conv": ("--hidden", "none", "--latent-dim", 3),
    "resnet": ("--latent", "spatial", "--latent-dim", 2, "--widths", "8,8"),
}


@pytest.mark.parametrize("model", OF_COLOURS)
def test_the_colour_that_is_asked_for_at_an_odd_size(tmp_path, model):
    """Of blue and red discs, each label's own; in the images there is 0.15 more of that colour than of the other."""
    images, run = own_data.folder(tmp_path / "discs", 120, size=13), tmp_path / "run"
    options = ("--condition", "label", "--epochs", 30, "--lr", 3e-3, "--batch-size", 20, "--threads", 1)
    result = fastvae("train", "--data", images, "--model", model, *OF_COLOURS[model], *options, "--out", run)
    assert result.code == 0, result
    for label, channel in ((0, 2), (1, 0)):
        assert fastvae("sample", run, "-n", 8, "--label", label, "--out", tmp_path / "some.npy").code == 0
        drawn = np.load(tmp_path / "some.npy")
        assert drawn.shape == (8, 13, 13, 3)
        assert drawn[..., channel].mean() > drawn[..., 2 - channel].mean() + 0.05


def test_colours_and_odd_sizes_are_built():
    """What own data asks for, before a batch of it is there."""
    chosen = config(model="resnet", latent="spatial", hidden=(), likelihood="discretized_logistic_mixture")
    chosen = chosen.model_copy(update={"shape": (3, 17, 30)})
    model = build.create(chosen)
    assert model(torch.zeros(2, 3, 17, 30, dtype=torch.uint8)).prediction.shape == (2, 100, 17, 30)
    assert model.sample(2).shape == (2, 3, 17, 30)


def test_vectors_of_counts_are_read_as_their_logarithms():
    chosen = config(likelihood="negative_binomial").model_copy(update={"shape": (7,), "values": "counts"})
    model = build.create(chosen)
    assert isinstance(model.encoder[0], networks.LogCounts)
    assert model(torch.full((2, 7), 3000.0)).prediction.shape == (2, 14)


@pytest.mark.parametrize("model", ["conv", "conv_valid", "resnet"])
def test_feature_maps_need_images(model):
    chosen = config(model=model).model_copy(update={"shape": (7,)})
    with pytest.raises(UserError, match=rf"--model {model}: shape: got \(7,\); takes \(channels, height, width\)"):
        architecture.check(chosen)


def test_what_cannot_be_built_is_one_line(tmp_path):
    line = fails("train", "--model", "conv_valid", "--widths", "8,8,8", "--out", tmp_path / "run")
    assert "--model conv_valid: shape: got (1, 8, 8); takes a height and a width of at least 15 each" in line
    assert not (tmp_path / "run").exists()
    chosen = config(model="conv", likelihood="discretized_logistic_mixture").model_copy(update={"shape": (4, 8, 8)})
    with pytest.raises(UserError, match="channels: got 4; takes one of"):
        architecture.check(chosen)


def test_checking_draws_no_numbers():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    new({"model": "resnet", "threads": 1, "device": "cpu"})
    assert torch.equal(torch.get_rng_state(), before)


def test_defaults_go_with_the_kind_of_networks_unless_a_preset_or_a_user_says_otherwise():
    assert resolve({"model": "resnet"})["hidden"] == ()
    assert resolve({"model": "resnet", "hidden": (9,), "activation": "relu"})["hidden"] == (9,)
    assert resolve({"model": "conv"})["widths"] == (32, 64)
    assert resolve({"model": "mlp"})["widths"] is None
    assert resolve({"model": "conv", "latent": "spatial"})["latent_dim"] == 4
    assert resolve({"model": "conv", "latent": "spatial", "latent_dim": 7})["latent_dim"] == 7
    for name, row in PUBLISHED.items():
        made = resolve({"preset": name})
        assert all(made[field] == value for field, value in row.items()), name


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    """A killed one: its config says the widths, whatever the defaults have become."""
    options = ("--model", "resnet", "--latent", "spatial", *NARROW[:-1])
    assert fastvae("train", *options, 2, "--out", tmp_path / "whole").code == 0
    assert fastvae("train", *options, 1, "--out", tmp_path / "run").code == 0
    assert fastvae("train", "--resume", tmp_path / "run", "--epochs", 2).code == 0
    whole, resumed = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(whole[key], value) for key, value in resumed.items())
