"""Configs: validated, resolved from defaults and presets, the same after JSON."""

import re

import pytest
import torch
from pydantic import ValidationError

from fastvae import networks
from fastvae._options import PARAMETERIZATIONS
from fastvae.modules.cvae import OBJECTIVES
from fastvae.train.data.named import NAMED
from fastvae.train.errors import first_problem
from fastvae.train.models import build
from fastvae.train.options import choices
from fastvae.train.settings.config import Config
from fastvae.train.settings.presets import BY_DATA, PUBLISHED
from fastvae.train.settings.resolve import resolve


def settings(**changes):
    return {**resolve({"threads": 1, "device": "cpu"}), **changes}


def test_survives_json():
    config = Config(**settings(hidden=(5, 4)))
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_is_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        Config(**settings()).beta = 2.0


@pytest.mark.parametrize("data", NAMED)
def test_defaults_are_valid(data):
    data_dir = "somewhere" if data == "mnist" else None
    config = Config(**resolve({"threads": 1, "device": "cpu", "data": data, "data_dir": data_dir}))
    assert config.latent_dim == BY_DATA[data]["latent_dim"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_are_valid_and_give_way_to_explicit_options(name):
    given = {"threads": 1, "device": "cpu", "data_dir": "somewhere", "preset": name}
    assert Config(**resolve(given)).latent_dim == PUBLISHED[name]["latent_dim"]
    assert Config(**resolve({**given, "latent_dim": 3})).latent_dim == 3


def published(name):
    return Config(**resolve({"threads": 1, "device": "cpu", "data_dir": "somewhere", "preset": name}))


def test_s1_is_the_published_setting():
    config = published("s1")
    assert (config.model, config.hidden, config.decoder_hidden, config.latent_dim) == ("conv", (16,), (), 2)
    assert (config.likelihood, config.batch_size, config.epochs, config.lr) == ("squared_error", 128, 30, 1e-3)
    assert (config.binarize, config.keep_weights) == ("none", True)
    # 320 + 18,496 + 50,192 + 2 * 34 in the encoder; 9,408 + 36,928 + 18,464 + 289 in the decoder.
    assert parameters(config) == (69_076, 65_089)


def test_s3_is_the_published_setting():
    config = published("s3")
    assert (config.model, config.hidden, config.latent_dim) == ("conv_valid", (), 2)
    assert (config.binarize, config.kl_estimator, config.likelihood) == ("threshold", "monte_carlo", "bernoulli")
    assert (config.batch_size, config.epochs, config.lr) == (32, 10, 1e-4)
    # 320 + 18,496 + 9,220 in the encoder; 4,704 + 18,496 + 18,464 + 289 in the decoder.
    assert parameters(config) == (28_036, 41_953)


def test_s4_gives_a_standard_deviation():
    config = published("s4")
    assert (config.parameterization, config.likelihood) == ("std", "squared_error")
    vae = build.create(config)
    output = vae(torch.zeros(3, 1, 28, 28, dtype=torch.uint8))
    torch.testing.assert_close(vae.encode(torch.zeros(3, 1, 28, 28, dtype=torch.uint8)).std, output.scale.abs())


def test_s5_is_the_published_setting():
    config = published("s5")
    assert (config.data, config.model, config.hidden, config.latent_dim) == ("mnist", "mlp", (400,), 20)
    assert (config.likelihood, config.beta, config.batch_size) == ("bernoulli_probs", 1.0, 128)
    assert (config.epochs, config.lr) == (10, 1e-3)
    assert parameters(config) == (784 * 400 + 400 + 400 * 40 + 40, 20 * 400 + 400 + 400 * 784 + 784)


def parameters(config):
    """How many the encoder and the decoder have."""
    vae = build.create(config)
    return tuple(sum(p.numel() for p in network.parameters()) for network in (vae.encoder, vae.decoder))


def problem(**changes):
    with pytest.raises(ValidationError) as caught:
        Config(**settings(**changes))
    return first_problem(caught.value)


INVALID = [
    ("data", "cifar"),
    ("data_dir", "somewhere"),
    ("data_dir", 3),
    ("model", "transformer"),
    ("model", None),
    ("hidden", (0,)),
    ("hidden", (True,)),
    ("hidden", (1.5,)),
    ("hidden", 400),
    ("latent_dim", 0),
    ("latent_dim", 2.0),
    ("latent_dim", True),
    ("likelihood", "rayleigh"),
    ("beta", -1.0),
    ("beta", float("nan")),
    ("beta", float("inf")),
    ("beta", "1"),
    ("batch_size", 0),
    ("epochs", 0),
    ("epochs", None),
    ("lr", 0.0),
    ("lr", float("inf")),
    ("device", "auto"),
    ("device", "tpu"),
    ("amp", "fp8"),
    ("compile", 1),
    ("compile", "yes"),
    ("seed", -1),
    ("seed", 2**63),
    ("threads", 0),
    ("preset", 5),
]


@pytest.mark.parametrize(("field", "value"), INVALID)
def test_invalid_values_are_named(field, value):
    assert re.match(rf"{field}: got .*; (input should be|takes) ", problem(**{field: value}))


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("parameterization", PARAMETERIZATIONS),
        ("model", networks.ARCHITECTURES),
        ("activation", networks.ACTIVATIONS),
    ],
)
def test_what_is_listed_elsewhere_is_taken(field, names):
    assert choices(field) == tuple(names)


@pytest.mark.parametrize("condition", ["none", "label", "quadrants"])
def test_objectives_have_the_names_of_the_models(condition):
    """Without a condition the ELBO; with one what `CVAE` calls its objectives, and no other name."""
    conditional = condition != "none"
    assert Config(**resolve({"threads": 1, "device": "cpu", "condition": condition})).objective == (
        "cvae" if conditional else "elbo"
    )
    for name in choices("objective"):
        given = {"threads": 1, "device": "cpu", "condition": condition, "objective": name}
        if (name in ("elbo", "tc", "iwae")) == conditional:
            with pytest.raises(ValidationError, match=f"with condition '{condition}'"):
                Config(**resolve(given))
        else:
            given |= {"dataset_size": 100} if name == "tc" else {}
            made = build.create(Config(**resolve(given)))
            assert getattr(made, "objective", None) == (name if name in OBJECTIVES else None)


def test_mnist_needs_a_folder():
    assert problem(data="mnist").startswith("data_dir: got None; takes the folder")


def test_unknown_and_missing_fields_are_named():
    assert problem(more=1) == "more: got 1; extra inputs are not permitted"
    with pytest.raises(ValidationError) as caught:
        Config(**{name: value for name, value in settings().items() if name != "beta"})
    assert first_problem(caught.value) == "beta: got nothing; field required"


def test_folder_is_kept_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Config(**settings(data="mnist", data_dir="x")).data_dir == str(tmp_path / "x")
