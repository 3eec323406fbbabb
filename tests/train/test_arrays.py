"""Arrays in .npy and .npz files: what they are taken for, and what is refused."""

import numpy as np
import pytest
import torch

from fastvae.train.data import datasets
from fastvae.train.errors import UserError
from fastvae.train.files import npz, stable
from fastvae.train.files.sources import Array
from tests.support.command_line import fails

RANDOM = np.random.RandomState(0)
BYTES = RANDOM.randint(0, 256, (30, 3, 6, 5)).astype(np.uint8)
LABELS = np.arange(30) % 3


def saved(path, array):
    np.save(path / "x.npy", array)
    return str(path / "x.npy")


def whole(data):
    """Both parts in the order of the file."""
    rows = np.concatenate(stable.parts(stable.of_rows(len(data.train.labels) + len(data.test.labels)))[:])
    images = torch.cat([split.images[torch.arange(len(split.labels))] for split in data])
    labels = torch.cat([split.labels for split in data])
    order = torch.from_numpy(np.argsort(rows))
    return images[order], labels[order]


FORMS = {
    "n c h w": (BYTES, (3, 6, 5), "bytes", BYTES),
    "n h w c": (BYTES.transpose(0, 2, 3, 1), (3, 6, 5), "bytes", BYTES),
    "n h w": (BYTES[:, 0], (1, 6, 5), "bytes", BYTES[:, :1]),
    "n h w 1": (BYTES[:, 0, :, :, None], (1, 6, 5), "bytes", BYTES[:, :1]),
    "n features": (BYTES[:, 0, 0], (5,), "bytes", BYTES[:, 0, 0]),
    "fortran": (np.asfortranarray(BYTES[:, 0]), (1, 6, 5), "bytes", BYTES[:, :1]),
    "bool": (BYTES[:, 0] > 99, (1, 6, 5), "bytes", (BYTES[:, :1] > 99) * np.uint8(255)),
    "float32": (np.float32(BYTES / 255), (3, 6, 5), "unit", np.float32(BYTES / 255)),
    "float64": (BYTES[:, 0] / 255, (1, 6, 5), "unit", np.float32(BYTES[:, :1] / 255)),
    "float16, last": (np.float16(BYTES.transpose(0, 2, 3, 1) / 256), (3, 6, 5), "unit", np.float32(BYTES / 256)),
    "big endian": ((BYTES[:, 0] / 255).astype(">f4"), (1, 6, 5), "unit", np.float32(BYTES[:, :1] / 255)),
    "features in [0, 1]": (np.float32(BYTES[:, 0, 0] / 255), (5,), "unit", np.float32(BYTES[:, 0, 0] / 255)),
    "other features": (BYTES[:, 0, 0] - 100.0, (5,), "real", np.float32(BYTES[:, 0, 0] - 100.0)),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path, form):
    array, shape, values, expected = FORMS[form]
    path = saved(tmp_path, array)
    assert datasets.describe(path) == ("arrays", shape, values, 0)
    images, labels = whole(datasets.load(path, None))
    assert images.dtype == (torch.uint8 if values == "bytes" else torch.float32)
    np.testing.assert_array_equal(images.numpy(), expected)
    assert not labels.any()


def test_a_tenth_is_held_out_and_new_rows_move_none(tmp_path):
    many = np.arange(1000, dtype=np.float32)[:, None]
    first, more = (datasets.load(saved(tmp_path, many[:count]), None) for count in (500, 1000))
    held_out = set(first.test.images[:, 0].tolist())
    assert 25 <= len(held_out) <= 80  # 50 expected
    assert {value for value in more.test.images[:, 0].tolist() if value < 500} == held_out


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("names", [("images", "labels"), ("data", "labels"), ("x", "y")])
def test_npz_of_one_data_set(tmp_path, save, names):
    save(tmp_path / "x.npz", **dict(zip(names, (BYTES, LABELS), strict=True)))
    path = str(tmp_path / "x.npz")
    assert datasets.describe(path) == ("arrays", (3, 6, 5), "bytes", 3)
    images, labels = whole(datasets.load(path, None))
    np.testing.assert_array_equal(images, BYTES)
    np.testing.assert_array_equal(labels, LABELS)


NAMES = {
    "images": ("train_images", "train_labels", "test_images", "test_labels"),
    "data": ("train_data", "train_labels", "test_data", "test_labels"),
    "keras": ("x_train", "y_train", "x_test", "y_test"),
}


@pytest.mark.parametrize("names", NAMES)
def test_npz_of_two_parts(tmp_path, names):
    arrays = (BYTES[:20], LABELS[:20, None].astype(np.uint8), BYTES[20:], LABELS[20:, None])
    np.savez(tmp_path / "x.npz", **dict(zip(NAMES[names], arrays, strict=True)))
    train, test = datasets.load(str(tmp_path / "x.npz"), None)
    for split, rows in ((train, slice(20)), (test, slice(20, 30))):
        order = stable.order(stable.of_rows(len(split.labels)))
        np.testing.assert_array_equal(split.images, BYTES[rows][order])
        np.testing.assert_array_equal(split.labels, LABELS[rows][order])


def test_a_single_array_of_any_name(tmp_path):
    np.savez(tmp_path / "x.npz", faces=BYTES)
    np.testing.assert_array_equal(whole(datasets.load(str(tmp_path / "x.npz"), None))[0], BYTES)


