"""The commands as a user types them: what they write, and the one line a mistake is answered with."""

import csv
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fastvae.train import cli, data, options, trainer
from fastvae.train.config import Config
from fastvae.train.errors import UserError
from fastvae.train.presets import PRESETS
from fastvae.train.run_folder import versions
from tests.support.command_line import TINY, Result, fails, fastvae, mnist

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
COMMANDS = ("train", "evaluate", "sample", "plot", "compare", "info")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = fastvae("train", *TINY, "--epochs", 2, "--out", folder)
    assert result.code == 0, result
    return folder, result


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the trained run, to damage."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in trained[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


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
    assert names == {"config.json", "metrics.csv", "weights.safetensors", "checkpoint.pt", "manifold.png", *PICTURES}
    for name in PICTURES:
        assert (folder / name).read_bytes().startswith(PNG)


def test_default_run_learns_the_digits(tmp_path):
    result = fastvae("train", "--out", tmp_path / "run")
    assert result.code == 0, result
    assert len(list((tmp_path / "run").glob("*.png"))) >= 3
    with (tmp_path / "run" / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    # The best that a decoder which ignores its latent can do: a mean for each pixel, one deviation for all.
    train, test = (part.images.flatten(1).double() / 255 for part in data.load("digits", None))
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
    for choice in (*PRESETS, *(choice for field in Config.model_fields for choice in options.choices(field))):
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
    assert config["likelihood"] == PRESETS["s5"]["likelihood"]
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


OPTION_MISTAKES = {
    "unknown command": (("bake",), "No such command 'bake'"),
    "unknown option": (("train", "--bta", "1"), "No such option '?--bta"),
    "argument": (("train", "digits"), "unexpected extra argument"),
    "preset": (("train", "--preset", "s9"), "'--preset': 's9' is not .*'s5'"),
    "data": (("train", "--data", "cifar"), "'--data': 'cifar' is not one of 'digits', 'mnist'"),
    "model": (("train", "--model", "gan"), "'--model'"),
    "likelihood": (("train", "--likelihood", "poisson"), "'--likelihood'"),
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
    (run / ".partial-checkpoint.pt").write_bytes(b"part")
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
        if file.name not in ("config.json", "checkpoint.pt"):
            file.unlink()
    assert "exists and is not empty" in fails("train", *TINY, "--out", run)


def test_out_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    assert f"--out: {tmp_path / 'file'}" in fails("train", *TINY, "--out", tmp_path / "file")
    assert "Not a directory" in fails("train", *TINY, "--out", tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--beta", "2"), "--beta 2.0 (the run has 1.0)"),
        (("--hidden", "8,4"), "--hidden 8,4 (the run has 16)"),
        (("--model", "conv", "--seed", "1"), "--model conv (the run has mlp), --seed 1 (the run has 0)"),
        (("--preset", "s5"), "--preset s5 (the run has None)"),
        (("--threads", "7"), "--threads 7 (the run has 1)"),
        (("--compile",), "--compile True (the run has False)"),
        (("--epochs", "1"), "--epochs: got 1; takes at least the 2"),
        (("--epochs", "0"), "--epochs: got 0"),
        (("--data-dir", "x"), "--data-dir: got"),
    ],
)
def test_resume_that_contradicts_the_run(run, options, message):
    before = (run / "config.json").read_bytes()
    assert message in fails("train", "--resume", run, *options)
    assert (run / "config.json").read_bytes() == before


def edit(run, **changes):
    file = run / "config.json"
    content = json.loads(file.read_text())
    content["config"].update(changes)
    file.write_text(json.dumps(content))


def cut(file):
    file.write_bytes(file.read_bytes()[:-40])


def as_folder(file):
    file.unlink()
    file.mkdir()


DAMAGES = {
    "config missing": (lambda run: (run / "config.json").unlink(), "not a run folder, it has no config.json"),
    "config cut": (lambda run: cut(run / "config.json"), "config.json: invalid JSON: EOF"),
    "config binary": (lambda run: (run / "config.json").write_bytes(b"\xff\xfe\0"), "config.json: invalid JSON"),
    "config list": (lambda run: (run / "config.json").write_text("[]"), "config.json: input should be an object"),
    "config empty": (lambda run: (run / "config.json").write_text("{}"), "config.json: config: got nothing; field req"),
    "config folder": (lambda run: as_folder(run / "config.json"), "config.json: Is a directory"),
    "config field": (
        lambda run: edit(run, latent_dim="two"),
        "config.json: config.latent_dim: got 'two'; input should",
    ),
    "config extra": (lambda run: edit(run, more=1), "config.json: config.more: got 1; extra inputs are not permitted"),
    "config both": (lambda run: edit(run, data_dir="x"), "config.json: config.data_dir: got 'x'; takes none with data"),
    "weights missing": (lambda run: (run / "weights.safetensors").unlink(), "weights.safetensors: no such file"),
    "weights cut": (lambda run: cut(run / "weights.safetensors"), "weights.safetensors: damaged"),
    "weights empty": (lambda run: (run / "weights.safetensors").write_bytes(b""), "weights.safetensors: damaged"),
    "weights other": (lambda run: edit(run, hidden=[17]), "weights.safetensors: does not fit the model"),
}


@pytest.mark.parametrize("command", ["evaluate", "sample", "plot"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_runs(run, command, damage):
    do, message = DAMAGES[damage]
    do(run)
    line = fails(command, run)
    assert message in line
    assert str(run) in line


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name.startswith("config")])
def test_damaged_config_cannot_be_resumed(run, damage):
    do, message = DAMAGES[damage]
    do(run)
    assert message in fails("train", "--resume", run)


@pytest.mark.parametrize("command", ["evaluate", "plot"])
def test_digits_have_no_folder(run, command):
    assert "--data-dir: got" in fails(command, run, "--data-dir", "somewhere")


def test_damaged_checkpoint_cannot_be_resumed(run):
    cut(run / "checkpoint.pt")
    assert "checkpoint.pt: damaged" in fails("train", "--resume", run)


DAMAGED_METRICS = {
    "empty": (lambda text: b"", "line 1: got no column epoch; takes epoch, train_loss, "),
    "no epochs": (lambda text: text.splitlines()[0], "got no epochs; takes a row for each"),
    "columns missing": (lambda text: b"epoch\n1\n", "line 1: got no column train_loss; takes epoch, train_loss, "),
    "columns more": (lambda text: text.replace(b"\n", b",more\n", 1), "line 1: got a column 'more'"),
    "short": (lambda text: text + b"3,x\n", "line 4: got 2 values; takes "),
    "not a number": (lambda text: text.replace(b"\n1,", b"\n1,x"), "line 2: train_loss: got 'x"),
    "not an epoch": (lambda text: text.replace(b"\n2,", b"\n2.5,"), "line 3: epoch: got '2.5'; takes a whole number"),
    "garbage": (lambda text: b"\x01\x02garbage", "line 1: got no column epoch"),
    "binary": (lambda text: b"\xff\xfe\0", "damaged, no table of metrics ('utf-8' codec can't decode byte 0xff"),
    "endless field": (lambda text: text + 200_000 * b"1", "damaged, no table of metrics (field larger than"),
}


@pytest.mark.parametrize("damage", DAMAGED_METRICS)
def test_damaged_metrics(run, damage):
    do, message = DAMAGED_METRICS[damage]
    file = run / "metrics.csv"
    file.write_bytes(do(file.read_bytes()))
    line = fails("plot", run)
    assert f"{file}: " in line
    assert message in line


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


def start(*arguments, **variables) -> subprocess.Popen:
    command = [sys.executable, "-m", "fastvae", *map(str, arguments)]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", **variables}
    # What the shell ignores of a job in the background, the process would, too.
    interruptible = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=interruptible,
    )


