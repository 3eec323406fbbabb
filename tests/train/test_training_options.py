"""Options of the training loop in whole runs: each has an effect, and an interrupted run ends with the same bits."""

import csv
import signal
import threading

import pytest
import torch
from safetensors.torch import load_file

from fastvae.train.errors import UserError
from fastvae.train.evaluation.elbo import validation_loss
from fastvae.train.loop import trainer as loop
from fastvae.train.loop.graph import GraphedStep
from fastvae.train.loop.interrupt import Interrupt
from fastvae.train.loop.step import Step
from fastvae.train.models import build, objectives
from fastvae.train.runs import metrics, resume, weights
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings import resolve
from tests.support.command_line import TINY, fails, fastvae
from tests.train import trainers
from tests.train.test_step import Rerun
from tests.train.trainers import fitted, saved, trainer

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = {
    "accumulate": {"accumulate": 3},
    "clip_grad": {"clip_grad": 20.0},
    "ema": {"ema": 0.5},
    "warmup": {"warmup": 6},
    "cosine": {"lr_schedule": "cosine"},
    "weight_decay": {"weight_decay": 1.0},
    "fp16": {"amp": "fp16"},
    "all": {
        "accumulate": 3,
        "clip_grad": 20.0,
        "ema": 0.5,
        "warmup": 2,
        "lr_schedule": "cosine",
        "weight_decay": 0.1,
        "amp": "fp16",
        "beta_schedule": "linear",
        "warmup_steps": 10,
    },
}
options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@pytest.fixture
def interrupted_at(monkeypatch):
    """Ctrl-C within a step, and, where a test says so, again; returns the steps begun and ended."""

    def at(step, times=1):
        seen, call = {"begun": 0, "ended": 0}, Step.__call__

        def interrupted(self, *batch, **named):
            seen["begun"] += 1
            if seen["begun"] == step:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            call(self, *batch, **named)
            seen["ended"] += 1

        monkeypatch.setattr(Step, "__call__", interrupted)
        return seen

    return at


@pytest.mark.parametrize("graphed", [False, True])
@options
def test_interrupted_and_resumed_to_the_same_bits(tmp_path, digits, monkeypatch, interrupted_at, options, graphed):
    whole = fitted(tmp_path / "whole", digits, **options)
    plain = fitted(tmp_path / "plain", digits)
    assert saved(tmp_path / "whole") != saved(tmp_path / "plain")
    assert [row.lr for row in plain.history] == [None] * 3
    if graphed:
        monkeypatch.setattr(loop, "Step", lambda *given, **named: GraphedStep(Step(*given, **named), 400, Rerun()))
    # In the second of three epochs, of four steps each; a capture takes four more.
    interrupted_at(6 + 4 * graphed)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "cut", digits, **options)
    torch.manual_seed(99)
    resumed = trainer(tmp_path / "cut", digits, **options)
    assert len(resumed.history) == 1
    resumed.fit()
    assert saved(tmp_path / "cut") == saved(tmp_path / "whole")
    untimed = [[row._replace(seconds=0.0) for row in run.history] for run in (resumed, whole)]
    assert untimed[0] == untimed[1]


def test_the_first_interrupt_lets_the_step_end(tmp_path, digits, interrupted_at):
    seen, handler = interrupted_at(6), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "run", digits)
    assert seen == {"begun": 6, "ended": 6}
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_second_interrupt_does_not(tmp_path, digits, interrupted_at):
    seen, handler = interrupted_at(6, times=2), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "run", digits)
    assert seen == {"begun": 6, "ended": 5}
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interrupt_while_an_epoch_is_saved_is_not_lost(tmp_path, digits, monkeypatch):
    save = loop.Trainer.save

    def interrupted(self):
        if len(self.history) == 3:
            signal.raise_signal(signal.SIGINT)
        save(self)

    monkeypatch.setattr(loop.Trainer, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "run", digits)
    assert len(trainer(tmp_path / "run", digits).history) == 3
    with pytest.raises(KeyboardInterrupt), Interrupt():
        signal.raise_signal(signal.SIGINT)


