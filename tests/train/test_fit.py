"""`fastvae.fit`: the loop that everybody writes, bit for bit, for every kind of model and data."""

import inspect
import math
from collections import namedtuple
from dataclasses import make_dataclass

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import fastvae
from fastvae.train.settings.presets import COMMON
from fastvae.train.settings.training import Training
from tests.train.fits import BATCH, COUNT, QUIET, Regression, by_hand, cvae, images, pairs, same, vae

pytestmark = pytest.mark.usefixtures("one_thread")


class Labelled(Dataset):
    """Images with labels, as torchvision has them."""

    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], index % 10


def mapped(x, folder):
    np.save(folder / "x.npy", x.numpy())
    return np.load(folder / "x.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "data",
    [
        lambda x, folder: x,
        lambda x, folder: x.numpy(),
        lambda x, folder: x.double().numpy(),
        mapped,
        lambda x, folder: (x, torch.arange(len(x))),
        lambda x, folder: TensorDataset(x),
        lambda x, folder: Labelled(x),
    ],
    ids=["tensor", "array", "float64", "mapped", "tuple", "dataset", "labelled"],
)
def test_a_vae_is_trained_as_by_hand(data, tmp_path):
    x = images()
    expected = by_hand(vae(), x)
    model = vae()
    fastvae.fit(model, data(x, tmp_path), epochs=2, batch_size=BATCH, **QUIET)
    assert same(model, expected)
    assert not same(model, vae())


def test_a_loader_keeps_its_order_and_its_batches():
    x, seen = images(), []
    loader = DataLoader(Labelled(x), batch_size=BATCH, sampler=range(COUNT - 1, 9, -1), drop_last=True)
    expected = by_hand(vae(), x, orders=lambda epoch: torch.arange(COUNT - 1, 9, -1)[: 3 * BATCH])
    model = vae()
    model.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    found = fastvae.fit(model, loader, epochs=2, **QUIET)
    assert same(model, expected)
    assert seen == [BATCH] * 6
    assert found.history[0].keys() == {
        "epoch", "train_loss", "train_elbo", "train_reconstruction", "train_kl", "seconds"
    }  # fmt: skip


def test_a_shuffling_loader_draws_from_the_seed():
    loader = DataLoader(Labelled(images()), batch_size=BATCH, shuffle=True)
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(found))
        found.append(vae())
        fastvae.fit(found[-1], loader, epochs=2, seed=seed, **QUIET)
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


def test_workers_of_a_loader_change_nothing_but_what_they_draw():
    x = images()
    model, other = vae(), vae()
    loader = DataLoader(Labelled(x), batch_size=BATCH, num_workers=1)
    fastvae.fit(model, loader, epochs=1, **QUIET)
    fastvae.fit(other, DataLoader(Labelled(x), batch_size=BATCH), epochs=1, **QUIET)
    # Workers take their seed from the noise of the run.
    assert not same(model, other)
    again = vae()
    fastvae.fit(again, loader, epochs=1, **QUIET)
    assert same(model, again)


def test_a_cvae_takes_a_condition_and_a_target():
    model = cvae()
    fastvae.fit(model, pairs(), epochs=2, batch_size=BATCH, **QUIET)
    assert same(model, by_hand(cvae(), *pairs()))


def test_a_vae_takes_a_target_of_its_own_when_told_so():
    x = images()
    model = vae()
    fastvae.fit(model, (x, 1 - x), epochs=1, batch_size=BATCH, inputs=2, **QUIET)
    assert same(model, by_hand(vae(), x, 1 - x, epochs=1))


OUTPUTS = [
    lambda loss: loss,
    lambda loss: {"loss": loss, "other": 1},
    namedtuple("Output", ["loss"]),
    make_dataclass("Output", ["loss"]),
]


@pytest.mark.parametrize("wrap", OUTPUTS, ids=["tensor", "mapping", "namedtuple", "dataclass"])
def test_any_module_that_returns_a_loss(wrap):
    model = Regression(wrap)
    found = fastvae.fit(model, pairs(), epochs=2, batch_size=BATCH, **QUIET)
    assert same(model, by_hand(Regression(), *pairs()))
    assert found.history[0].keys() == {"epoch", "train_loss", "seconds"}
    assert found.history[1]["train_loss"] < found.history[0]["train_loss"]


def test_the_loss_of_a_sample_each_is_averaged():
    model = vae(reduction="sample")
    fastvae.fit(model, images(), epochs=1, batch_size=BATCH, **QUIET)
    expected = vae(reduction="sample")
    expected.register_forward_hook(lambda module, inputs, output: type(output)(output, loss=output.loss.mean()))
    assert same(model, by_hand(expected, images(), epochs=1))


def test_the_elbo_has_the_normalizer():
    """0.5 * squared error leaves out half a log(2 pi) of each value."""
    row = fastvae.fit(cvae(), pairs(), epochs=1, **QUIET).history[0]
    missing = 5 * 0.5 * math.log(2 * math.pi)
    assert row["train_loss"] == pytest.approx(row["train_reconstruction"] - missing + row["train_kl"], abs=1e-5)


