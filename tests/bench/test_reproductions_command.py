"""`python -m bench.reproductions` from a folder of images to the page, on a run of seconds."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from bench import machine
from bench.reproductions import __main__ as command
from bench.reproductions import keeping, running, runs, tasks
from bench.reproductions.finished import metric
from bench.reproductions.keeping import Shelf
from bench.reproductions.runs import Figure, Picture, Run, WriteUp
from bench.reproductions.tasks import Command, Task
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings import resolve
from tests.bench.kept_results import epoch
from tests.support.command_line import mnist

TINY = Run(
    "tiny",
    ("--preset", "s5", "--hidden", "8", "--latent-dim", "2", "--epochs", "1"),
    (Figure("test loss", metric("test_loss")),),
    pictures=(Picture("manifold.png", "tiny-manifold.png", "The latent plane"),),
)


@pytest.fixture
def tiny(monkeypatch):
    """A table of one run, and no studies."""
    monkeypatch.setattr(runs, "WRITE_UPS", (WriteUp("T", "a tiny one", "Some text.", (TINY,)),))
    monkeypatch.setattr(tasks, "STUDIES", ())


@pytest.fixture
def repository(monkeypatch, tmp_path):
    """Results and pages go into a folder of the test."""
    monkeypatch.setattr(command, "SHELF", Shelf(tmp_path / "results", tmp_path / "docs" / "pictures"))
    monkeypatch.setattr(command, "DOCS", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(command.main, [str(argument) for argument in arguments])


def succeeds(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.slow
def test_from_the_images_to_the_page(tiny, repository):
    data, out = mnist(repository / "data"), repository / "out"
    assert succeeds("keep", "--out", out) == "tiny: not finished\ntiny-plain: not finished\n"
    result = invoke("write")
    assert result.exit_code == 1
    assert "got no kept results" in result.output

    folders = ("--data-dir", data, "--out", out)
    assert succeeds("run", *folders, "--threads", "1") == "tiny: begun\ntiny-plain: begun\n"
    assert succeeds("run", *folders) == "tiny: done\ntiny-plain: done\n"
    assert succeeds("keep", "--out", out, "--note", "A note.") == "tiny: kept\ntiny-plain: kept\n"
    # A second time without a note, which stays.
    assert succeeds("keep", "--out", out, "--only", "tiny") == "tiny: kept\n"
    succeeds("write")

    said, pictures = (repository / "docs" / "reproductions.md").read_text(), repository / "docs" / "pictures"
    loss, plain = (RunFolder(out / name).read_metrics()[-1].test_loss for name in ("tiny", "tiny-plain"))
    assert f"| `{' '.join(TINY.options)}` | test loss |  |  | {plain:.2f} | {loss:.2f} |" in said
    assert f"{machine.cpu()}, 1 thread, " in said
    assert "tiny, tiny-plain: A note." in said
    assert "![The latent plane](pictures/tiny-manifold.png)" in said
    with Image.open(out / "tiny" / "manifold.png") as drawn, Image.open(pictures / "tiny-manifold.png") as shown:
        assert (shown.size, shown.mode) == (drawn.size, "P")
    assert str(repository) not in "".join(path.read_text() for path in (repository / "results").glob("*/*"))


def test_an_interrupted_training_goes_on(tiny, tmp_path):
    (train,) = tasks.all_tasks()[0].commands
    place = running.Place(tmp_path / "data", tmp_path, 2)
    begun = running.line(train, tmp_path / "tiny", place)
    assert begun[1:4] == ["-m", "fastvae", "train"]
    assert begun[-6:] == ["--data-dir", str(place.data), "--out", str(tmp_path / "tiny"), "--threads", "2"]
    (tmp_path / "tiny").mkdir()
    RunFolder(tmp_path / "tiny").checkpoint_file.touch()
    continued = running.line(train, tmp_path / "tiny", place)
    assert continued[3:] == ["train", "--resume", str(tmp_path / "tiny"), "--data-dir", str(place.data)]


def test_a_run_with_epochs_to_go_is_not_done(tiny, tmp_path):
    ((train,), *_) = (task.commands for task in tasks.all_tasks() if task.run is TINY)
    config = resolve.changed(runs.resolved(TINY), {"epochs": 2})
    folder = RunFolder(tmp_path)
    folder.write_config(config)
    assert not train.done(tmp_path)
    folder.write_metrics([epoch(1)])
    assert not train.done(tmp_path)
    folder.write_metrics([epoch(1), epoch(2)])
    assert train.done(tmp_path)


def test_an_evaluation_follows_its_run_and_is_kept(monkeypatch, repository):
    evaluated = TINY._replace(evaluation=("--num-samples", "2"), plain=False, pictures=())
    monkeypatch.setattr(runs, "WRITE_UPS", (WriteUp("T", "a tiny one", "Some text.", (evaluated,)),))
    task = tasks.all_tasks()[0]
    folder = RunFolder(repository / "out" / "tiny")
    place = running.Place(repository / "data", repository / "out", 1)
    assert running.line(task.commands[1], folder.path, place)[3:] == [
        "evaluate", str(folder.path), "--num-samples", "2", "--data-dir", str(place.data),
    ]  # fmt: skip
    folder.path.mkdir(parents=True)
    folder.write_config(runs.resolved(TINY))
    folder.write_metrics([epoch(1)])
    assert not task.done(folder.path)
    folder.evaluation_file.write_text('{"num_samples": 2}')
    assert task.done(folder.path)
    succeeds("keep", "--out", repository / "out", "--only", "tiny")
    (kept,) = (repository / "results").glob("tiny/evaluation.json")
    assert json.loads(kept.read_text()) == {"num_samples": 2}


def test_a_run_of_other_settings_is_not_kept(tiny, repository):
    folder = RunFolder(repository / "out" / "tiny-plain")
    folder.path.mkdir(parents=True)
    folder.write_config(resolve.changed(runs.resolved(TINY), {"beta": 2.0}))
    folder.write_metrics([epoch(1)])
    result = invoke("keep", "--out", repository / "out", "--only", "tiny-plain")
    assert result.exit_code == 1
    assert "got beta 2.0; takes 1.0, as the table of runs says" in result.output
    assert not (repository / "results").exists()


def test_a_step_that_fails_is_said_and_the_next_is_run(monkeypatch, tmp_path):
    works = Command(("python", "-c", "import pathlib; pathlib.Path(r'{folder}', 'done').touch()"), "done")
    fails = Command(("python", "-c", "raise SystemExit(3)"), "done")
    studies = (Task("fails", "T", (fails, works), ()), Task("works", "T", (works,), ()))
    monkeypatch.setattr(runs, "WRITE_UPS", ())
    monkeypatch.setattr(tasks, "STUDIES", studies)
    result = invoke("run", "--data-dir", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "fails: ended with status 3" in result.output
    assert not (tmp_path / "out" / "fails" / "done").exists()
    assert (tmp_path / "out" / "works" / "done").exists()


def test_folders_of_the_machine_are_cut_from_tables(tmp_path):
    (tmp_path / "table.csv").write_text("name,run\nbeta 1,/some/where/s1\n")
    task = Task("study", "T", (Command((), "table.csv"),), ("table.csv",))
    assert keeping.keep(task, tmp_path, Shelf(tmp_path / "numbers", tmp_path / "pictures")) == []
    assert (tmp_path / "numbers" / "study" / "table.csv").read_text() == "name,run\nbeta 1,s1\n"


def test_pictures_that_are_missing_or_too_large_are_said(tmp_path):
    (tmp_path / "large.gif").write_bytes(b"0" * (keeping.PICTURE_BYTES + 1))
    (tmp_path / "done").touch()
    pictures = tuple(Picture(name, name, "") for name in ("large.gif", "missing.png"))
    task = Task("study", "T", (Command((), "done"),), (), pictures)
    large, missing = keeping.keep(task, tmp_path, Shelf(tmp_path / "numbers", tmp_path / "pictures"))
    assert f"large.gif: got {keeping.PICTURE_BYTES + 1} bytes; takes at most {keeping.PICTURE_BYTES}" in large
    assert missing.endswith("missing.png: no such picture")
    assert not (tmp_path / "pictures").exists()


def test_names_are_those_of_the_steps(tmp_path):
    result = invoke("run", "--data-dir", tmp_path, "--out", tmp_path, "--only", "s9")
    assert result.exit_code == 2
    assert "got 's9'; takes s1-beta-0.1, " in result.output