def test_an_ignored_interrupt_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt() as interrupt:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
            interrupt.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_trains_in_another_thread(tmp_path, digits):
    thread = threading.Thread(target=fitted, args=(tmp_path / "run", digits), kwargs={"epochs": 1})
    thread.start()
    thread.join()
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_ctrl_c_says_how_to_go_on_and_the_run_does(tmp_path, interrupted_at):
    arguments = ("train", *TINY, "--epochs", 3)
    assert fastvae(*arguments, "--out", tmp_path / "whole").code == 0
    interrupted_at(5)
    code, _, err = fastvae(*arguments, "--out", tmp_path / "run")
    assert (code, err.count("\n")) == (130, 1)
    command = err.split("continue with: fastvae ")[1].split()
    assert command[:2] == ["train", "--resume"]
    assert not list((tmp_path / "run").glob(".partial*"))
    assert fastvae(*command).code == 0
    assert saved(tmp_path / "run") == saved(tmp_path / "whole")


def test_averages_are_what_is_measured_and_kept(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, ema=0.9, keep_weights=True, validation=0.0)
    plain = fitted(tmp_path / "plain", digits, validation=0.0)
    # Training itself does not see them.
    assert all(map(torch.equal, run.model.parameters(), plain.model.parameters()))
    assert [row.train_loss for row in run.history] == [row.train_loss for row in plain.history]
    assert run.history[-1].test_loss != plain.history[-1].test_loss
    averages = load_file(run.folder.weights_file)
    assert saved(tmp_path / "run") == run.folder.epoch_weights_file(3).read_bytes()
    assert all(torch.equal(run.trained.state_dict()[name], averages[name]) for name in averages)
    restored = build.create(run.config)
    weights.load(restored, run.folder)
    x = run.data.test.images
    torch.testing.assert_close(restored.eval().reconstruct(x), run._state.average.eval().reconstruct(x), rtol=0, atol=0)


def test_averages_begin_at_the_weights_that_training_begins_with(tmp_path, digits):
    """At the scale that the data tells, too, and not at that of a network just made."""
    run = trainer(tmp_path / "run", digits, ema=0.9)
    begun, made = run.model.state_dict(), build.create(run.config).state_dict()
    averages = run._state.average.state_dict()
    assert all(torch.equal(averages[name], begun[name]) for name in begun)
    assert any(not torch.equal(made[name], begun[name]) for name in begun)


