"""Folders of files made once from a user's, and made again when those change.

A folder is whole or not there: it is filled under another name and renamed. Its manifest, ``manifest.json``, holds what
it was made from (the names, sizes and times of the files, the options), a checksum of that, and the size and the
checksum of each file, which every process compares once: a damaged cache is made anew, and never trained on.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock

from fastvae.train.errors import UserError

# Part of what a folder is made from: files that an older fastvae cached otherwise are made again.
_VERSION: Final = 2
_MANIFEST: Final = "manifest.json"
_DIGEST: Final = partial(blake2b, digest_size=16)

Sources = dict[str, Any]


def place(parent: str | None, data: Path, options: Sources) -> Path:
    """The folder for `data` read with `options`, below `parent`, or else the user's cache (``~/.cache/fastvae``)."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastvae"
    key = json.dumps([str(data.resolve()), options], sort_keys=True)
    return (
        base if parent is None else Path(parent)
    ) / f"{data.stem}-{blake2b(key.encode(), digest_size=8).hexdigest()}"


def found(folder: Path, sources: Sources) -> Sources | None:
    """The manifest of a folder that was made from `sources` and is undamaged; else None."""
    try:
        manifest: Sources = json.loads((folder / _MANIFEST).read_bytes())
        fresh = manifest["checksum"] == _checksum(sources) and all(
            (folder / name).stat().st_size == described["size"] and _described(folder / name) == described
            for name, described in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if fresh else None


def made(folder: Path, sources: Sources, make: Callable[[Path], Sources]) -> Sources:
    """The manifest of `folder`, filled by `make` unless it is there already.

    Args:
        folder: see `place`.
        sources: what it is made from; in it, whatever would make it stale.
        make: fills a folder, and returns what the manifest is to hold beside.

    Raises:
        UserError: the cache cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # One process at a time, of those on this machine; the lock of one that was killed is free.
        with FileLock(folder.with_name(f".lock-{folder.name}")):
            manifest = found(folder, sources)
            return _filled(folder, sources, make) if manifest is None else manifest
    except OSError as error:
        raise UserError(f"--cache-dir: {error.filename or folder}: {error.strerror or error}") from error


def allocate(file: Path, dtype: str, shape: tuple[int, ...]) -> int:
    """Make an .npy file of so many values, to be written; returns where they begin. It fails here on a full disk."""
    with file.open("wb") as opened:
        header: dict[str, Any] = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(opened, header)
        begin = opened.tell()
        os.posix_fallocate(opened.fileno(), begin, max(1, math.prod(shape) * np.dtype(dtype).itemsize))
    return begin


def _filled(folder: Path, sources: Sources, make: Callable[[Path], Sources]) -> Sources:
    unfinished = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        more = make(unfinished)
        files = {file.name: _described(file) for file in sorted(unfinished.iterdir())}
        manifest = {"checksum": _checksum(sources), "files": files, **more, "sources": sources}
        (unfinished / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        # Who reads the old one has it open, and keeps it.
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return manifest


def _checksum(sources: Sources) -> str:
    content = json.dumps([_VERSION, sources], sort_keys=True)
    return _DIGEST(content.encode()).hexdigest()


def _described(file: Path) -> dict[str, int | str]:
    status = file.stat()
    return {"size": status.st_size, "checksum": _content(file, status.st_ino, status.st_size, status.st_mtime_ns)}


@lru_cache
def _content(file: Path, *status: int) -> str:
    """The checksum of a file, read once for each state of it."""
    with file.open("rb") as opened:
        return file_digest(opened, _DIGEST).hexdigest()
