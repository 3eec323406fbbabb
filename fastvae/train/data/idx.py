"""A strict reader of the idx files in which MNIST is published (format: yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastvae.train.errors import UserError

_UINT8 = 0x08


def read(folder: Path, name: str, rank: int) -> NDArray[np.uint8]:
    """The uint8 array of `rank` dimensions in ``folder/name`` or ``folder/name.gz``.

    Raises:
        UserError: the file is missing, unreadable, of another kind, truncated or too long.
    """
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise UserError(f"{folder / name}: no such file, nor {name}.gz")
    return _parse(path, _contents(path), rank)


def _contents(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip file ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _parse(path: Path, contents: bytes, rank: int) -> NDArray[np.uint8]:
    magic, expected = contents[:4], bytes((0, 0, _UINT8, rank))
    if magic != expected:
        raise UserError(f"{path}: not the idx file expected, magic number {magic.hex()} instead of {expected.hex()}")
    header = 4 + 4 * rank
    if len(contents) < header:
        raise UserError(f"{path}: truncated, {len(contents)} bytes for a header of {header}")
    shape = np.frombuffer(contents, ">u4", rank, offset=4).tolist()
    size = math.prod(shape)
    if len(contents) - header != size:
        kind = "truncated" if len(contents) - header < size else "too long"
        raise UserError(f"{path}: {kind}, {len(contents) - header} bytes of data for a shape of {shape}")
    return np.frombuffer(contents, np.uint8, offset=header).reshape(shape)
