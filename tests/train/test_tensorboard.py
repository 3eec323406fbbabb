"""What a run logs for TensorBoard: its rows of metrics and the loss of its steps, each once, resumed or not."""

import csv
import signal
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fastvae.train.loop.step import Step
from fastvae.train.runs import tensorboard
from fastvae.train.runs.metrics import Sums
from fastvae.train.settings import resolve
from tests.support.command_line import TINY, fails, fastvae
from tests.train.trainers import fitted, trainer

pytestmark = pytest.mark.usefixtures("one_thread")


def scalars(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_has_the_rows_of_the_metrics(tmp_path):
    run = tmp_path / "run"
    assert fastvae("train", *TINY, "--epochs", 2, "--tensorboard", "--out", run).code == 0
    assert fastvae("train", "--resume", run, "--epochs", 3).code == 0
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    found = scalars(run / "tensorboard")
    assert set(found) == {
        "loss/validation",
        *(f"{name}/{part}" for name in ("loss", "elbo", "reconstruction", "kl") for part in ("train", "test")),
    }
    for tag, values in found.items():
        name, part = tag.split("/")
        assert values == [(int(row["epoch"]), pytest.approx(float(row[f"{part}_{name}"]), rel=1e-6)) for row in rows]
    # A resumed run may begin to log.
    assert fastvae("train", *TINY, "--epochs", 1, "--out", tmp_path / "late").code == 0
    assert fastvae("train", "--resume", tmp_path / "late", "--epochs", 2, "--tensorboard").code == 0
    assert [step for step, _ in scalars(tmp_path / "late" / "tensorboard")["elbo/test"]] == [2]


def test_tensorboard_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(resolve, "find_spec", lambda name: None)
    line = fails("train", "--tensorboard", "--out", tmp_path / "run")
    assert "--tensorboard: TensorBoard is not installed: pip install 'fastvae[tensorboard]'" in line
    assert not (tmp_path / "run").exists()


# Four steps an epoch, of 400, 400, 400 and 150 images.
LOGGED = {"tensorboard": True, "clip_grad": 20.0, "warmup": 12}


def test_steps_are_logged_once_with_the_means_since_the_last(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(tensorboard, "EVERY_STEPS", 2)
    added, add = [], Sums.add
    whole = trainer(tmp_path / "whole", digits, **LOGGED)

    def watched(self, loss, reconstruction, kl, kl_terms=None):
        if self is whole._sums:
            added.append((loss.item(), len(kl)))
        add(self, loss, reconstruction, kl, kl_terms)

    monkeypatch.setattr(Sums, "add", watched)
    whole.fit()
    found = scalars(tmp_path / "whole" / "tensorboard" / "steps")
    assert set(found) == {"step/loss", "step/lr", "step/grad_norm"}
    pairs = list(zip(added[::2], added[1::2], strict=True))
    expected = [(a * n + b * m) / (n + m) for (a, n), (b, m) in pairs]
    assert found["step/loss"] == [(2 * i, pytest.approx(loss, rel=1e-6)) for i, loss in enumerate(expected, 1)]
    assert found["step/lr"] == [(step, pytest.approx(1e-3 * step / 12)) for step in range(2, 13, 2)]
    for epoch, row in enumerate(whole.history):
        norms = [value for _, value in found["step/grad_norm"][2 * epoch : 2 * epoch + 2]]
        assert sum(norms) / 2 == pytest.approx(row.train_grad_norm, rel=1e-6)


def test_a_resumed_run_logs_the_steps_of_its_epoch_again(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(tensorboard, "EVERY_STEPS", 2)
    fitted(tmp_path / "whole", digits, **LOGGED)
    begun, call = [], Step.__call__

    def interrupted(self, *batch, **named):
        begun.append(batch)
        if len(begun) == 7:
            signal.raise_signal(signal.SIGINT)
        call(self, *batch, **named)

    monkeypatch.setattr(Step, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "cut", digits, **LOGGED)
    assert [step for step, _ in scalars(tmp_path / "cut" / "tensorboard" / "steps")["step/loss"]] == [2, 4, 6]
    # Files of events are ordered by the seconds in their names.
    time.sleep(1.0)
    trainer(tmp_path / "cut", digits, **LOGGED).fit()
    whole, cut = (scalars(tmp_path / name / "tensorboard" / "steps") for name in ("whole", "cut"))
    assert cut == whole


def test_sums_are_read_every_so_many_steps_only(tmp_path, digits, monkeypatch):
    reads, totals = [], Sums.totals

    def counted(self):
        reads.append(self)
        return totals(self)

    monkeypatch.setattr(Sums, "totals", counted)
    monkeypatch.setattr(tensorboard, "EVERY_STEPS", 5)
    fitted(tmp_path / "run", digits, **LOGGED)
    # And the images of each of three epochs, for their speed.
    assert len(reads) == 2 + 3
