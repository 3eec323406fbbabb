"""Run folders that are damaged: the file is named, in one line."""

import json

import pytest

from tests.support.command_line import fails

pytestmark = pytest.mark.usefixtures("one_thread")


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


def test_damaged_checkpoint_cannot_be_resumed(run):
    cut(run / "checkpoint.safetensors")
    assert "checkpoint.safetensors: damaged" in fails("train", "--resume", run)


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
