"""Samples that stay in their file give what a tensor of them gives, bit for bit, by a thread that ends."""

import gc
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from fastvae.train.data import datasets
from fastvae.train.data.ahead import THREAD, ahead
from fastvae.train.data.datasets import Split
from fastvae.train.data.stored import Stored
from fastvae.train.files import npz, sources
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models import build, start
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve
from tests.train.trainers import saved

pytestmark = pytest.mark.usefixtures("one_thread")

COUNT = 300
RANDOM = np.random.RandomState(0)
ARRAYS = {
    "bytes": RANDOM.randint(0, 256, (COUNT, 8, 8)).astype(np.uint8),
    "colours, last": RANDOM.randint(0, 256, (COUNT, 8, 6, 3)).astype(np.uint8),
    "floats": RANDOM.rand(COUNT, 3, 8, 8),
    "features": RANDOM.randn(COUNT, 5).astype(np.float32),
}


def threads():
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


@pytest.fixture(params=ARRAYS)
def both(request, tmp_path, monkeypatch):
    """The same data as tensors, and stored."""
    np.savez(tmp_path / "x.npz", x=ARRAYS[request.param], y=np.arange(COUNT) % 7)
    tensors = datasets.load(str(tmp_path / "x.npz"), None)
    monkeypatch.setattr(datasets, "IN_MEMORY", 0)
    stored = datasets.load(str(tmp_path / "x.npz"), None)
    assert isinstance(tensors.train.images, torch.Tensor)
    assert isinstance(stored.train.images, Stored)
    return tensors, stored


def exactly(ours, theirs):
    for found, expected in zip(ours, theirs, strict=True):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)


@pytest.mark.parametrize("size", [1, 64, 1000])
def test_batches_in_any_order(both, size):
    for tensors, stored in zip(*both, strict=True):
        order = torch.randperm(len(tensors.labels), generator=torch.Generator().manual_seed(0))[:150]
        for ours, theirs in zip(stored.at(order.split(size)), tensors.at(order.split(size)), strict=True):
            exactly(ours, theirs)
        for ours, theirs in zip(stored.batches(size), tensors.batches(size), strict=True):
            exactly(ours, theirs)
        assert [len(labels) for _, labels in stored.batches()] == [len(labels) for _, labels in tensors.batches()]
    assert not threads()


def test_what_is_used_of_a_tensor(both):
    for tensors, stored in zip(*both, strict=True):
        ours, theirs = stored.images, tensors.images
        assert (tuple(ours.shape), len(ours), ours.device) == (tuple(theirs.shape), len(theirs), theirs.device)
        for index in (slice(3), slice(None), torch.tensor([5, 0, 5]), torch.arange(len(theirs)) % 3 == 0):
            exactly([ours[index]], [theirs[index]])
        assert stored.same(tensors)
        assert not stored.same(tensors._replace(labels=tensors.labels + 1))
        changed = Split(theirs.clone(), tensors.labels)
        changed.images[-1] += 1
        assert not stored.same(changed)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_same_ones_are_held_out(both, share):
    tensors, stored = (datasets.hold_out(data.train, share) for data in both)
    for ours, theirs in zip(stored, tensors, strict=True):
        assert ours.same(theirs)


