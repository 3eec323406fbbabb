"""Runs of the likelihoods of a pixel's level, from training to pictures, and what they do not go with."""

import csv
import json

import numpy as np
import pytest

from fastvae.train.settings.kinds import OF_LEVELS
from tests.support.command_line import TINY, TINY_NETWORK, fails, fastvae, mnist
from tests.train.trainers import saved

pytestmark = pytest.mark.usefixtures("one_thread")

MIXTURE = "discretized_logistic_mixture"

# Beside a likelihood: what else a run may be.
RUNS = {
    "poisson": (*TINY, "--model", "conv"),
    "negative_binomial": (*TINY, "--objective", "iwae", "--train-samples", "2"),
    "zero_inflated_negative_binomial": (*TINY, "--prior", "vamp", "--components", "5"),
    MIXTURE: (*TINY, "--objective", "tc", "--weighting", "mss", "--amp", "bf16"),
}


@pytest.mark.parametrize("likelihood", RUNS)
@pytest.mark.usefixtures("drawn")
def test_a_run_from_training_to_pictures(tmp_path, likelihood):
    run = tmp_path / "run"
    result = fastvae("train", *RUNS[likelihood], "--likelihood", likelihood, "--epochs", 2, "--out", run)
    assert result.code == 0, result
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    elbos = [float(row["test_elbo"]) for row in rows]
    assert elbos == sorted(elbos)
    found = fastvae("evaluate", run, "--num-samples", 5)
    assert found.code == 0, found
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["log_likelihood"] == pytest.approx(evaluation["elbo"], rel=0.1)
    assert evaluation["log_likelihood"] < 0  # of a probability, which no density is
    assert fastvae("sample", run, "-n", 6, "--out", tmp_path / "some.npy").code == 0
    images = np.load(tmp_path / "some.npy")
    assert images.shape == (6, 8, 8)
    assert ((images >= 0) & (images <= 1)).all()
    assert images.mean() > 0.05  # no image black
    assert fastvae("plot", run).code == 0


@pytest.mark.parametrize("likelihood", RUNS)
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, likelihood):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    options = ("train", *RUNS[likelihood], "--likelihood", likelihood)
    assert fastvae(*options, "--epochs", 2, "--out", whole).code == 0
    assert fastvae(*options, "--epochs", 1, "--out", resumed).code == 0
    assert fastvae("train", "--resume", resumed, "--epochs", 2).code == 0
    assert saved(resumed) == saved(whole)


@pytest.mark.parametrize("likelihood", ["zero_inflated_negative_binomial", MIXTURE])
@pytest.mark.usefixtures("drawn")
def test_a_conditional_run_from_training_to_pictures(tmp_path, likelihood):
    baseline, run = tmp_path / "baseline", tmp_path / "run"
    options = ("--condition", "quadrants", "--likelihood", likelihood, "--epochs", 2)
    result = fastvae("train", *TINY_NETWORK, *options, "--objective", "baseline", "--out", baseline)
    assert result.code == 0, result
    more = ("--prior", "learned", "--first-guess", baseline, "--objective", "hybrid")
    result = fastvae("train", *TINY, *options, *more, "--out", run)
    assert result.code == 0, result
    assert fastvae("evaluate", run, "--num-samples", 3).code == 0
    found = json.loads((run / "evaluation.json").read_text())
    # Squared errors of 48 pixels in [0, 1]; of levels they would be thousands.
    assert 0 < found["prediction_error"] < 48
    assert fastvae("plot", run).code == 0
    changed = (*options[:2], "--likelihood", "poisson", *more, "--out", tmp_path / "other")
    assert f"has likelihood '{likelihood}'; takes a run with 'poisson'" in fails("train", *TINY, *changed)


def test_runs_of_two_likelihoods_are_compared(tmp_path):
    for likelihood in ("poisson", MIXTURE):
        options = ("--likelihood", likelihood, "--epochs", 1, "--out", tmp_path / likelihood)
        assert fastvae("train", *TINY, *options).code == 0
    result = fastvae("compare", tmp_path / "poisson", tmp_path / MIXTURE, "--out", tmp_path / "both.png")
    assert result.code == 0, result
    assert f"likelihood {MIXTURE}" in result.out


def test_mnist_and_a_preset(tmp_path):
    run, folder = tmp_path / "run", mnist(tmp_path / "data")
    options = ("--preset", "s2", "--data-dir", folder, "--likelihood", "negative_binomial", "--epochs", 1)
    result = fastvae("train", *options, "--threads", 1, "--out", run)
    assert result.code == 0, result
    assert fastvae("sample", run, "--label", 3, "-n", 2).code == 0


@pytest.mark.parametrize("likelihood", OF_LEVELS)
@pytest.mark.parametrize("binarize", ["threshold", "dynamic"])
def test_two_levels_are_no_256(likelihood, binarize):
    line = fails("train", "--binarize", binarize, "--likelihood", likelihood)
    assert f"--likelihood: got '{likelihood}'; takes one of ('bernoulli', " in line
    assert f"with binarize '{binarize}'" in line


def test_a_binarizing_preset_refuses_them(tmp_path):
    line = fails("train", "--preset", "s3", "--data-dir", tmp_path, "--likelihood", MIXTURE)
    assert f"--likelihood: got '{MIXTURE}'" in line
