"""Archives and headers that lie: one line that names the file, no memory for what is not there, and no code run."""

import io
import os
import struct
import warnings
import zipfile

import numpy as np
import pytest

from fastvae.train.files import npz
from tests.support.command_line import fails

ARRAY = np.arange(180, dtype=np.uint8).reshape(30, 6)
BYTES = ARRAY.tobytes()


def npy(shape="(30, 6)", descr="'|u1'", data=BYTES):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def archive(*members, compression=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as opened:
        warnings.simplefilter("ignore")
        for name, content in members:
            opened.writestr(name, content)
    return bytearray(file.getvalue())


def altered(content, place, value):
    """The central directory's entry, or with a negative `place` a byte of the stored array, changed."""
    begin = content.find(b"PK\1\2") if place >= 0 else content.find(BYTES) + 200
    content[begin + place : begin + place + len(value)] = value
    return content


STORED = archive(("x.npy", npy()), compression=zipfile.ZIP_STORED)
HEADERS = {
    "huge": (npy(shape="(10000000000, 10000000)"), "180 bytes for an array of 100000000000000000"),
    "beyond 64 bits": (npy(shape=f"({2**70}, 2)"), "180 bytes for an array of "),
    "negative": (npy(shape="(-30, 6)"), r"the shape (-30, 6)"),
    "truth": (npy(shape="(True, 6)"), "the shape (True, 6)"),
    "objects": (npy(descr="'|O'"), "an array of objects, which is a pickle"),
    "unclosed": (npy(shape="("), "its header is no description of an array"),
    "nested": (npy(shape="(" + "-" * 9000 + "1,)"), "its header is no description of an array"),
    "code": (npy(descr="__import__('os').mkdir('attacked')"), "malformed node"),
    "cut": (npy(data=b"1"), "1 bytes for an array of 180"),
}
ARCHIVES = {
    "claims more": (archive(("x.npy", npy(shape="(10000000000, 10)"))), "x: 308 bytes for an array of 100000000000"),
    "claims the next one's": (
        archive(("x.npy", npy(data=b"1")), ("y.npy", npy()), compression=zipfile.ZIP_STORED),
        "1 bytes for an array of 180",
    ),
    "two of a name": (archive(("x.npy", npy()), ("x.npy", npy())), "two arrays called 'x'"),
    "encrypted": (altered(archive(("x.npy", npy())), 8, b"\1"), "is encrypted"),
    "unknown method": (altered(bytearray(STORED), 10, b"\x63\0"), "compression method is not supported"),
    "lies of its size": (altered(bytearray(STORED), 20, b"\xff\xff\xff\x7f" * 2), "(EOFError)"),
    "lies of its place": (altered(bytearray(STORED), 42, b"\xff\xff\xff\x7f"), "Truncated file header"),
    "another byte": (altered(bytearray(STORED), -100, b"?"), "Bad CRC-32 for file 'x.npy'"),
    "no array": (archive(("x.txt", b"hello")), "EOF: reading magic string"),
    "many": (archive(*((f"{number}.npy", npy()) for number in range(99))), "has 0, 1, 2, 3, 4, 5, 6, 7, 8, ...; takes"),
    "obeyed by a terminal": (archive(("a\x1b[31m.npy", npy()), ("b.npy", npy())), r"has a\x1b[31m, b; takes"),
}


@pytest.mark.parametrize("case", [*HEADERS, *ARCHIVES])
def test_one_line(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    content, message = (HEADERS | ARCHIVES)[case]
    file = tmp_path / f"x{'.npy' if case in HEADERS else '.npz'}"
    file.write_bytes(content)
    line = fails("train", "--data", file, "--out", tmp_path / "run")
    assert line.startswith(f"fastvae: error: {file}: ")
    assert message in line
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_names_lead_nowhere(tmp_path):
    (tmp_path / "x.npz").write_bytes(archive(("../../x.npy", npy())))
    np.testing.assert_array_equal(npz.arrays(tmp_path / "x.npz")["../../x"], ARRAY)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_unpacks_to_far_more_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    zeros = npy(shape="(1000, 1000)", data=bytes(10**6))
    (tmp_path / "x.npz").write_bytes(archive(("x.npy", zeros)))
    assert npz.arrays(tmp_path / "x.npz")["x"].shape == (1000, 1000)
    monkeypatch.setattr(npz, "_UNPACKED", 10**5)
    line = fails("train", "--data", tmp_path / "x.npz", "--out", tmp_path / "run")
    assert "bytes that unpack to 1000000; takes at most 100 times as many" in line


def test_what_is_mapped_is_compared_once_for_each_state_of_the_file(tmp_path):
    npz._check_sums.cache_clear()
    file = tmp_path / "x.npz"
    file.write_bytes(STORED)
    for _ in range(3):
        npz.arrays(file)
    assert npz._check_sums.cache_info().misses == 1
    file.write_bytes(altered(bytearray(STORED), -100, b"?"))
    os.utime(file, (0, 0))
    assert "Bad CRC-32" in fails("train", "--data", file, "--out", tmp_path / "run")


def test_a_pipe_among_images_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    assert f"{tmp_path / 'a.png'}: no regular file" in fails("train", "--data", tmp_path)
