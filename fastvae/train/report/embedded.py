"""The pictures in a run's folder, as they stand in its page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

from fastvae.train.errors import UserError
from fastvae.train.runs import atomic
from fastvae.train.runs.folder import RunFolder

_TYPES: Final = {".png": "image/png", ".gif": "image/gif"}
# In the order of the page; others follow by their names.
_CAPTIONS: Final = {
    "losses": "The losses of each epoch",
    "reconstructions": "Images and their reconstructions",
    "predictions": "Targets and what is predicted of them",
    "completions": "Completions",
    "labels": "Images for each label",
    "samples": "Samples from the prior",
    "generated": "Samples from the prior, by fastvae sample",
    "latent": "Posterior means",
    "manifold": "The decoded latent",
    "interpolation": "Between the posterior means of two images",
    "traversal": "One coordinate of the latent at a time",
}


class Picture(NamedTuple):
    """A picture inside the page.

    Attributes:
        name: of its file.
        caption: what it shows.
        width, height: in pixels.
        uri: its bytes.
    """

    name: str
    caption: str
    width: int
    height: int
    uri: str

    @property
    def wide(self) -> bool:
        """Whether it needs the width of a page, as one of several graphs side by side."""
        return self.width > 2.5 * self.height


def files(folder: RunFolder) -> list[Path]:
    """Those that a run has, as the page orders them."""
    found = [file for file in folder.path.iterdir() if file.suffix in _TYPES and not atomic.is_partial(file)]
    order = list(_CAPTIONS)
    return sorted(found, key=lambda file: (order.index(file.stem) if file.stem in order else len(order), file.name))


def found(folder: RunFolder) -> Iterator[Picture]:
    """Each of `files`.

    Raises:
        UserError: one is damaged.
    """
    for file in files(folder):
        content = file.read_bytes()
        try:
            with Image.open(file) as image:
                image.verify()
                width, height = image.size
        # Pillow raises SyntaxError for a PNG that is cut or altered.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"{file}: damaged, no picture (draw it again: fastvae plot {folder.path})") from error
        caption = _CAPTIONS.get(file.stem, file.stem)
        if file.suffix == ".gif":
            caption += ", epoch after epoch"
        uri = f"data:{_TYPES[file.suffix]};base64,{base64.b64encode(content).decode()}"
        yield Picture(file.name, caption, width, height, uri)