def wait_for_rows(process, file, rows):
    deadline = time.monotonic() + 60
    while not (file.exists() and len(file.read_text().splitlines()) > rows):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_killed_for_real_and_resumed(tmp_path):
    options = ("train", *TINY, "--batch-size", 50, "--epochs", 25)
    assert fastvae(*options, "--out", tmp_path / "whole").code == 0
    process = start(*options, "--out", tmp_path / "killed")
    wait_for_rows(process, tmp_path / "killed" / "metrics.csv", 3)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len((tmp_path / "killed" / "metrics.csv").read_text().splitlines()) < 26
    resumed = start("train", "--resume", tmp_path / "killed")
    out, err = resumed.communicate()
    assert (resumed.returncode, err) == (0, "")
    assert out.startswith("resuming after epoch ")
    whole, killed = (tmp_path / name / "weights.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    rows = (tmp_path / "killed" / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, 26))


def test_interrupted_for_real(tmp_path):
    process = start("train", *TINY, "--epochs", 10000, "--out", tmp_path / "run")
    wait_for_rows(process, tmp_path / "run" / "metrics.csv", 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.count("\n") == 1
    assert "continue with: fastvae train --resume" in err


@pytest.mark.slow
def test_compile_without_a_compiler(tmp_path):
    options = ("train", *TINY, "--compile", "--out", tmp_path / "run")
    process = start(*options, CXX="missing-compiler", TORCHINDUCTOR_FORCE_DISABLE_CACHES="1")
    _, err = process.communicate()
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert err.startswith("fastvae: error: --compile: ")
    assert "missing-compiler" in err
