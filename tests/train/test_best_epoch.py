"""A run keeps the weights of the epoch that does best on images it does not train on, killed and resumed or not."""

import math

import pytest
import torch
from safetensors.torch import load_file

from fastvae.train.data import datasets
from fastvae.train.evaluation.elbo import elbo as elbo_of
from fastvae.train.loop import trainer
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models import build
from fastvae.train.runs import checkpoint, metrics, weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config
from fastvae.train.settings.presets import PUBLISHED
from fastvae.train.settings.resolve import resolve
from fastvae.train.studies import compare
from tests.support.command_line import TINY, fails, fastvae, mnist

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"threads": 1, "device": "cpu", "hidden": (16,), "latent_dim": 2, "batch_size": 400}


def run_in(folder, digits, **changes):
    folder.mkdir(exist_ok=True)
    config = Config(**resolve({**SMALL, **changes}))
    RunFolder(folder).write_config(config)
    return Trainer(config, digits, RunFolder(folder))


@pytest.fixture
def scripted(monkeypatch):
    """Validation losses that a test chooses, by the number of epochs done."""

    def script(losses):
        done = iter(losses)
        monkeypatch.setattr(trainer, "validation_loss", lambda *given: next(done))

    return script


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_last_images_are_held_out_of_training_in_their_order(digits):
    train, validation = datasets.hold_out(digits.train, 0.1)
    assert torch.equal(torch.cat((train.images, validation.images)), digits.train.images)
    assert torch.equal(torch.cat((train.labels, validation.labels)), digits.train.labels)
    assert len(validation.labels) == 150
    assert [len(datasets.hold_out(digits.train, share)[1].labels) for share in (0.0, 1e-9, 0.5)] == [0, 1, 750]


def test_validation_pixels_are_drawn_once(digits):
    _, validation = datasets.hold_out(digits.train, 0.1, binarize="dynamic")
    assert set(validation.images.unique().tolist()) == {0, 255}
    assert torch.equal(validation.images, datasets.hold_out(digits.train, 0.1, binarize="dynamic")[1].images)


def test_a_share_that_leaves_nothing_to_train_on(tmp_path):
    options = ("--data", "mnist", "--data-dir", mnist(tmp_path / "data", 2, 2), "--validation", 0.9)
    assert "--validation: got 0.9 of 2 training images" in fails("train", *TINY, *options, "--out", tmp_path / "run")


def epoch(number, loss):
    return Epoch(number, *[0.0] * 9, validation_loss=loss)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([3.0, 1.0, 2.0], 2),
        ([1.0, 1.0], 1),
        ([math.nan, 5.0, 7.0], 2),
        ([math.nan, math.inf], 1),
        ([None, None], 2),
    ],
)
def test_the_first_of_the_least_loss_is_the_best(losses, best):
    assert metrics.best([epoch(number, loss) for number, loss in enumerate(losses, 1)]).epoch == best


@pytest.mark.parametrize(("losses", "best"), [((3.0, 1.0, 2.0, 1.5), 2), ((4.0, 3.0, 2.0, 1.0), 4), ((1, 2, 3, 4), 1)])
def test_weights_are_those_of_the_best_epoch(tmp_path, digits, scripted, losses, best):
    scripted(losses)
    run = run_in(tmp_path / "run", digits, epochs=4, keep_weights=True)
    run.fit()
    kept = load_file(run.folder.weights_file)
    assert same(kept, load_file(run.folder.epoch_weights_file(best)))
    assert same(kept, run.trained.state_dict())
    assert same(load_file(run.folder.epoch_weights_file(4)), run.model.state_dict())
    assert [row.validation_loss for row in run.folder.read_metrics()] == [float(loss) for loss in losses]


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_killed_run_remembers_its_best(tmp_path, digits, scripted, monkeypatch, done):
    losses = [2.0, 1.0, 4.0, 3.0]
    scripted(losses)
    whole = run_in(tmp_path / "whole", digits, epochs=4)
    whole.fit()
    scripted(losses)

    def kill(*given):
        raise Killed

    with monkeypatch.context() as patch:
        killed = run_in(tmp_path / "killed", digits, epochs=4)
        wrapped = weights.save
        written = []

        # After the checkpoint of an epoch, before its weights.
        def save(network, path):
            written.append(path)
            if len(written) == done:
                raise Killed
            wrapped(network, path)

        patch.setattr(weights, "save", save)
        with pytest.raises(Killed):
            killed.fit()
    scripted(losses[done:])
    torch.manual_seed(99)
    resumed = run_in(tmp_path / "killed", digits, epochs=4)
    assert len(resumed.history) == done
    resumed.fit()
    first, second = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert first.read_bytes() == second.read_bytes()
    assert same(whole.model.state_dict(), resumed.model.state_dict())


