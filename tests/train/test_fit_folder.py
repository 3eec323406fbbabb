"""What `fastvae.fit` leaves in its folder, how it goes on from there, and what `fastvae.load` makes of it."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader, TensorDataset

import fastvae
from fastvae.train.python import pictures
from fastvae.train.runs.folder import RunFolder
from tests.train.fits import BATCH, COUNT, QUIET, Regression, cvae, images, pairs, same, vae

pytestmark = pytest.mark.usefixtures("one_thread")
OPTIONS = {"batch_size": BATCH, "validation": 0.2, "lr": 1e-2, "ema": 0.9, "clip_grad": 1.0, **QUIET}


def names(folder):
    return {file.name for file in folder.iterdir()}


FILES = {"checkpoint.safetensors", "fit.json", "losses.png", "metrics.csv", "weights.safetensors"}
MODEL = {"config.json", "model.safetensors"}


def test_a_folder_has_it_all(tmp_path):
    model = vae()
    found = fastvae.fit(model, images(), epochs=2, out=tmp_path / "run", **OPTIONS)
    assert names(tmp_path / "run") == FILES | MODEL | {"latent.png", "reconstructions.png", "samples.png"}
    assert found.folder == tmp_path / "run"
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == found.history
    kept = load_file(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())


class Drawn(torch.nn.Module):
    """Colour images in [0, 1] from a latent and a condition."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(5, 3 * 4 * 4)

    def forward(self, z, condition):
        return self.linear(torch.cat([z, condition], 1)).sigmoid().view(-1, 3, 4, 4)


def test_a_cvae_of_networks_of_ones_own(tmp_path):
    model = cvae()
    model.recognition = torch.nn.Bilinear(48, 3, 4)
    model.recognition.forward = lambda target, condition: model.prior(condition)
    model.generation = Drawn()
    colours = torch.rand(COUNT, 3, 4, 4)
    fastvae.fit(model, (pairs()[0], colours), epochs=1, out=tmp_path / "run", **OPTIONS)
    assert names(tmp_path / "run") == FILES | {"predictions.png"}
    # Out of [0, 1] they are no pictures.
    fastvae.fit(model, (pairs()[0], colours - 0.5), epochs=1, out=tmp_path / "other", **OPTIONS)
    assert names(tmp_path / "other") == FILES


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = fastvae.fit(vae(), images(), epochs=1, **OPTIONS)
    assert found.folder is None
    assert not list(tmp_path.iterdir())


def loader(x):
    return DataLoader(TensorDataset(x), batch_size=BATCH, shuffle=True)


@pytest.mark.parametrize(
    ("create", "data", "options"),
    [
        (vae, images, {}),
        (lambda: vae(beta=fastvae.LinearWarmup(0.0, 1.0, 12)), images, {"lr_schedule": "steps", "lr_milestones": (2,)}),
        (vae, lambda: loader(images()), {"validation": images(10)}),
        (cvae, pairs, {}),
        (Regression, pairs, {}),
    ],
    ids=["vae", "schedules", "loader", "cvae", "module"],
)
def test_it_goes_on_with_the_same_bits(create, data, options, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "draw", lambda *arguments: None)
    whole, model, resumed = create(), create(), create()
    options = OPTIONS | options
    if isinstance(data(), DataLoader):
        del options["batch_size"]
    expected = fastvae.fit(whole, data(), epochs=4, **options)
    fastvae.fit(model, data(), epochs=2, out=tmp_path / "run", **options)
    torch.manual_seed(99)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.zero_()
    found = fastvae.fit(resumed, data(), epochs=4, out=tmp_path / "run", resume=True, **options)
    assert same(resumed, whole)
    assert not same(model, whole)
    times = {"seconds": 0.0}
    assert [row | times for row in found.history] == [row | times for row in expected.history]
    again = create()
    fastvae.fit(again, data(), epochs=4, out=tmp_path / "run", resume=True, **options)
    assert same(again, whole)


def test_resume_begins_where_there_is_nothing(tmp_path):
    model, other = vae(), vae()
    fastvae.fit(model, images(), epochs=1, out=tmp_path / "new", resume=True, **OPTIONS)
    fastvae.fit(other, images(), epochs=1, **OPTIONS)
    assert same(model, other)


def test_an_interrupted_epoch_is_trained_again(tmp_path):
    class Interrupted(Regression):
        steps = 0

        def forward(self, x, y):
            self.steps += self.training
            if self.steps == 8:
                raise KeyboardInterrupt
            return super().forward(x, y)

    with pytest.raises(KeyboardInterrupt) as caught:
        fastvae.fit(Interrupted(), pairs(), epochs=3, out=tmp_path / "run", **OPTIONS)
    assert caught.value.__notes__ == ["after epoch 1; the same call with resume=True goes on from there"]
    (file := tmp_path / "run" / "fit.json").write_text(file.read_text().replace("Interrupted", "Regression"))
    model, whole = Regression(), Regression()
    fastvae.fit(model, pairs(), epochs=3, out=tmp_path / "run", resume=True, **OPTIONS)
    fastvae.fit(whole, pairs(), epochs=3, **OPTIONS)
    assert same(model, whole)