def test_the_settings_of_the_command_line_are_used():
    """Each changes the weights."""
    plain = vae()
    fastvae.fit(plain, images(), epochs=2, batch_size=BATCH, **QUIET)
    for option in (
        {"lr": 1e-2}, {"adam_eps": 1e-2}, {"weight_decay": 0.1}, {"clip_grad": 0.01}, {"ema": 0.9}, {"warmup": 5},
        {"lr_schedule": "cosine"}, {"lr_schedule": "steps", "lr_milestones": [1]}, {"accumulate": 3}, {"seed": 5},
        {"amp": "bf16"},
    ):  # fmt: skip
        model = vae()
        fastvae.fit(model, images(), epochs=2, batch_size=BATCH, **option, **QUIET)
        assert not same(model, plain), option


def test_defaults_are_those_of_the_command_line():
    parameters = inspect.signature(fastvae.fit).parameters
    own = {"epochs", "batch_size", "validation"}
    assert Training.model_fields.keys() <= parameters.keys()
    for name in Training.model_fields.keys() - own - {"lr_milestones"}:
        assert parameters[name].default == COMMON[name], name


class Plain(Regression):
    """Without noise."""

    def forward(self, x, y):
        return (self.linear(x) - y).square().mean()


def test_parts_of_a_batch_add_up_to_it():
    whole, parts = Plain(), Plain()
    fastvae.fit(whole, pairs(), epochs=2, batch_size=BATCH, **QUIET)
    fastvae.fit(parts, pairs(), epochs=2, batch_size=BATCH, accumulate=3, **QUIET)
    # Ten steps of 1e-3, each of a mean gradient over its own size, of some units of rounding.
    for ours, theirs in zip(parts.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_generators_outside_are_left_alone():
    model = vae()
    before = torch.get_rng_state()
    fastvae.fit(model, images(), epochs=1, **QUIET)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_comes_back_in_eval_mode():
    model = vae()
    found = fastvae.fit(model, images(), epochs=1, **QUIET)
    assert found.model is model
    assert not model.training
    assert model.sample(2).shape == (2, 1, 4, 4)


class Wobbling(Regression):
    """Its loss on the validation samples, of which there are few, rises from the third epoch on."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x, y):
        loss = super().forward(x, y)
        if not self.training:
            self.calls += 1
            loss = loss.detach() * 0 + abs(self.calls - 3)
        return loss


def test_the_best_epoch_is_kept_and_ends_the_run():
    model = Wobbling()
    found = fastvae.fit(model, pairs(), epochs=20, batch_size=BATCH, validation=0.2, early_stopping=4, **QUIET)
    assert [row["validation_loss"] for row in found.history] == [2.0, 1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    assert (found.best_epoch, found.stopped) == (3, True)
    kept = tuple(tensor[: round(0.8 * COUNT)] for tensor in pairs())
    assert same(model, by_hand(Regression(), *kept, epochs=3))
    assert repr(found) == f"Fit(epochs=7, best_epoch=3, train_loss={found.history[2]['train_loss']:.6g}, " + (
        "validation_loss=0, stopped=True)"
    )


@pytest.mark.parametrize(
    "kind",
    [lambda x: x, lambda x: x.numpy(), Labelled, lambda x: DataLoader(Labelled(x), batch_size=5)],
    ids=["tensor", "array", "dataset", "loader"],
)
def test_validation_data_of_any_kind(kind):
    held_out = images(20).flip(0)
    found = fastvae.fit(vae(), images(), epochs=1, batch_size=BATCH, validation=kind(held_out), **QUIET)
    by_share = fastvae.fit(
        vae(), torch.cat([images(), held_out]), epochs=1, batch_size=BATCH, validation=20 / 90, **QUIET
    )
    # Batches of another size draw other noise: the same for each, by the place in its batch.
    rel = 0.1 if isinstance(kind(held_out), DataLoader) else 1e-6
    assert found.history[0]["validation_loss"] == pytest.approx(by_share.history[0]["validation_loss"], rel=rel)


def test_a_share_of_a_dataset_is_its_last_samples():
    model = vae()
    fastvae.fit(model, Labelled(images()), epochs=1, batch_size=BATCH, validation=0.5, **QUIET)
    assert same(model, by_hand(vae(), images()[:35], epochs=1))


def test_schedules_count_the_steps():
    model = vae(beta=fastvae.LinearWarmup(0.0, 1.0, 4))
    fastvae.fit(model, images(), epochs=2, batch_size=BATCH, **QUIET)
    assert int(model.elbo.beta.count) == 10


def test_what_is_printed(capsys):
    fastvae.fit(vae(), images(), epochs=1, validation=0.1, device="cpu")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("in nats per sample: ELBO = ")
    assert second.startswith("epoch 1/1  train ELBO -")
    assert "  validation loss " in second
    assert second.endswith(" samples/s")
    fastvae.fit(Regression(), pairs(), epochs=1, **QUIET)
    assert capsys.readouterr() == ("", "")
