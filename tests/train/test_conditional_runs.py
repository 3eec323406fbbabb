"""Conditional runs from the command line, and the study of quadrants."""

import json

import pytest
from PIL import Image

from fastvae.train.pictures import saved
from tests.support.command_line import TINY, TINY_NETWORK, fails, fastvae, mnist

pytestmark = pytest.mark.usefixtures("one_thread")


def size(picture):
    with Image.open(picture) as image:
        return image.size


RUNS = {
    "label": ("--condition", "label", "--likelihood", "bernoulli"),
    "label, learned prior": ("--condition", "label", "--prior", "learned", "--objective", "hybrid", "--alpha", 0.3),
    "quadrants": ("--condition", "quadrants", "--quadrants", 3, "--train-samples", 2),
    "gsnn": ("--condition", "quadrants", "--prior", "learned", "--objective", "gsnn"),
    "baseline": ("--condition", "quadrants", "--objective", "baseline"),
    "label, baseline": ("--condition", "label", "--objective", "baseline"),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.usefixtures("drawn")
def test_conditional_runs_from_the_command_line(name, tmp_path):
    run = tmp_path / "run"
    tiny = TINY_NETWORK if "baseline" in name else TINY
    result = fastvae("train", *tiny, *RUNS[name], "--epochs", 1, "--out", run)
    assert result.code == 0, result
    picture = "labels.png" if name.startswith("label") else "completions.png"
    of_posterior = set() if name == "gsnn" or "baseline" in name else {"reconstructions.png"}
    of_posterior |= {"latent.png"} if name in ("label", "quadrants") else set()
    assert {file.name for file in run.glob("*.png")} == {picture, "losses.png", *of_posterior}
    assert min(size(run / picture)) > 0.6 * saved._DPI  # inches
    result = fastvae("evaluate", run, "--num-samples", 5)
    assert result.code == 0, result
    found = json.loads((run / "evaluation.json").read_text())
    assert f"squared error of the prediction {found['prediction_error']:.2f} a target" in result.out
    assert ("log_likelihood_monte_carlo" in found) == ("baseline" not in name)
    if "baseline" in name:
        assert found["log_likelihood"] == pytest.approx(found["elbo"], rel=1e-5)
        assert "exact" in result.out
    (run / picture).unlink()
    assert fastvae("plot", run).code == 0
    assert (run / picture).exists()
    assert fastvae("train", "--resume", run, "--epochs", 2).code == 0
    sampled = fastvae("sample", run, "-n", 12)
    if name.startswith("label") and "baseline" not in name:
        assert sampled.code == 0
        assert fastvae("sample", run, "-n", 2, "--label", 7, "--out", run / "seven.npy").code == 0
    else:
        assert "takes one that draws an image from a latent" in sampled.err


def test_sampling_a_label_of_a_run_without(tmp_path):
    assert fastvae("train", *TINY, "--epochs", 1, "--out", tmp_path / "run").code == 0
    assert "--label: got 3; takes none for a run with condition 'none'" in fails(
        "sample", tmp_path / "run", "--label", 3
    )


@pytest.mark.slow
def test_the_study_is_written_once_and_goes_on(tmp_path):
    folder, out = mnist(tmp_path / "data"), tmp_path / "study"
    options = ("--data-dir", folder, "--out", out, "--num-samples", 4, "--threads", 1)
    result = fastvae("quadrants", *options, "--epochs", 1)
    assert result.code == 0, result
    rows = [line.split(",") for line in (out / "table.csv").read_text().splitlines()]
    assert rows[0][:5] == ["quadrants", "model", "method", "negative_log_likelihood", "standard_error"]
    assert len(rows) == 1 + 3 * 6
    cvae = next(row for row in rows if row[:3] == ["2", "cvae", "importance"])
    kept = json.loads((out / "quadrants-2-cvae" / "evaluation.json").read_text())
    assert float(cvae[3]) == -kept["log_likelihood"]
    table = result.out.splitlines()[-7:]
    assert table[0].split() == ["negative", "log-likelihood", "(nats)", *("1", "given", "2", "given", "3", "given")]
    assert f"{float(cvae[3]):.1f} +- {float(cvae[4]):.1f}" in table[4]
    for count in (1, 2, 3):
        assert min(size(out / f"completions-{count}.png")) > 100
    written = (out / "quadrants-1-hybrid" / "checkpoint.safetensors").stat().st_mtime_ns
    again = fastvae("quadrants", *options, "--epochs", 1)
    assert again.out.splitlines()[-7:] == table
    assert (out / "quadrants-1-hybrid" / "checkpoint.safetensors").stat().st_mtime_ns == written
    assert fastvae("quadrants", *options, "--epochs", 2).code == 0
    assert (out / "table.csv").read_text().splitlines()[1].split(",")[6] == "2"
    assert "--epochs: got 1; takes at least the 2" in fails("quadrants", *options, "--epochs", 1)
    assert "contradicts --seed 1" in fails("quadrants", *options, "--epochs", 2, "--seed", 1)