def test_every_epoch_is_saved_once(tmp_path, monkeypatch):
    saved, save = [], checkpoint.save

    def counted(folder, state, device, history, settings):
        saved.append(len(history))
        save(folder, state, device, history, settings)

    monkeypatch.setattr(checkpoint, "save", counted)
    assert fastvae("train", *TINY, "--epochs", 3, "--out", tmp_path / "run").code == 0
    assert saved == [1, 2, 3]


def test_a_best_that_is_not_the_models_is_said(tmp_path, digits):
    run = run_in(tmp_path / "run", digits, epochs=1)
    run.fit()
    contents = checkpoint.read(run.folder.checkpoint_file)
    checkpoint.write(run.folder.checkpoint_file, contents | {"best": {}})
    assert "checkpoint.safetensors: does not fit the model of config.json" in fails(
        "train", "--resume", tmp_path / "run"
    )
    del contents["best"]
    checkpoint.write(run.folder.checkpoint_file, contents)
    assert "checkpoint.safetensors: damaged" in fails("train", "--resume", tmp_path / "run")


@pytest.mark.parametrize("settings", [{"beta": 3.0, "beta_schedule": "linear"}, {"capacity": 20.0}])
def test_epochs_of_a_warm_up_are_compared_by_the_loss_after_it(tmp_path, digits, settings):
    run = run_in(tmp_path / "run", digits, epochs=1, warmup_steps=1000, likelihood="bernoulli", **settings)
    run.fit()
    counts = [int(schedule.count) for schedule in run.model.modules() if hasattr(schedule, "count")]
    assert counts == [4] * len(counts)
    means = elbo_of(run.objective, run.validation, run.config.seed, 0.0)
    kl = 3.0 * means.kl if "beta" in settings else abs(means.kl - 20.0)
    assert run.history[0].validation_loss == pytest.approx(means.reconstruction + kl, rel=1e-5)
    assert means.loss < run.history[0].validation_loss


def test_published_runs_train_on_everything_to_the_end():
    assert [resolve({"preset": name})["validation"] for name in PUBLISHED] == [0.0] * len(PUBLISHED)


@pytest.mark.usefixtures("drawn")
def test_what_is_printed_drawn_and_compared_is_the_best(tmp_path, scripted):
    scripted([1.0, 2.0, 3.0])
    result = fastvae("train", *TINY, "--epochs", 3, "--lr", 0.01, "--out", tmp_path / "run")
    assert result.code == 0, result
    assert "weights of epoch 1 of 3, the best on the validation images" in result.out
    (said,) = (line for line in result.out.splitlines() if line.startswith("test "))
    rows = RunFolder(tmp_path / "run").read_metrics()
    assert f"ELBO {rows[0].test_elbo:.2f} = " in said
    assert said in fastvae("evaluate", tmp_path / "run").out
    folder = RunFolder(tmp_path / "run")
    config = folder.read_config()
    found = build.create(config)
    opened = compare.opened(folder, config, found, datasets.load_part("digits", None, "test"))
    assert [row[3] for row in compare._rows([opened], ["run"], [])] == [rows[0].test_elbo]


def test_a_run_that_holds_nothing_out_has_the_last_weights(tmp_path):
    result = fastvae("train", *TINY, "--epochs", 2, "--validation", 0, "--out", tmp_path / "run")
    assert result.code == 0, result
    assert result.out.startswith("digits, 1500 training and 297 test images; ")
    assert "weights of epoch" not in result.out
    assert "validation_loss" not in (tmp_path / "run" / "metrics.csv").read_text()
    found = checkpoint.read(tmp_path / "run" / "checkpoint.safetensors")
    assert found["best"] is None
    assert same(found["model"], load_file(tmp_path / "run" / "weights.safetensors"))
    assert checkpoint.State._fields == ("model", "average", "best", "optimizer", "scaler")
