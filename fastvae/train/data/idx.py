"""A strict reader of the idx files in which MNIST is published (format: yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import math
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastvae.train.errors import UserError
from fastvae.train.files import npz

_UINT8 = 0x08


def read(folder: Path, name: str, rank: int) -> NDArray[np.uint8]:
    """The uint8 array of `rank` dimensions in ``folder/name`` or ``folder/name.gz``.

    No more is read than the header says that there is, and a byte to see that it ends there.

    Raises:
        UserError: the file is missing, unreadable, of another kind, truncated or too long.
    """
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise UserError(f"{folder / name}: no such file, nor {name}.gz")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(path, file, rank)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip file ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _parse(path: Path, file: gzip.GzipFile | BufferedReader, rank: int) -> NDArray[np.uint8]:
    length = 4 + 4 * rank
    header = file.read(length)
    magic, expected = header[:4], bytes((0, 0, _UINT8, rank))
    if magic != expected:
        raise UserError(f"{path}: not the idx file expected, magic number {magic.hex()} instead of {expected.hex()}")
    if len(header) < length:
        raise UserError(f"{path}: truncated, {len(header)} bytes for a header of {length}")
    shape = np.frombuffer(header, ">u4", rank, offset=4).tolist()
    size, stored = math.prod(shape), path.stat().st_size
    if path.suffix == ".gz":
        if npz.is_bomb(size, stored):
            raise UserError(f"{path}: {stored} bytes for a shape of {shape}; takes at most {npz.RATIO} times as many")
    elif stored != length + size:
        raise _wrong_length(path, stored - length, shape)
    contents = file.read(size)
    beyond = len(file.read(1))
    if len(contents) + beyond != size:
        raise _wrong_length(path, len(contents) + beyond, shape)
    return np.frombuffer(contents, np.uint8).reshape(shape)


def _wrong_length(path: Path, length: int, shape: list[int]) -> UserError:
    kind = "truncated" if length < math.prod(shape) else "too long"
    return UserError(f"{path}: {kind}, {length} bytes of data for a shape of {shape}")