def test_every_epochs_weights_and_events(tmp_path):
    fastvae.fit(Regression(), pairs(), epochs=2, out=tmp_path / "run", keep_weights=True, tensorboard=True, **QUIET)
    assert {file.name for file in (tmp_path / "run" / "weights").iterdir()} == {
        "epoch-001.safetensors", "epoch-002.safetensors"
    }  # fmt: skip
    assert any((tmp_path / "run" / "tensorboard").iterdir())


def fails(match, *arguments, model=vae, **options):
    with pytest.raises(ValueError, match=match):
        fastvae.fit(model(), *arguments, **{"epochs": 2, **OPTIONS, **options})


def test_what_contradicts_the_folder(tmp_path):
    run = tmp_path / "run"
    fastvae.fit(vae(), images(), epochs=2, out=run, **OPTIONS)
    fails("^out: got .*run, which is not empty; takes a new folder, or resume=True", images(), out=run)
    fails(r"^resume: .*run contradicts lr 0\.1 \(it has 0\.01\)$", images(), out=run, resume=True, lr=0.1)
    fails("^epochs: got 1; takes at least the 2 that", images(), out=run, resume=True, epochs=1)
    fails("contradicts model 'CVAE'", pairs(), model=cvae, out=run, resume=True)
    wider = lambda: fastvae.VAE(*fastvae.networks.build("mlp", (1, 4, 4), 2, hidden=(9,))[:2])  # noqa: E731
    fails("checkpoint.safetensors: does not fit the model of fit.json$", images(), model=wider, out=run, resume=True)
    (run / "checkpoint.safetensors").write_bytes(b"?")
    fails("checkpoint.safetensors: damaged", images(), out=run, resume=True)
    (run / "fit.json").write_text("{}")
    fails("fit.json: model: got nothing", images(), out=run, resume=True)
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "file").touch()
    fails("which fastvae.fit has not written; takes a new folder", images(), out=tmp_path / "others")
    fails("^out: .*file: ", images(), out=tmp_path / "others" / "file")
    with RunFolder(run).claimed():
        fails("another process is writing this run", images(), out=run, resume=True)


@pytest.mark.parametrize("option", ["resume", "keep_weights", "tensorboard"])
def test_what_needs_a_folder(option):
    fails(f"^{option}: got True without out=; takes it with a folder$", images(), **{option: True})


def test_load_of_a_fit(tmp_path):
    model = vae()
    fastvae.fit(model, images(), epochs=1, out=tmp_path / "run", **OPTIONS)
    state = torch.get_rng_state()
    loaded = fastvae.load(tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)
    assert type(loaded) is fastvae.VAE
    assert same(loaded, model)
    assert not loaded.training
    assert loaded.config["lr"] == 1e-2
    assert torch.equal(loaded.reconstruct(images()), model.reconstruct(images()))


def test_load_refuses_networks_that_no_file_describes(tmp_path):
    fastvae.fit(Regression(), pairs(), epochs=1, out=tmp_path / "run", **OPTIONS)
    with pytest.raises(ValueError, match=r"a Regression whose networks no file describes; takes one of fastvae\.netw"):
        fastvae.load(tmp_path / "run")
    for file in ("weights.safetensors", "checkpoint.safetensors"):
        (tmp_path / "run" / file).unlink()
    with pytest.raises(ValueError, match="has not finished an epoch"):
        fastvae.load(str(tmp_path / "run"))


def test_load_of_a_run(run):
    loaded = fastvae.load(run)
    assert isinstance(loaded, fastvae.VAE)
    assert not loaded.training
    kept = load_file(run / "weights.safetensors")
    assert loaded.state_dict().keys() == kept.keys()
    assert all(torch.equal(kept[name], value) for name, value in loaded.state_dict().items())
    assert loaded.config == json.loads((run / "config.json").read_text())["config"]
    assert loaded.sample(3).shape == (3, *loaded.config["shape"])
    assert next(fastvae.load(run, device="meta").parameters()).device.type == "meta"


def test_load_leaves_generators_alone(run):
    state = torch.get_rng_state()
    fastvae.load(run)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_loaded_model_goes_on_in_a_fit(run, digits):
    loaded = fastvae.load(run)
    found = fastvae.fit(loaded, digits.train.images[:100], epochs=1, **QUIET)
    assert found.model is loaded


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda run: (run / "weights.safetensors").unlink(), "weights.safetensors: no such file"),
        (lambda run: (run / "weights.safetensors").write_bytes(b"?"), "weights.safetensors: damaged"),
        (lambda run: (run / "config.json").unlink(), "not a run folder, it has no config.json"),
        (lambda run: (run / "config.json").write_text("{"), "config.json: "),
    ],
)
def test_load_says_what_is_damaged(damage, match, run):
    damage(run)
    with pytest.raises(ValueError, match=match):
        fastvae.load(run)


def test_load_of_no_folder(tmp_path):
    with pytest.raises(ValueError, match="none: no such run folder"):
        fastvae.load(tmp_path / "none")
