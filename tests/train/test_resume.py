"""A run that was killed, or is to go further, resumes to the bits of one that was not."""

import pytest
import torch

from fastvae.train.errors import UserError
from fastvae.train.runs import atomic, checkpoint
from fastvae.train.runs.metrics import Means, Sums
from tests.train.trainers import fitted, saved, trainer


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


# Three files are written per epoch: before the first, and after each but the last.
@pytest.mark.parametrize("written", range(9))
def test_killed_between_any_two_files_and_resumed(tmp_path, digits, monkeypatch, written):
    whole = fitted(tmp_path / "whole", digits)
    count = 0

    def killing(path, writer, write=atomic.write):
        nonlocal count
        if count == written:
            # What a kill within a write leaves: a part of the new file beside the old one.
            path.with_name(f".partial-{path.name}").write_bytes(b"part")
            raise Killed
        count += 1
        write(path, writer)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write", killing)
        with pytest.raises(Killed):
            fitted(tmp_path / "killed", digits)
    torch.manual_seed(99)
    resumed = trainer(tmp_path / "killed", digits)
    assert len(resumed.history) == -(-written // 3)
    resumed.fit()
    assert saved(tmp_path / "killed") == saved(tmp_path / "whole")
    untimed = [[row._replace(seconds=0.0) for row in run.history] for run in (resumed, whole)]
    assert untimed[0] == untimed[1]
    assert [row.epoch for row in resumed.folder.read_metrics()] == [1, 2, 3]


def test_killed_within_an_epoch_and_resumed(tmp_path, digits, monkeypatch):
    # Nothing held out, on which an epoch would do as well as the sums below say.
    fitted(tmp_path / "whole", digits, validation=0.0)
    steps = 0

    def killing(self, loss, reconstruction, kl, kl_terms):
        nonlocal steps
        steps += 1
        if steps == 7:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Sums, "add", killing)
        patch.setattr(Sums, "means", lambda self: Means(0.0, 0.0, 0.0, 0.0))
        with pytest.raises(Killed):
            fitted(tmp_path / "killed", digits, validation=0.0)
    resumed = trainer(tmp_path / "killed", digits, validation=0.0)
    assert 0 < len(resumed.history) < 3
    resumed.fit()
    assert saved(tmp_path / "killed") == saved(tmp_path / "whole")


def test_finished_run_goes_on_as_if_it_had_been_longer(tmp_path, digits):
    fitted(tmp_path / "long", digits, epochs=4)
    fitted(tmp_path / "short", digits, epochs=2)
    fitted(tmp_path / "short", digits, epochs=4)
    assert saved(tmp_path / "short") == saved(tmp_path / "long")


@pytest.mark.parametrize("damage", [b"", b"garbage", None, "cut", "other"])
def test_damaged_checkpoint(tmp_path, digits, damage):
    run = fitted(tmp_path / "run", digits, epochs=1)
    file = run.folder.checkpoint_file
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "other":
        checkpoint.write(file, {"model": run.model.state_dict()})
    else:
        checkpoint.write(file, [1, 2])
    with pytest.raises(UserError, match=r"checkpoint\.safetensors: damaged"):
        trainer(tmp_path / "run", digits)


def test_checkpoint_of_another_model(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, epochs=1)
    found = checkpoint.read(run.folder.checkpoint_file)
    found["settings"]["hidden"] = [17]
    checkpoint.write(run.folder.checkpoint_file, found)
    with pytest.raises(UserError, match=r"checkpoint\.safetensors: does not fit the model of config\.json"):
        trainer(tmp_path / "run", digits, hidden=(17,))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"lr": 0.003}, "lr: got 0.003; checkpoint.safetensors was trained with 0.001"), ({"seed": 1}, "seed: got 1; ")],
)
def test_checkpoint_of_other_settings(tmp_path, digits, change, message):
    """A config that was altered, or came from another run, would be trained on with."""
    fitted(tmp_path / "run", digits, epochs=1)
    with pytest.raises(UserError, match=rf"config\.json: {message}"):
        trainer(tmp_path / "run", digits, **change)


def test_lost_checkpoint(tmp_path, digits):
    run = fitted(tmp_path / "run", digits, epochs=1)
    run.folder.checkpoint_file.unlink()
    with pytest.raises(UserError, match=r"checkpoint\.safetensors: no such file, beside weights\.safetensors"):
        trainer(tmp_path / "run", digits)


def test_a_pickle_runs_no_code(tmp_path, digits):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "attacked"), "w"))

    run = fitted(tmp_path / "run", digits, epochs=1)
    torch.save({"model": Attack()}, run.folder.checkpoint_file)
    with pytest.raises(UserError, match="damaged"):
        trainer(tmp_path / "run", digits)
    assert not (tmp_path / "attacked").exists()
