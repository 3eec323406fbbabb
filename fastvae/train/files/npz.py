"""The arrays of .npy and .npz files, mapped unless they are compressed, never unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fastvae.train.errors import UserError

# The local header of a file in a zip archive, up to the lengths of the name and of what follows it (APPNOTE.TXT 4.3.7).
_LOCAL_HEADER: Final = struct.Struct("<26xHH")
_HEADERS: Final = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in `path` by name; that of an .npy file is called "".

    Raises:
        UserError: no such file, a damaged one, or an array of objects, which is a pickle.
    """
    try:
        if path.suffix == ".npz":
            return _members(path)
        with path.open("rb") as file:
            return {"": _mapped(path, file, 0)}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise UserError(f"{path}: no {path.suffix} file that can be read ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def _members(path: Path) -> dict[str, NDArray[Any]]:
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            with archive.open(info) as member:
                if info.compress_type == zipfile.ZIP_STORED:
                    raw.seek(info.header_offset)
                    begin = (
                        info.header_offset
                        + _LOCAL_HEADER.size
                        + sum(_LOCAL_HEADER.unpack(raw.read(_LOCAL_HEADER.size)))
                    )
                    found[name] = _mapped(path, member, begin, name)
                else:
                    _header(path, member, name)
                    member.seek(0)
                    found[name] = npy.read_array(member, allow_pickle=False)
    return found


def _mapped(path: Path, file: IO[bytes], begin: int, name: str = "") -> NDArray[Any]:
    """The array whose header `file` begins with, `begin` bytes into `path`."""
    shape, fortran_order, dtype = _header(path, file, name)
    offset = begin + file.tell()
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran_order else "C")


def _header(path: Path, file: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"version {version}")
    shape, fortran_order, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise UserError(f"{f'{path}: {name}' if name else path}: an array of objects, which is a pickle; takes numbers")
    return shape, fortran_order, dtype
