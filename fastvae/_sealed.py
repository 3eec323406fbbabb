"""safetensors files with a checksum of all their bytes, so that damage is refused and never computed with."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

import torch
from torch import Tensor

_DIGEST: Final = 16
_UNSET: Final = b"0" * (2 * _DIGEST)
# How the header of a sealed file begins; the checksum is that of the file with zeros in its place.
_BEGIN: Final = b'{"__metadata__":{"checksum":"'
_LENGTH: Final = 8
_LONGEST_HEADER: Final = 100_000_000  # that of safetensors itself
_READ: Final = 2**20  # bytes at once


class DamagedError(ValueError):
    """A file that is not as it was written."""


def sealed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """A safetensors file, the same bytes for the same content, in pieces to be written one after the other.

    Args:
        tensors: may share memory, which the file does not.
        metadata: kept beside them.
    """
    from safetensors.torch import save

    content = memoryview(save(_apart(tensors)))
    begin = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    described = json.loads(bytes(content[_LENGTH:begin]))
    metadata = {"checksum": _UNSET.decode(), **metadata}
    header = json.dumps({"__metadata__": metadata, **described}, separators=(",", ":")).encode()
    # Data begins at a multiple of 8 bytes.
    header += b" " * (-len(header) % _LENGTH)
    length = len(header).to_bytes(_LENGTH, "little")
    digest = _digest(length, header)
    digest.update(content[begin:])
    return [length, header.replace(_UNSET, digest.hexdigest().encode(), 1), content[begin:]]


def opened(path: Path, device: str = "cpu", *, required: bool = True) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file that `sealed` made.

    Args:
        path: of the file.
        device: where the tensors go.
        required: refuse a safetensors file without a checksum, which another program has written.

    Raises:
        DamagedError: it is not as it was written, or no such file.
        OSError: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not stat.S_ISREG(path.stat().st_mode):
        raise DamagedError("it is no regular file")
    with path.open("rb") as file:
        metadata = _checked(file, required=required)
    try:
        return load_file(path, device), metadata
    except SafetensorError as error:
        raise DamagedError(str(error)) from error


def _checked(file: BinaryIO, *, required: bool) -> dict[str, str]:
    length = file.read(_LENGTH)
    size, rest = int.from_bytes(length, "little"), os.fstat(file.fileno()).st_size - _LENGTH
    if size > min(rest, _LONGEST_HEADER):
        raise DamagedError(f"a header of {size} bytes in a file of {max(rest, 0)} bytes more")
    header = file.read(size)
    if not header.startswith(_BEGIN):
        if required:
            raise DamagedError("it has no checksum")
        return {}
    end = len(_BEGIN) + len(_UNSET)
    digest = _digest(length, header[: len(_BEGIN)] + _UNSET + header[end:])
    while content := file.read(_READ):
        digest.update(content)
    if digest.hexdigest().encode() != header[len(_BEGIN) : end]:
        raise DamagedError("its checksum is that of other bytes")
    metadata = json.loads(header)["__metadata__"]
    return {str(name): str(value) for name, value in metadata.items()}


def _digest(*pieces: bytes) -> blake2b:
    digest = blake2b(digest_size=_DIGEST)
    for piece in pieces:
        digest.update(piece)
    return digest


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU, none of them in the memory of another."""
    found: dict[str, Tensor] = {}
    memories = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
        memory = plain.untyped_storage().data_ptr()
        found[name] = plain.clone() if memory in memories else plain
        memories.add(memory)
    return found
