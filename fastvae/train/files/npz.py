"""The arrays of .npy and .npz files, mapped unless they are compressed, never unpickled."""

from __future__ import annotations

import lzma
import math
import os
import struct
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fastvae.train.errors import UserError

# The local header of a file in a zip archive, up to the lengths of the name and of what follows it (APPNOTE.TXT 4.3.7).
_LOCAL_HEADER: Final = struct.Struct("<26xHH")
_HEADERS: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# Arrays of more bytes may not be so many times what they are compressed to: deflate reaches 1,032, images 20.
_UNPACKED: Final = 2**30
RATIO: Final = 100
_READ: Final = 2**20


def is_bomb(size: int, compressed: int) -> bool:
    """Are so many bytes too many for what they are compressed to?"""
    return size > max(_UNPACKED, RATIO * compressed)


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in `path` by name; that of an .npy file is called "".

    Raises:
        UserError: no such file, a damaged one, one that unpacks to far more than it is, or an array of objects, which
            is a pickle.
    """
    try:
        if path.suffix == ".npz":
            return _members(path)
        with path.open("rb") as file:
            return {"": _mapped(path, file, 0, path.stat().st_size)}
    # zipfile raises RuntimeError for members that are encrypted, or packed as it cannot unpack.
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: no {path.suffix} file that can be read ({said})") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def _members(path: Path) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
        status = os.fstat(raw.fileno())
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name in found:
                raise ValueError(f"two arrays called {name!r}")
            with archive.open(info) as member:
                if info.compress_type == zipfile.ZIP_STORED:
                    raw.seek(info.header_offset)
                    begin = (
                        info.header_offset
                        + _LOCAL_HEADER.size
                        + sum(_LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size)))
                    )
                    found[name] = _mapped(path, member, begin, info.file_size, name)
                else:
                    found[name] = _unpacked(path, member, info, name)
        _check_sums(path, status.st_ino, status.st_size, status.st_mtime_ns)
    return found


@lru_cache
def _check_sums(path: Path, *status: int) -> None:
    """Compare what is mapped with its checksum, once for each state of the file; unpacking compares by itself."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type == zipfile.ZIP_STORED:
                with archive.open(info) as member:
                    while member.read(_READ):
                        pass


def _unpacked(path: Path, member: IO[bytes], info: zipfile.ZipInfo, name: str) -> NDArray[Any]:
    """A compressed array, in memory; refused before it takes any if that is far more than the file has."""
    shape, fortran_order, dtype = _header(path, member, name)
    size = _size(shape, dtype)
    if member.tell() + size != info.file_size:
        raise ValueError(f"{name}: {info.file_size} bytes for an array of {size}")
    if is_bomb(size, info.compress_size):
        raise UserError(
            f"{path}: {name}: {info.compress_size} bytes that unpack to {size}; takes at most {RATIO} times as many, "
            "or an archive that is not compressed (numpy.savez), which is mapped"
        )
    content = bytearray()
    while len(content) < size and (piece := member.read(min(_READ, size - len(content)))):
        content += piece
    # At its end the member is compared with its checksum.
    if len(content) != size or member.read(1):
        raise ValueError(f"{name}: {len(content)} bytes for an array of {size}")
    return np.ndarray(shape, dtype, content, order="F" if fortran_order else "C")


def _mapped(path: Path, file: IO[bytes], begin: int, length: int, name: str = "") -> NDArray[Any]:
    """The array whose header `file` begins with, `begin` bytes into `path`; both take at most `length` bytes."""
    shape, fortran_order, dtype = _header(path, file, name)
    offset, size = begin + file.tell(), _size(shape, dtype)
    if file.tell() + size > length:
        raise ValueError(f"{length - file.tell()} bytes for an array of {size}")
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran_order else "C")


def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return math.prod(shape) * dtype.itemsize


def _header(path: Path, file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version}")
    try:
        shape, fortran_order, dtype = _HEADERS[version](file)
    # numpy reads the header as a Python literal, whose parser gives up in more ways than numpy says.
    except (MemoryError, RecursionError, SyntaxError, TypeError, TokenError) as error:
        raise ValueError(f"its header is no description of an array ({type(error).__name__})") from error
    if dtype.hasobject:
        raise UserError(f"{f'{path}: {name}' if name else path}: an array of objects, which is a pickle; takes numbers")
    if any(type(side) is not int or side < 0 for side in shape):
        raise ValueError(f"the shape {shape}")
    return shape, fortran_order, dtype