def test_binarized(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", ARRAYS["bytes"])
    grey, black = (datasets.load(str(tmp_path / "x.npy"), None, binarize=how) for how in ("none", "threshold"))
    monkeypatch.setattr(datasets, "IN_MEMORY", 0)
    stored = datasets.load(str(tmp_path / "x.npy"), None, binarize="threshold")
    for ours, theirs in zip(stored, black, strict=True):
        assert ours.same(theirs)
    drawn = datasets.load(str(tmp_path / "x.npy"), None, binarize="dynamic")
    assert drawn.train.same(grey.train)  # drawn in training
    _, validation = datasets.hold_out(drawn.train, 0.2, binarize="dynamic")
    _, expected = datasets.hold_out(grey.train, 0.2)
    for split, levels in ((drawn.test, grey.test), (validation, expected)):
        pixels = split.images[:]
        assert set(pixels.unique().tolist()) == {0, 255}
        # One draw, whichever batch an image is in.
        assert torch.equal(torch.cat([images for images, _ in split.batches(7)]), pixels)
        probability = levels.images[:].double() / 255
        deviations = (pixels.double() / 255 - probability) / (probability * (1 - probability)).sqrt().clamp(min=1e-9)
        assert (pixels[probability == 0] == 0).all()
        inside = deviations[(probability > 0) & (probability < 1)]
        assert abs(inside.mean()) < 4 / len(inside) ** 0.5


def settings(path, **changes):
    given = {"threads": 1, "device": "cpu", "hidden": (16,), "latent_dim": 2, "batch_size": 50, "epochs": 2}
    return Config(**resolve(given | {"data": str(path), "model": "mlp", **changes}))


@pytest.mark.parametrize("likelihood", ["gaussian_learned", "laplace_learned"])
def test_a_run_ends_with_the_same_bits(both, tmp_path, likelihood):
    for name, data in zip(("tensors", "stored"), both, strict=True):
        (tmp_path / name).mkdir()
        Trainer(settings(tmp_path / "x.npz", likelihood=likelihood), data, RunFolder(tmp_path / name)).fit()
    assert saved(tmp_path / "stored") == saved(tmp_path / "tensors")
    assert not threads()


def test_pseudo_inputs_are_read(both, tmp_path):
    config = settings(tmp_path / "x.npz", prior="vamp", components=4)
    inputs = []
    for data in both:
        model = build.create(config)
        start.begin(model, config, data.train)
        inputs.append(model.prior.pseudo_inputs)
    assert torch.equal(*inputs)
    assert inputs[0].std() > 0.1


def test_the_scale_of_much_data_is_that_of_its_first_part(both, tmp_path, monkeypatch):
    config = settings(tmp_path / "x.npz")
    _, stored = both
    bytes_each = stored.train.images[:1].nbytes
    monkeypatch.setattr(start, "_READ", 100 * bytes_each)
    monkeypatch.setattr(datasets, "evaluation_batch", lambda shape: 50)
    first = Split(stored.train.images.part(0, 100), stored.train.labels[:100])
    scales = []
    for train in (stored.train, first):
        model = build.create(config)
        start.begin(model, config, train)
        scales.append([value.item() for name, value in model.named_parameters() if name.endswith("log_scale")])
    assert scales[0] == scales[1] != []
    assert not threads()


def test_items_come_in_order_and_ahead():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    with closing(ahead(items())) as found:
        assert next(found) == 0
        deadline = time.monotonic() + 10
        # Two wait, a third is made and waits to be put beside them.
        while len(made) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert made == [0, 1, 2, 3]
        assert list(found) == list(range(1, 10))
    assert not threads()


def test_what_the_thread_raises_is_raised():
    def items():
        yield 1
        raise OSError("the disk is gone")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)
    assert not threads()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_thread_ends_when_a_run_does(both, tmp_path, error, monkeypatch):
    _, stored = both
    run = Trainer(settings(tmp_path / "x.npz", batch_size=2), stored, RunFolder(tmp_path))
    steps = []

    def failing(*batch, total):
        steps.append(len(threads()))
        if len(steps) == 3:
            raise error

    monkeypatch.setattr(run, "_step", failing)
    with pytest.raises(error) as raised:
        run.fit()
    # While the exception is held, and with it the frames that it went through.
    assert raised.tb is not None
    assert not threads()
    assert steps == [1, 1, 1]


def test_the_thread_ends_with_an_iterator_that_nobody_closed(both):
    _, stored = both
    found = stored.train.at(torch.arange(100).split(1))
    next(found)
    assert len(threads()) == 1
    del found
    gc.collect()
    assert not threads()


def resident(path) -> int:
    """Bytes of the mapped file `path` that count as this process's memory."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.split()[0].count("-") == 1 and not line.split()[0].endswith(":"):
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def test_pages_that_were_read_are_given_back(tmp_path, monkeypatch):
    count = 2**8
    np.save(tmp_path / "x.npy", np.zeros((count, 2**17), np.uint8))
    array = npz.arrays(tmp_path / "x.npy")[""]
    take, most = np.take, []

    def measured(*arguments, **options):
        found = take(*arguments, **options)
        most.append(resident(tmp_path / "x.npy"))
        return found

    monkeypatch.setattr(sources, "ROWS", 4)
    monkeypatch.setattr(np, "take", measured)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    for _ in Stored(sources.Array(array), np.arange(count)).stream(order.split(64)):
        pass
    # Of 32 MiB at most two pages of 2 MiB for each of 4 rows.
    assert len(most) == count // 4
    assert max(most) <= 4 * 2**22
    array.copy()
    assert resident(tmp_path / "x.npy") > 2**24
