"""Files of images and counts that lie, unpack without end or name other files: one line, and no memory for them."""

import gzip
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from fastvae.train.data import idx as reader
from fastvae.train.errors import UserError
from tests.support.command_line import fails, idx
from tests.train import own_data

ARRAY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def peak(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_a_gzip_file_unpacks_to_beyond_its_shape_is_not_unpacked(tmp_path):
    (tmp_path / "file.gz").write_bytes(gzip.compress(idx(ARRAY) + bytes(2**26)))

    def read():
        with pytest.raises(UserError, match="too long"):
            reader.read(tmp_path, "file", 3)

    assert peak(read) < 2**22


@pytest.mark.parametrize("count", [2**31, 2**32 - 1])
def test_a_gzip_file_of_a_huge_shape_is_refused_before_it_is_unpacked(tmp_path, count):
    contents = b"\0\0\x08\3" + struct.pack(">III", count, 28, 28) + bytes(2**24)
    (tmp_path / "file.gz").write_bytes(gzip.compress(contents))

    def read():
        with pytest.raises(UserError, match="takes at most 100 times as many"):
            reader.read(tmp_path, "file", 3)

    assert peak(read) < 2**22


def png(width, height, data=b""):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [20_000, 60_000, 2**31 - 1])
def test_an_image_of_more_pixels_than_anybody_has(tmp_path, side):
    folder = own_data.folder(tmp_path / "discs")
    (folder / "red" / "large.png").write_bytes(png(side, side, bytes(100)))
    line = fails("train", "--data", folder, "--image-size", 12, "--epochs", 1, "--out", tmp_path / "run")
    assert "large.png: no image that can be read" in line


def test_a_link_to_no_image(tmp_path):
    folder = own_data.folder(tmp_path / "discs")
    (tmp_path / "secret").write_text("not an image")
    (folder / "red" / "linked.png").symlink_to(tmp_path / "secret")
    line = fails("train", "--data", folder, "--epochs", 1, "--out", tmp_path / "run")
    assert "linked.png: no image that can be read" in line
    assert "not an image" not in line


def external_link(file, other):
    import h5py

    file["X2"] = h5py.ExternalLink(str(other), "X")


def replaced_by_a_link(file, other):
    del file["X"]
    external_link(file, other)
    file.move("X2", "X")


def raw_bytes_of_another_file(file, other):
    del file["X"]
    file.create_dataset("X", shape=(60, 7), dtype="uint8", external=[(str(other), 0, 420)])


def view_of_another_file(file, other):
    import h5py

    del file["X"]
    layout = h5py.VirtualLayout(shape=(60, 7), dtype="f4")
    layout[:] = h5py.VirtualSource(str(other), "X", shape=(60, 7))
    file.create_virtual_dataset("X", layout)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (external_link, "X2 is a link to another file"),
        (replaced_by_a_link, "X is a link to another file"),
        (raw_bytes_of_another_file, "X is stored in another file"),
        (view_of_another_file, "X is stored in another file"),
    ],
)
def test_counts_from_a_file_that_a_file_names(tmp_path, change, what):
    h5py = pytest.importorskip("h5py")
    own_data.counts(tmp_path / "x.h5ad", sparse=None)
    own_data.counts(tmp_path / "other.h5ad", sparse=None)
    with h5py.File(tmp_path / "x.h5ad", "r+") as file:
        change(file, tmp_path / "other.h5ad")
    line = fails("train", "--data", tmp_path / "x.h5ad", "--epochs", 1, "--out", tmp_path / "run")
    assert f"{tmp_path / 'x.h5ad'}: {what}; takes files that hold all that they have" in line
    assert not (tmp_path / "run" / "config.json").exists()
