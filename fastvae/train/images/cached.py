"""A folder of images as one array of bytes, decoded once and kept in the cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastvae.train.errors import UserError
from fastvae.train.files import cache
from fastvae.train.images import decode, folder, workers
from fastvae.train.images.folder import Listing

_FILE: Final = "images.npy"
Shape = tuple[int, ...]


class Images(NamedTuple):
    """What is asked of a folder, and what is in it.

    Attributes:
        path: of the folder.
        listing: see there.
        size, channels: asked for, or None for those of the files.
        cache_dir: where caches are, or None for the user's.
    """

    path: Path
    listing: Listing
    size: int | None
    channels: int | None
    cache_dir: str | None

    @classmethod
    def of(cls, path: Path, size: int | None, channels: int | None, cache_dir: str | None) -> Images:
        """What is there now. Raises what `folder.listed` does."""
        return cls(path, folder.listed(path), size, channels, cache_dir)

    def shape(self) -> Shape:
        """Of each image once decoded, ``(channels, height, width)``: of the cache, if it is there, or of the files.

        Raises:
            UserError: files of several sizes and none asked for, or one that is broken.
        """
        manifest = cache.found(self._place(), self._sources())
        if manifest is not None:
            return tuple(manifest["shape"])
        if self.size is not None and self.channels is not None:
            return self.channels, self.size, self.size
        paths = self._paths()
        found = [header for chunk in workers.each(decode.headers, paths, "reading sizes") for header in chunk]
        channels = max(header.channels for header in found) if self.channels is None else self.channels
        if self.size is not None:
            return channels, self.size, self.size
        sizes = Counter((header.height, header.width) for header in found)
        if len(sizes) > 1:
            (common, _), (other, _) = sizes.most_common(2)
            where = next(name for name, header in zip(self.listing.names, found, strict=True) if header[:2] == other)
            raise UserError(
                f"--image-size: got none for {self.path}, whose images have {len(sizes)} sizes, such as "
                f"{common[0]} x {common[1]} and {other[0]} x {other[1]} ({where}); takes the one to resize them to"
            )
        return channels, *next(iter(sizes))

    def array(self, shape: Shape) -> NDArray[np.uint8]:
        """All images as ``[count, *shape]``, mapped from the cache, which is made if it is not there or stale.

        Raises:
            UserError: a broken file, or a cache that cannot be written.
        """
        place = self._place()
        cache.made(place, self._sources(), partial(self._decode, shape))
        array: NDArray[np.uint8] = np.load(place / _FILE, mmap_mode="r", allow_pickle=False)
        return array

    def _decode(self, shape: Shape, into: Path) -> cache.Sources:
        paths = self._paths()
        offset = cache.allocate(into / _FILE, "|u1", (len(paths), *shape))
        for _ in workers.each(
            partial(_write, into / _FILE, offset, shape, self.size is not None), paths, "decoding images"
        ):
            pass
        return {"shape": shape}

    def _paths(self) -> list[Path]:
        return [self.path / name for name in self.listing.names]

    def _place(self) -> Path:
        return cache.place(self.cache_dir, self.path, {"size": self.size, "channels": self.channels})

    def _sources(self) -> cache.Sources:
        names, sizes, times, *_ = self.listing
        return {"names": names, "sizes": sizes, "times": times, "size": self.size, "channels": self.channels}


def _write(file: Path, offset: int, shape: Shape, resize: bool, paths: Sequence[Path], start: int) -> None:
    """Decode some images and write them in their place."""
    content = b"".join(decode.decoded(path, shape, resize=resize).tobytes() for path in paths)
    with file.open("r+b") as opened:
        opened.seek(offset + start * int(np.prod(shape)))
        opened.write(content)
