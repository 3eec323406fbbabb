"""The bundled digits, and the strict reader of idx files."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from fastvae.train.data import datasets
from fastvae.train.data import idx as reader
from fastvae.train.errors import UserError
from tests.support.command_line import idx, mnist

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_digits_are_the_uci_test_set():
    digits = datasets.load("digits", None)
    images = torch.cat((digits.train.images, digits.test.images))
    labels = torch.cat((digits.train.labels, digits.test.labels))
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert torch.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # Pixels are counts from 0 to 16, spread over the range of a byte.
    assert images.unique().tolist() == [round(count * 255 / 16) for count in range(17)]
    first = (images[0, 0].double() * 16 / 255).round().int()
    assert first[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert labels[:10].tolist() == list(range(10))


def test_binary_pixels_are_the_nearer_of_black_and_white():
    grey, binary = datasets.load("digits", None), datasets.load("digits", None, binarize="threshold")
    for before, after in zip(grey, binary, strict=True):
        assert torch.equal(after.images.double() / 255, (before.images.double() / 255 > 0.5).double())
        assert after.images.dtype == torch.uint8
        assert torch.equal(after.labels, before.labels)


def test_digits_split_is_fixed():
    digits = datasets.load("digits", None)
    assert len(digits.train.labels) == len(digits.train.images) == 1500
    assert len(digits.test.labels) == len(digits.test.images) == 297
    assert torch.equal(datasets.load("digits", None).test.images, digits.test.images)


def test_mnist_folder_with_plain_and_gzipped_files(tmp_path):
    loaded = datasets.load("mnist", str(mnist(tmp_path, train=12, test=7)))
    assert loaded.train.images.shape == (12, 1, 28, 28)
    assert loaded.test.images.shape == (7, 1, 28, 28)
    assert loaded.test.images.dtype == torch.uint8
    assert loaded.test.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.skipif(not MNIST.is_dir(), reason="needs the MNIST files")
def test_mnist_itself():
    loaded = datasets.load("mnist", str(MNIST))
    assert loaded.train.images.shape == (60000, 1, 28, 28)
    assert loaded.test.images.shape == (10000, 1, 28, 28)
    assert loaded.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert loaded.train.images.float().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path, suffix):
    contents = gzip.compress(idx(ARRAY)) if suffix else idx(ARRAY)
    (tmp_path / f"file{suffix}").write_bytes(contents)
    np.testing.assert_array_equal(reader.read(tmp_path, "file", 3), ARRAY)


def test_idx_empty(tmp_path):
    (tmp_path / "file").write_bytes(idx(ARRAY[:0]))
    assert reader.read(tmp_path, "file", 3).shape == (0, 3, 4)


DAMAGES = {
    "missing": (None, "no such file, nor file.gz"),
    "empty": (b"", "magic number"),
    "wrong rank": (idx(ARRAY[0]), "magic number 00000802 instead of 00000803"),
    "wrong type": (b"\0\0\x0d\3" + idx(ARRAY)[4:], "magic number 00000d03 instead of 00000803"),
    "header cut": (idx(ARRAY)[:10], "truncated, 10 bytes for a header of 16"),
    "data cut": (idx(ARRAY)[:-1], r"truncated, 23 bytes of data for a shape of \[2, 3, 4\]"),
    "data added": (idx(ARRAY) + b"\0", "too long, 25 bytes"),
    "huge shape": (b"\0\0\x08\3" + b"\xff" * 12 + b"1", "truncated, 1 bytes"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_idx_damaged(tmp_path, damage):
    contents, message = DAMAGES[damage]
    if contents is not None:
        (tmp_path / "file").write_bytes(contents)
    with pytest.raises(UserError, match=message) as raised:
        reader.read(tmp_path, "file", 3)
    assert str(tmp_path / "file") in str(raised.value)


@pytest.mark.parametrize(
    "damage", [lambda good: good[:-12], lambda good: b"no gzip", lambda good: good[:-6] + b"?" + good[-5:]]
)
def test_idx_damaged_gzip(tmp_path, damage):
    (tmp_path / "file.gz").write_bytes(damage(gzip.compress(idx(ARRAY))))
    with pytest.raises(UserError, match=r"file\.gz: damaged gzip file"):
        reader.read(tmp_path, "file", 3)


def test_idx_that_is_a_folder(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(UserError, match="no such file"):
        reader.read(tmp_path, "file", 3)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("train-labels-idx1-ubyte", np.zeros(39, np.uint8), "40 train images for 39 labels"),
        ("t10k-labels-idx1-ubyte", np.zeros(0, np.uint8), "20 t10k images for 0 labels"),
        ("t10k-images-idx3-ubyte", np.zeros((20, 28, 27), np.uint8), "images of 28 x 27 pixels; takes 28 x 28"),
    ],
)
def test_mnist_folder_that_does_not_fit_together(tmp_path, name, array, message):
    folder = mnist(tmp_path)
    # A plain file is read in place of the gzipped one.
    (folder / name).write_bytes(idx(array))
    with pytest.raises(UserError, match=message):
        datasets.load("mnist", str(folder))


def test_mnist_folder_missing(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        datasets.load("mnist", str(tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"):
        datasets.load("mnist", str(tmp_path / "file"))
