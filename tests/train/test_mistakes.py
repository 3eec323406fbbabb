"""What a user may get wrong on the command line: one line each, which names it, and nothing is touched."""

import json
import re
import sys

import pytest
import torch

from fastvae.train import cli
from fastvae.train.errors import UserError
from fastvae.train.loop import trainer
from tests.support.command_line import TINY, fails, fastvae
from tests.train.test_damaged_runs import edit

pytestmark = pytest.mark.usefixtures("one_thread")


OPTION_MISTAKES = {
    "unknown command": (("bake",), "No such command 'bake'"),
    "unknown option": (("train", "--bta", "1"), "No such option '?--bta"),
    "argument": (("train", "digits"), "unexpected extra argument"),
    "preset": (("train", "--preset", "s9"), "'--preset': 's9' is not .*'s5'"),
    "data": (("train", "--data", "cifar"), "/cifar: no such file or folder; takes digits, mnist, a folder of images"),
    "model": (("train", "--model", "gan"), "'--model'"),
    "likelihood": (("train", "--likelihood", "rayleigh"), "'--likelihood'"),
    "parameterization": (("train", "--parameterization", "precision"), "'--parameterization'"),
    "estimator": (("train", "--kl-estimator", "best"), "'--kl-estimator'"),
    "decoder hidden": (("train", "--decoder-hidden", "8,x"), "'--decoder-hidden': '8,x' is not a list"),
    "amp": (("train", "--amp", "fp8"), "'--amp'"),
    "device": (("train", "--device", "tpu"), "'--device'"),
    "hidden": (("train", "--hidden", "wide"), "'--hidden': 'wide' is not a list of whole numbers"),
    "hidden zero": (("train", "--hidden", "8,0"), r"--hidden: got 0; input should be greater than or equal to 1"),
    "latent": (("train", "--latent-dim", "0"), "--latent-dim: got 0; input should be greater than or equal to 1"),
    "latent text": (("train", "--latent-dim", "two"), "'--latent-dim': 'two' is not a valid integer"),
    "beta": (("train", "--beta", "-1"), "--beta: got -1.0; input should be greater than or equal to 0"),
    "beta nan": (("train", "--beta", "nan"), "--beta: got nan; input should be a finite number"),
    "batch": (("train", "--batch-size", "0"), "--batch-size: got 0"),
    "epochs": (("train", "--epochs", "0"), "--epochs: got 0"),
    "lr": (("train", "--lr", "0"), "--lr: got 0.0; input should be greater than 0"),
    "seed": (("train", "--seed", "-1"), "--seed: got -1"),
    "threads": (("train", "--threads", "0"), "--threads: got 0"),
    "no data dir": (("train", "--data", "mnist"), "--data-dir: got None; takes the folder"),
    "needless data dir": (("train", "--data-dir", "x"), "--data-dir: got 'x'; takes none with data 'digits'"),
    "home": (
        ("train", "--data", "mnist", "--data-dir", "~no-such-user/x"),
        "--data-dir: got '~no-such-user/x'; takes no ~",
    ),
    "lost data dir": (("train", "--data", "mnist", "--data-dir", "x"), "/x: no such folder"),
    "resume and out": (("train", "--resume", "a", "--out", "b"), "--out: got a folder with --resume"),
    "resume nothing": (("train", "--resume", "missing"), "missing: no such run folder"),
    "no run": (("evaluate",), "Missing argument 'RUN'"),
    "samples": (("evaluate", "x", "--num-samples", "0"), "'--num-samples': 0 is not in the range"),
    "number": (("sample", "x", "-n", "0"), "'-n' / '--number'"),
    "evaluate nothing": (("evaluate", "missing"), "missing: no such run folder"),
    "plot nothing": (("plot", "missing"), "missing: no such run folder"),
    "sample nothing": (("sample", "missing"), "missing: no such run folder"),
}


