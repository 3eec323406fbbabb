"""Plain PyTorch computes what fastvae does, without any of its ops."""

import pytest
import torch
from click.testing import CliRunner

from bench.reproductions import plain, runs
from fastvae import _backend
from fastvae.train.data import datasets
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models import build
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings import resolve
from tests.support.command_line import mnist

RUNS = {run.name: run for write_up in runs.WRITE_UPS for run in write_up.runs if run.plain}
# Trained in fastvae alone, and written in plain PyTorch all the same.
RUNS[runs.S2_ONE_HOT.name] = runs.S2_ONE_HOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return mnist(tmp_path_factory.mktemp("data") / "mnist")


def trainers(name, folder, tmp_path):
    """The two ways of training a run, in eval mode: draws of dropout would differ."""
    config = resolve.changed(runs.resolved(RUNS[name]), {"data_dir": str(folder)})
    dataset = datasets.load(config.data, config.data_dir, binarize=config.binarize)
    both = tuple(kind(config, dataset, RunFolder(tmp_path)) for kind in (Trainer, plain.PlainTrainer))
    for trainer in both:
        trainer.objective.eval()
    return both


def gradients(trainer, loss):
    return torch.autograd.grad(loss, list(trainer.model.parameters()))


@pytest.mark.parametrize("name", RUNS)
def test_losses_and_gradients_agree_for_the_same_noise(name, folder, tmp_path, monkeypatch):
    ours, theirs = trainers(name, folder, tmp_path)
    config, (images, labels) = ours.config, ours.data.train
    eps = torch.randn((len(labels), config.latent_dim), generator=torch.Generator().manual_seed(0))
    inputs = (images,) if config.condition == "none" else build.conditioning(config)(images, labels)
    wanted = ours.model(*inputs, eps=eps)
    monkeypatch.setattr(torch, "randn_like", lambda like: eps)
    found = theirs.objective(images, labels)
    # Sums over 784 pixels in float32, in another order.
    close = {"rtol": 2e-6, "atol": 1e-4}
    torch.testing.assert_close(found.loss, wanted.loss, **close)
    torch.testing.assert_close(found.reconstruction_loss, wanted.reconstruction_loss, **close)
    torch.testing.assert_close(found.kl, wanted.kl, **close)
    for mine, other in zip(gradients(ours, wanted.loss), gradients(theirs, found.loss), strict=True):
        torch.testing.assert_close(other, mine, rtol=1e-4, atol=1e-5 * float(mine.abs().max()))


def refuse():
    raise AssertionError("an op of fastvae was called")


@pytest.mark.parametrize("name", RUNS)
def test_no_op_of_fastvae_is_called(name, folder, tmp_path, monkeypatch):
    ours, theirs = trainers(name, folder, tmp_path)
    images, labels = ours.data.train
    monkeypatch.setattr(_backend, "requested", refuse)
    with pytest.raises(AssertionError, match="an op of fastvae"):
        ours.objective(images, labels)
    theirs.objective(images, labels).loss.backward()


def test_a_run_ends_as_fastvaes_does_but_for_the_noise(folder, tmp_path):
    options = ["--preset", "s5", "--data-dir", str(folder), "--hidden", "8", "--batch-size", "8", "--threads", "1"]
    result = CliRunner().invoke(plain.main, [*options, "--epochs", "2", "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    first, second = RunFolder(tmp_path / "run").read_metrics()
    assert second.train_loss < first.train_loss
    result = CliRunner().invoke(plain.main, ["--resume", str(tmp_path / "run"), "--epochs", "3"])
    assert result.exit_code == 0, result.output
    assert RunFolder(tmp_path / "run").read_metrics()[:2] == [first, second]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--preset", "iwae"), "--binarize: got dynamic; takes none or threshold here"),
        (("--preset", "quadrants"), "--condition: got quadrants; takes none or label here"),
        (("--preset", "s5", "--train-samples", "2"), "--train-samples: got 2; takes 1 here"),
        (("--preset", "s5", "--min-std", "0.1"), "--min-std: got 0.1 with logvar; takes softplus here"),
        (
            ("--preset", "s5", "--condition", "label", "--objective", "baseline"),
            "--objective: got baseline; takes elbo or cvae here",
        ),
    ],
)
def test_what_is_not_written_is_refused(options, message, folder, tmp_path):
    arguments = [*options, "--data-dir", str(folder), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(plain.main, arguments)
    assert result.exit_code == 1
    assert message in result.output
