"""The commands as a user types them, and what they write."""

import csv
import json
import re

import numpy as np
import pytest
import torch

from fastvae.train import options
from fastvae.train.data import datasets
from fastvae.train.loop import trainer
from fastvae.train.runs.folder import versions
from fastvae.train.settings.config import Config
from fastvae.train.settings.presets import PUBLISHED
from tests.support.command_line import TINY, fails, fastvae, mnist

PNG = b"\x89PNG\r\n\x1a\n"
# Of every run; manifold.png is there for a latent of two dimensions.
PICTURES = {
    "reconstructions.png",
    "samples.png",
    "latent.png",
    "interpolation.png",
    "traversal.png",
    "losses.png",
}
COMMANDS = ("train", "evaluate", "sample", "plot", "report", "compare", "info")


pytestmark = pytest.mark.usefixtures("one_thread")


def test_train_says_what_it_did(trained):
    folder, result = trained
    lines = result.out.splitlines()
    assert lines[0].startswith("digits, 1350 training, 150 validation and 297 test images; mlp, ")
    assert lines[1].startswith("in nats per image: ")
    assert [line.split("  ")[0] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]
    assert all(re.search(r"  \d+\.\d s  [\d,]+ images/s$", line) for line in lines[2:4])
    assert re.fullmatch(r"weights of epoch [12] of 2, the best on the validation images", lines[4])
    assert lines[5].startswith("test ELBO ")
    assert lines[6].startswith("latent: ")
    assert lines[-1].startswith(f"{folder}: config.json, ")
    assert result.err == ""


def test_train_leaves_a_run_folder(trained):
    folder, _ = trained
    names = {file.name for file in folder.iterdir()}
    assert names == {
        "config.json",
        "metrics.csv",
        "weights.safetensors",
        "checkpoint.safetensors",
        "report.html",
        "manifold.png",
        *PICTURES,
    }
    for name in PICTURES:
        assert (folder / name).read_bytes().startswith(PNG)