@pytest.mark.parametrize("mistake", OPTION_MISTAKES)
def test_mistaken_options(mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, message = OPTION_MISTAKES[mistake]
    line = fails(*arguments)
    assert re.search(message, line), line
    assert not list(tmp_path.iterdir()), "a mistake leaves nothing behind"


@pytest.mark.parametrize("command", ["train", "evaluate", "plot", "sample"])
def test_missing_cuda(command, run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = () if command == "train" else (run,)
    assert "--device: got cuda, but torch finds no CUDA device" in fails(command, *arguments, "--device", "cuda")


def test_resume_of_a_cuda_run_without_cuda(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    edit(run, device="cuda")
    assert "--device: got cuda" in fails("train", "--resume", run)


def test_existing_run_is_not_overwritten(run):
    before = {file: file.read_bytes() for file in run.iterdir()}
    line = fails("train", *TINY, "--out", run)
    assert f"--out: {run} exists and is not empty" in line
    assert {file: file.read_bytes() for file in run.iterdir()} == before


def fail_to_start(*arguments):
    raise UserError("out of luck")


def test_run_that_failed_in_its_first_epoch_may_begin_again(tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_epoch", fail_to_start)
        assert "out of luck" in fails("train", *TINY, "--lr", "2", "--out", run)
    assert [file.name for file in run.iterdir()] == ["config.json"]
    (run / ".partial-checkpoint.safetensors").write_bytes(b"part")
    assert fastvae("train", *TINY, "--lr", "0.01", "--epochs", 1, "--out", run).code == 0
    assert json.loads((run / "config.json").read_text())["config"]["lr"] == 0.01
    assert not list(run.glob(".partial-*"))


@pytest.mark.parametrize("content", ["{}", '{"config": {}, "versions": {}}', "not JSON"])
def test_config_of_another_program_is_not_overwritten(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    assert "exists and is not empty" in fails("train", *TINY, "--out", tmp_path)
    assert (tmp_path / "config.json").read_text() == content


def test_run_with_a_checkpoint_does_not_begin_again(run):
    for file in run.iterdir():
        if file.name not in ("config.json", "checkpoint.safetensors"):
            file.unlink()
    assert "exists and is not empty" in fails("train", *TINY, "--out", run)


def test_out_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    assert f"--out: {tmp_path / 'file'}" in fails("train", *TINY, "--out", tmp_path / "file")
    assert "Not a directory" in fails("train", *TINY, "--out", tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--beta", "2"), "--beta 2 (the run has 1)"),
        (("--hidden", "8,4"), "--hidden 8,4 (the run has 16)"),
        (("--model", "conv", "--seed", "1"), "--model conv (the run has mlp), --seed 1 (the run has 0)"),
        (("--preset", "s5"), "--preset s5 (the run has default)"),
        (("--threads", "7"), "--threads 7 (the run has 1)"),
        (("--compile",), "--compile yes (the run has no)"),
        (("--epochs", "1"), "--epochs: got 1; takes at least the 2"),
        (("--epochs", "0"), "--epochs: got 0"),
        (("--data-dir", "x"), "--data-dir: got"),
    ],
)
def test_resume_that_contradicts_the_run(run, options, message):
    before = (run / "config.json").read_bytes()
    assert message in fails("train", "--resume", run, *options)
    assert (run / "config.json").read_bytes() == before


@pytest.mark.parametrize("command", ["evaluate", "plot"])
def test_digits_have_no_folder(run, command):
    assert "--data-dir: got" in fails(command, run, "--data-dir", "somewhere")


@pytest.mark.parametrize(
    ("out", "message"), [("a.gif", "takes a file that ends in .png, .npy, .npz"), ("no/a.png", "no: no such folder")]
)
def test_sample_into_a_wrong_place(run, monkeypatch, tmp_path, out, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails("sample", run, "--out", out)


def test_missing_dependency_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastvae.train.commands", None)
    with pytest.raises(ModuleNotFoundError):
        cli.run(["info"])
    monkeypatch.setitem(sys.modules, "click", None)
    assert "the command line needs click: pip install 'fastvae[train]'" in fails("info")
