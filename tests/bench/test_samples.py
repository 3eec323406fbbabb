"""Estimates of a conditional likelihood with several numbers of latents."""

import json

import pytest
from click.testing import CliRunner

from bench.reproductions import samples
from bench.reproductions.keeping import Shelf
from bench.reproductions.runs import WRITE_UPS
from bench.reproductions.sections import SECTIONS
from fastvae.train.data import datasets
from tests.bench.kept_results import keep_file
from tests.train.trainers import fitted

CONDITIONAL = {"condition": "quadrants", "quadrants": 1, "prior": "learned", "epochs": 4, "lr": 1e-2, "dropout": 0.0}


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", None)


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits):
    return fitted(tmp_path_factory.mktemp("conditional"), digits, **CONDITIONAL)


def measured(run, tmp_path, *options):
    command = [str(run.folder.path), "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(samples.main, command)
    assert result.exit_code == 0, result.output
    return json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_more_latents_are_a_tighter_bound(run, tmp_path):
    run.folder.write_config(run.config)
    found = measured(run, tmp_path, "--images", "60", "--num-samples", "1", "--num-samples", "50")
    assert found["images"] == 60
    for method in ("monte_carlo", "importance"):
        few, many = (found[method][count] for count in ("1", "50"))
        assert many["nll"] < few["nll"]
        assert 0 < many["standard_error"] < many["nll"]
    # Both are bounds of the same likelihood, and this one is tighter.
    drawn = found["monte_carlo"]["50"]
    assert found["importance"]["50"]["nll"] <= drawn["nll"] + drawn["standard_error"]


def test_one_image_for_each_at_most(run, tmp_path):
    run.folder.write_config(run.config)
    found = measured(run, tmp_path, "--images", "100000", "--num-samples", "1")
    assert found["images"] == len(run.data.test.labels)


def test_another_model_is_refused(tmp_path, digits):
    other = fitted(tmp_path / "vae", digits, epochs=1)
    other.folder.write_config(other.config)
    result = CliRunner().invoke(samples.main, [str(other.folder.path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "takes a conditional VAE" in result.output


def test_the_page_has_a_row_for_each_method(tmp_path):
    shelf = Shelf(tmp_path / "numbers", tmp_path / "pictures")
    (write_up,) = (one for one in WRITE_UPS if one.name == "S2")
    assert "Not run." in SECTIONS["S2"](write_up, shelf.numbers)
    figure = {"100": {"nll": 82.25, "standard_error": 0.5}, "10000": {"nll": 70.0, "standard_error": 0.25}}
    kept = {"images": 7, "monte_carlo": figure, "importance": figure}
    keep_file(shelf, "quadrant-samples", "metrics.json", json.dumps(kept))
    said = "\n".join(SECTIONS["S2"](write_up, shelf.numbers))
    assert "| 7 images | 100 latents | 10,000 latents |" in said
    assert "| Monte Carlo | 82.25 ± 0.50 | 70.00 ± 0.25 |" in said