@pytest.mark.slow
@pytest.mark.usefixtures("drawn")
def test_default_run_learns_the_digits(tmp_path):
    result = fastvae("train", "--out", tmp_path / "run")
    assert result.code == 0, result
    assert len(list((tmp_path / "run").glob("*.png"))) >= 3
    with (tmp_path / "run" / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    # The best that a decoder which ignores its latent can do: a mean for each pixel, one deviation for all.
    train, test = (part.images.flatten(1).double() / 255 for part in datasets.load("digits", None))
    deviation = (train - train.mean(0)).square().mean().sqrt()
    ignorant = torch.distributions.Normal(train.mean(0), deviation).log_prob(test).sum(1).mean().item()
    # Above it by 37 nats or more, and no latent unused, with every one of eight seeds: docs/training.md.
    assert float(last["test_elbo"]) > ignorant + 34
    assert "latent: 12 of 12 units active; none collapsed; " in result.out
    assert "hint" not in result.out


def test_config_holds_every_setting_and_the_versions(trained):
    content = json.loads((trained[0] / "config.json").read_text())
    assert content["versions"]["torch"] == torch.__version__
    assert content["config"]["hidden"] == [16]
    assert content["config"]["device"] in ("cpu", "cuda")
    assert content["config"]["seed"] == 0


def test_metrics_agree_with_the_terminal(trained):
    folder, result = trained
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    last = {name: float(value) for name, value in rows[-1].items()}
    assert f"test ELBO {last['test_elbo']:.2f} = -(reconstruction {last['test_reconstruction']:.2f} + KL " in result.out
    assert last["test_elbo"] == pytest.approx(-(last["test_reconstruction"] + last["test_kl"]))


def test_evaluate_repeats_the_elbo_of_training(run, trained):
    result = fastvae("evaluate", run, "--num-samples", 20)
    assert result.code == 0, result
    meaning, test = result.out.splitlines()[:2]
    assert [meaning, test] == [trained[1].out.splitlines()[index] for index in (1, 5)]
    found = json.loads((run / "evaluation.json").read_text())
    assert found["images"] == 297
    assert found["num_samples"] == 20
    assert found["log_likelihood"] > found["elbo"]
    assert f"log-likelihood {found['log_likelihood']:.2f} (standard error" in result.out


def test_evaluate_without_samples(run):
    assert fastvae("evaluate", run).code == 0
    found = json.loads((run / "evaluation.json").read_text())
    assert {"images", "elbo", "reconstruction", "kl", "active_units", "collapsed"} < set(found)
    assert "log_likelihood" not in found


@pytest.mark.parametrize("suffix", [".png", ".npy", ".npz"])
def test_sample(run, tmp_path, suffix):
    out = tmp_path / f"samples{suffix}"
    assert fastvae("sample", run, "-n", 5, "--out", out).code == 0
    if suffix == ".png":
        assert out.read_bytes().startswith(PNG)
        return
    loaded = np.load(out)
    images = loaded if suffix == ".npy" else loaded["images"]
    assert images.shape == (5, 8, 8)
    assert ((images > 0) & (images < 1)).all()


def test_samples_follow_from_their_seed(run, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert fastvae("sample", run, "--seed", seed, "--out", tmp_path / f"{name}.npy").code == 0
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_sample_goes_into_the_run_by_default(run):
    assert fastvae("sample", run).out.strip() == str(run / "generated.png")
    assert (run / "generated.png").read_bytes().startswith(PNG)


def test_plot_draws_again(run):
    for file in run.glob("*.png"):
        file.unlink()
    result = fastvae("plot", run)
    assert result.code == 0
    assert sorted(result.out.split()) == sorted(map(str, run.glob("*.png")))
    assert len(result.out.split()) == 1 + len(PICTURES)


@pytest.mark.parametrize("latent_dim", [1, 3])
@pytest.mark.usefixtures("drawn")
def test_pictures_of_other_latents(tmp_path, latent_dim):
    options = ("--epochs", 1, "--out", tmp_path / "run", "--latent-dim", latent_dim)
    assert fastvae("train", *TINY, *options).code == 0
    assert {file.name for file in (tmp_path / "run").glob("*.png")} == PICTURES


def test_info():
    result = fastvae("info")
    assert result.code == 0
    for name in ("fastvae", "torch", "C++ kernels", "Triton kernels", "threads", "CUDA"):
        assert name in result.out
    assert torch.__version__ in result.out


def test_version():
    assert fastvae("--version").out == f"fastvae {versions()['fastvae']}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), *((command, "--help") for command in COMMANDS)])
def test_help(arguments):
    result = fastvae(*arguments)
    assert result.code == 0
    assert result.out.startswith("Usage: fastvae")


def test_help_lists_what_train_takes():
    text = fastvae("train", "--help").out
    fields = [name for name, field in Config.model_fields.items() if field.description is not None]
    for choice in (*PUBLISHED, *(choice for field in fields for choice in options.choices(field))):
        assert re.search(rf"\b{choice}\b", text), choice


def test_runs_are_named_after_data_and_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert fastvae("train", *TINY, "--epochs", 1).code == 0
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(folder.name.startswith("digits-2") for folder in folders)


def test_preset_and_explicit_option(tmp_path):
    options = ("--preset", "s5", "--data-dir", mnist(tmp_path / "data"), "--epochs", 1, "--hidden", "12")
    assert fastvae("train", *options, "--out", tmp_path / "run").code == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["preset"] == "s5"
    assert config["likelihood"] == PUBLISHED["s5"]["likelihood"]
    assert (config["epochs"], config["hidden"]) == (1, [12])


def test_runs_outlive_the_folder_of_their_data(tmp_path):
    folder = mnist(tmp_path / "data")
    run, moved = tmp_path / "run", tmp_path / "moved"
    options = ("--data", "mnist", "--data-dir", folder, "--epochs", 1, "--out", run)
    assert fastvae("train", *TINY, *options).code == 0
    folder.rename(moved)
    assert fastvae("sample", run).code == 0
    assert f"{folder}: no such folder" in fails("evaluate", run)
    for arguments in (("evaluate", run), ("plot", run), ("train", "--resume", run)):
        assert fastvae(*arguments, "--data-dir", moved).code == 0


def test_resume_of_a_finished_run_goes_further(run):
    result = fastvae("train", "--resume", run, "--epochs", 3)
    assert result.code == 0, result
    assert result.out.startswith("resuming after epoch 2: ")
    assert len((run / "metrics.csv").read_text().splitlines()) == 4
    assert json.loads((run / "config.json").read_text())["config"]["epochs"] == 3


@pytest.mark.usefixtures("drawn")
def test_resume_of_a_finished_run_restores_lost_files(run):
    weights = (run / "weights.safetensors").read_bytes()
    for name in ("weights.safetensors", "metrics.csv", "samples.png"):
        (run / name).unlink()
    assert fastvae("train", "--resume", run).code == 0
    assert (run / "weights.safetensors").read_bytes() == weights
    assert (run / "samples.png").exists()


def test_resume_takes_the_options_the_run_has(run):
    options = ("--hidden", "16", "--beta", "1", "--device", "auto", "--epochs", 2)
    assert fastvae("train", "--resume", run, *options).code == 0


def test_interrupt_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer.Trainer, "_epoch", interrupted)
    code, _, err = fastvae("train", *TINY, "--out", tmp_path / "run")
    assert code == 130
    assert err == (
        f"fastvae: error: interrupted after epoch 0; continue with: fastvae train --resume {tmp_path / 'run'}\n"
    )
