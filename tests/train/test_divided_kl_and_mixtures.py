"""Runs whose KL is divided, and runs whose prior is a mixture, from training to pictures."""

import csv
import json

import pytest
from safetensors.torch import load_file

from fastvae.losses import KLTerms
from tests.support.command_line import TINY, fastvae

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_divided_kl_is_trained_and_logged(tmp_path):
    run = tmp_path / "run"
    options = ("--objective", "tc", "--total-correlation", 4, "--beta-schedule", "linear", "--warmup-steps", 40)
    result = fastvae("train", *TINY, *options, "--epochs", 2, "--out", run)
    assert result.code == 0, result
    assert "beta (mutual information + 4 total correlation + dimension-wise KL)" in result.out
    assert json.loads((run / "config.json").read_text())["config"]["dataset_size"] == 1350
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    for part in ("train", "test"):
        terms = [float(rows[-1][f"{part}_{name}"]) for name in KLTerms._fields]
        assert sum(terms) == pytest.approx(float(rows[-1][f"{part}_kl"]), abs=1e-4)
    assert fastvae("train", "--resume", run, "--epochs", 3).code == 0
    found = fastvae("evaluate", run, "--num-samples", 3)
    assert found.code == 0, found
    assert json.loads((run / "evaluation.json").read_text()).keys() >= set(KLTerms._fields)


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_a_mixture_is_trained_as_the_prior(tmp_path, prior):
    run = tmp_path / "run"
    result = fastvae("train", *TINY, "--prior", prior, "--components", 7, "--epochs", 2, "--out", run)
    assert result.code == 0, result
    assert load_file(run / "weights.safetensors")["prior.log_weights"].abs().max() > 0
    assert "latent:" not in result.out
    assert fastvae("evaluate", run, "--num-samples", 3).code == 0
    assert fastvae("sample", run, "--number", 4).code == 0