def test_what_is_not_compressed_is_mapped(tmp_path):
    """Also in an archive, at an offset that is a multiple of nothing."""
    np.savez(tmp_path / "x.npz", a=BYTES, images=np.float32(BYTES))
    np.save(tmp_path / "x.npy", BYTES)
    for name in ("x.npz", "x.npy"):
        for array in npz.arrays(tmp_path / name).values():
            assert isinstance(array, np.memmap)
            assert not array.flags.writeable
            assert Array(array)._maps
    np.testing.assert_array_equal(npz.arrays(tmp_path / "x.npz")["images"], np.float32(BYTES))


def nan():
    array = np.float32(BYTES / 255)
    array[17, 1, 2, 3] = np.nan
    return array


REFUSED = {
    "objects": (np.array([{}, {}], object), "an array of objects, which is a pickle; takes numbers"),
    "int64": (BYTES[:, 0].astype(np.int64), "got int64; takes uint8, bool, float16, float32 or float64"),
    "complex": (BYTES[:, 0] * 1j, "got complex128; takes uint8"),
    "text": (np.array([["a"], ["b"]]), "got <U1; takes uint8"),
    "rank 1": (BYTES[:, 0, 0, 0], r"got the shape \(30,\); takes \[n, features\], \[n, h, w\], \[n, h, w, c\]"),
    "rank 5": (BYTES[None], r"got the shape \(1, 30, 3, 6, 5\); takes \[n, features\]"),
    "channels": (np.zeros((9, 4, 8, 8), np.uint8), r"got the shape \(9, 4, 8, 8\); takes 1 or 3 channels"),
    "empty": (BYTES[:0], r"got the shape \(0, 3, 6, 5\), which is empty"),
    "one": (BYTES[:1], "1 sample; takes at least 2"),
    "nan": (nan(), "NaN or infinity in sample 17; takes finite numbers"),
    "infinity": (np.float32([[0], [np.inf]]), "NaN or infinity in sample 1;"),
    "too large for float32": (np.array([[1e300], [0]]), "NaN or infinity in sample 0;"),
    "images from -1": (BYTES / 127.5 - 1, r"images of floating point from -1 to 1; takes them in \[0, 1\], or uint8"),
    "floats to 255": (np.float32(BYTES), r"images of floating point from 0 to 255; takes them in \[0, 1\], or uint8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    array, message = REFUSED[case]
    path = saved(tmp_path, array)
    with pytest.raises(UserError, match=message) as raised:
        datasets.describe(path)
    assert str(raised.value).startswith(path)


REFUSED_ARCHIVES = {
    "names": ({"a": BYTES, "b": BYTES}, "has a, b; takes a single array, or one called images, data, x, train_images"),
    "none": ({}, "has no arrays; takes a single array"),
    "objects": ({"images": BYTES, "labels": np.array([None] * 30)}, "labels: an array of objects, which is a pickle"),
    "few labels": (
        {"images": BYTES, "labels": LABELS[:9]},
        r"labels: got int64 of shape \(9,\); takes 30 whole numbers",
    ),
    "float labels": ({"images": BYTES, "labels": LABELS / 2}, r"labels: got float64 of shape \(30,\); takes 30 whole"),
    "one-hot": ({"images": BYTES, "labels": np.eye(3, dtype=int)[LABELS]}, r"labels: got int64 of shape \(30, 3\)"),
    "negative": ({"images": BYTES, "labels": LABELS - 1}, "labels: got -1 to 1; takes numbers from 0 to 65535"),
    "shapes": (
        {"train_images": BYTES, "test_images": BYTES[:, :1]},
        r"train_images has samples of \(3, 6, 5\) and test_images of \(1, 6, 5\)",
    ),
    "dtypes": (
        {"train_images": BYTES, "test_images": BYTES / 255},
        "train_images is uint8 and test_images float32; takes one kind",
    ),
    "half labelled": (
        {"train_images": BYTES, "train_labels": LABELS, "test_images": BYTES},
        "has labels of one part alone; takes those of both, or none",
    ),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("case", REFUSED_ARCHIVES)
def test_refused_archives(tmp_path, case, save):
    arrays, message = REFUSED_ARCHIVES[case]
    save(tmp_path / "x.npz", **arrays)
    with pytest.raises(UserError, match=message) as raised:
        datasets.describe(str(tmp_path / "x.npz"))
    assert str(raised.value).startswith(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5ad"])
@pytest.mark.parametrize("content", [b"", b"no array", "half"])
def test_damaged_files_are_one_line(tmp_path, suffix, content):
    path = tmp_path / f"x{suffix}"
    if content == "half":
        (np.save if suffix == ".npy" else np.savez)(tmp_path / f"good{suffix.replace('h5ad', 'npz')}", BYTES)
        good = (tmp_path / f"good{suffix.replace('h5ad', 'npz')}").read_bytes()
        content = good[: len(good) // 2]
    path.write_bytes(content)
    assert f"{path}: no {suffix} file that can be read (" in fails("train", "--data", path, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_paths_are_one_line(tmp_path):
    (tmp_path / "x.csv").touch()
    assert "--data: got " in (line := fails("train", "--data", tmp_path / "x.csv"))
    assert "takes digits, mnist, a folder of images, or a file that ends in .npy, .npz or .h5ad" in line
    assert "no such file or folder; takes digits, mnist" in fails("train", "--data", "cifar")
    assert "--data: got '~no-such-user/x'; takes no ~" in fails("train", "--data", "~no-such-user/x")