def test_the_validation_loss_is_that_of_the_averages(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, epochs=1, ema=0.9)
    with run.folder.path.joinpath("metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    expected = validation_loss(objectives.create(run.config, run.trained), run.validation, run.config.seed)
    assert float(row["validation_loss"]) == expected
    assert validation_loss(run.objective, run.validation, run.config.seed) != expected


def test_the_best_of_the_averages_is_kept(tmp_path, digits, monkeypatch):
    losses = iter([2.0, 1.0, 3.0])
    monkeypatch.setattr(loop, "validation_loss", lambda *given: next(losses))
    run = fitted(tmp_path / "run", digits, ema=0.9, keep_weights=True)
    assert saved(tmp_path / "run") == run.folder.epoch_weights_file(2).read_bytes()
    assert saved(tmp_path / "run") != run.folder.epoch_weights_file(3).read_bytes()


def test_metrics_have_the_rate_where_it_changes_and_the_norm_where_it_is_clipped(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, lr=0.5e-3, lr_schedule="cosine", clip_grad=20.0)
    rows = run.folder.read_metrics()
    assert rows == run.history
    assert [row.lr for row in rows] == [run._rate.last if row.epoch == 3 else row.lr for row in rows]
    assert rows[0].lr > rows[1].lr > rows[2].lr > 0
    assert all(row.train_grad_norm > 0 for row in rows)
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert header.endswith(",train_grad_norm,lr")
    fitted(tmp_path / "plain", digits, epochs=1)
    assert "lr" not in (tmp_path / "plain" / "metrics.csv").read_text().splitlines()[0].split(",")


def rows(*losses):
    return [Epoch(number, *[0.0] * 9, validation_loss=loss) for number, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("losses", "patience", "stopped"),
    [
        ((), 1, False),
        ((3.0,), 1, False),
        ((3.0, 4.0), 1, True),
        ((3.0, 4.0), 2, False),
        ((3.0, 3.0, 3.0), 2, True),
        ((3.0, 4.0, 2.0, 5.0), 2, False),
        ((3.0, 4.0), None, False),
    ],
)
def test_patience_is_counted_from_the_best_epoch(losses, patience, stopped):
    assert metrics.stopped(rows(*losses), patience) is stopped


def scripted(monkeypatch, losses):
    """Validation losses by the number of the epoch, whichever run asks."""
    monkeypatch.setattr(loop.Trainer, "_validation_loss", lambda self: losses[len(self.history)])


def test_a_run_stops_early_and_stays_stopped(tmp_path, monkeypatch):
    scripted(monkeypatch, [3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    run = tmp_path / "run"
    options = ("train", *TINY, "--epochs", 8, "--early-stopping", 2)
    result = fastvae(*options, "--out", run)
    assert result.code == 0, result
    assert "stopped after epoch 4 of 8: 2 epochs without a better validation loss\n" in result.out
    assert "weights of epoch 2 of 4, the best on the validation images\n" in result.out
    kept = saved(run)
    again = fastvae("train", "--resume", run)
    assert "stopped after epoch 4 of 8" in again.out
    assert len((run / "metrics.csv").read_text().splitlines()) == 5
    assert saved(run) == kept
    further = fastvae("train", "--resume", run, "--early-stopping", 4)
    assert "stopped after epoch 6 of 8: 4 epochs without" in further.out
    assert saved(run) == kept
    assert "stopped" not in fastvae("train", "--resume", run, "--early-stopping", 10).out


def test_a_run_that_ends_with_its_patience_has_not_stopped_early(tmp_path, digits, monkeypatch):
    scripted(monkeypatch, [1.0, 2.0, 3.0])
    run = fitted(tmp_path / "run", digits, early_stopping=2)
    assert not run.stopped


def test_the_end_of_a_cosine_is_not_moved(tmp_path, digits):
    run = tmp_path / "run"
    assert fastvae("train", *TINY, "--epochs", 1, "--lr-schedule", "cosine", "--out", run).code == 0
    assert "--epochs 2 (the run has 1)" in fails("train", "--resume", run, "--epochs", 2)
    assert resume.resumed(trainers.RunFolder(run), {"epochs": 1}).epochs == 1


def test_a_warm_up_that_leaves_nothing_to_a_cosine(tmp_path, digits):
    with pytest.raises(UserError, match="--warmup: got 12; takes less than the 12 steps of the run"):
        trainer(tmp_path / "run", digits, lr_schedule="cosine", warmup=12)
    trainer(tmp_path / "run", digits, warmup=12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accumulate": 0}, "--accumulate"),
        ({"accumulate": 401}, "--accumulate: got 401; takes at most the batch_size, 400"),
        ({"accumulate": 2, "objective": "tc"}, "takes 1 with objective 'tc', which needs the whole batch at once"),
        ({"accumulate": 2, "capacity": 3.0}, "takes 1 with capacity 3.0, which needs the whole batch at once"),
        (
            {"accumulate": 2, "free_bits": 0.1, "free_bits_per": "batch_dimension"},
            "takes 1 with free_bits_per 'batch_dimension', which needs the whole batch at once",
        ),
        ({"clip_grad": 0.0}, "--clip-grad"),
        ({"ema": 1.0}, "--ema"),
        ({"early_stopping": 0}, "--early-stopping"),
        ({"early_stopping": 3, "validation": 0.0}, "--early-stopping: got 3; takes none with validation 0"),
    ],
)
def test_contradictions_are_refused(changes, said):
    with pytest.raises(UserError) as caught:
        resolve.new({**trainers.TINY, **changes})
    assert said in str(caught.value)


def test_accumulation_goes_with_free_bits_of_a_sample():
    changes = {"accumulate": 2, "free_bits": 0.1, "free_bits_per": "dimension"}
    assert resolve.new({**trainers.TINY, **changes}).accumulate == 2
