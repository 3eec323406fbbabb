"""A run whose latent is not used says so, and what to try."""

import pytest

from fastvae.train.evaluation import advice
from fastvae.train.evaluation.latent_use import LatentUse
from tests.support.command_line import TINY, fastvae
from tests.train.small_runs import config

pytestmark = pytest.mark.usefixtures("one_thread")

ALL, SOME, NONE = (
    LatentUse([0.5, 0.5], [1.0, 1.0]),
    LatentUse([0.5, 0.0], [1.0, 0.0]),
    LatentUse([0.0, 0.0], [0.0, 0.0]),
)
FREE_BITS = "--free-bits 0.1 --free-bits-per batch_dimension"
SCALE = "--likelihood gaussian_learned (the scale of gaussian is fixed, and large for pixels)"
NOTHING, IN_PART = "the latent tells nothing about the image", "the collapsed dimensions tell nothing about the image"


@pytest.mark.parametrize(
    ("changes", "use", "said"),
    [
        ({}, NONE, f"{NOTHING}; try --beta-schedule linear, {FREE_BITS} or a smaller --beta"),
        ({}, SOME, f"{IN_PART}; try --beta-schedule linear, {FREE_BITS} or --latent-dim 1, which may be all"),
        ({"likelihood": "gaussian"}, NONE, f"{NOTHING}; try {SCALE}, --beta-schedule linear or {FREE_BITS}"),
        ({"likelihood": "poisson"}, NONE, f"{NOTHING}; try --beta-schedule linear, {FREE_BITS} or a smaller --beta"),
        (
            {"likelihood": "discretized_logistic_mixture"},
            NONE,
            f"{NOTHING}; try --beta-schedule linear, {FREE_BITS} or a smaller --beta",
        ),
        ({"lr": 0.005}, SOME, f"{IN_PART}; try --lr 0.001, --beta-schedule linear or {FREE_BITS}"),
        ({"beta": 4.0}, NONE, f"{NOTHING}; try --beta 1, {FREE_BITS} or a smaller --beta"),
        ({"epochs": 1}, SOME, f"{IN_PART}; try --epochs 2 (the last was the best), --beta-schedule linear or"),
        (
            {"objective": "iwae", "lr": 0.01},
            NONE,
            f"{NOTHING}; try --lr 0.001 or --objective elbo --beta-schedule linear",
        ),
        ({"objective": "iwae"}, SOME, f"{IN_PART}; try --latent-dim 1, which may be all that the images need"),
    ],
)
def test_hints(changes, use, said):
    found = advice.hint(use, config(**changes), 1)
    assert found is not None
    assert found.startswith(f"hint: {said}")


@pytest.mark.parametrize(
    ("unused", "said"),
    [([0, 1, 2, 3, 8, 9, 10, 11], "--latent-dim 1"), ([0, 1, 2, 4, 5, 8, 9], "a smaller --beta")],
)
def test_a_spatial_latent_does_with_fewer_channels_where_some_are_used_nowhere(unused, said):
    """Three channels of 2 x 2 places, each channel's one after the other."""
    kl = [0.0 if dimension in unused else 0.5 for dimension in range(12)]
    chosen = config(model="conv", latent="spatial", hidden=(), latent_dim=3, free_bits=0.1, beta_schedule="linear")
    found = advice.hint(LatentUse(kl, kl), chosen, 1)
    assert found is not None
    assert f"{IN_PART}; try {said}" in found


def test_a_latent_that_is_used_needs_no_hint():
    assert advice.hint(ALL, config(), 1) is None


def last_lines(*options):
    result = fastvae("train", *options)
    assert result.code == 0, result
    return result.out.splitlines()[-3:-1]


def test_a_likelihood_that_leaves_no_latent_alive_says_so_at_the_end(tmp_path):
    options = ("--likelihood", "gaussian", "--epochs", 15, "--out")
    latent, hint = last_lines(*options, tmp_path / "run")
    assert latent.startswith("latent: 0 of 12 units active; 12 collapsed (")
    assert "with 100 % of the KL" in latent
    assert hint.startswith(f"hint: {NOTHING}; try {SCALE}")
    # What it says first helps.
    _, latent = last_lines("--epochs", 15, "--out", tmp_path / "learned")
    assert latent.startswith("latent: 12 of 12 units active; none collapsed; ")


def test_a_greater_learning_rate_leaves_every_latent_alive(tmp_path):
    _, latent = last_lines("--lr", 0.005, "--epochs", 15, "--out", tmp_path / "run")
    assert latent.startswith("latent: 12 of 12 units active; none collapsed; ")


@pytest.mark.parametrize("objective", ["gsnn", "baseline"])
def test_models_without_a_trained_posterior_end_with_the_elbo(tmp_path, objective):
    tiny = TINY if objective == "gsnn" else TINY[:-2]
    options = ("--condition", "quadrants", "--objective", objective, "--epochs", 1, "--out", tmp_path / "run")
    result = fastvae("train", *tiny, *options)
    assert result.code == 0, result
    assert result.out.splitlines()[-2].startswith("test ELBO ")
