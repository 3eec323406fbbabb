"""What networks must know of a data set, and how a user's own is read."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

# Large enough to keep a device busy. Only the parts of a divided KL, estimated from a batch, depend on it.
EVALUATION_BATCH: Final = 500
_EVALUATED: Final = 2**22  # values at once

# What the numbers of a sample are: bytes, read as value / 255 or as levels; floating point in [0, 1]; any such;
# or counts, in floating point.
VALUES: Final = ("bytes", "unit", "real", "counts")
# Where samples come from: a named data set, a folder of images, a file of arrays, one of counts.
SOURCES: Final = ("named", "folder", "arrays", "counts")


class Description(NamedTuple):
    """What a config holds of a data set.

    Attributes:
        source: one of `SOURCES`.
        shape: of a sample, ``(channels, height, width)`` of an image, ``(features,)`` of others.
        values: one of `VALUES`.
        labels: how many different ones there are, 0 to `labels` - 1; 0 where there are none.
    """

    source: str
    shape: tuple[int, ...]
    values: str
    labels: int


class Reading(NamedTuple):
    """How a user's own data is read; what is None is as the files have it.

    Attributes:
        image_size: height and width, in pixels, of what a folder's images become.
        channels: 1 for grey, 3 for coloured.
        label_key: the column of an .h5ad file with the labels.
        layer: that of an .h5ad file with the counts.
        cache_dir: where decoded images are kept; None for the user's cache.
    """

    image_size: int | None = None
    channels: int | None = None
    label_key: str | None = None
    layer: str | None = None
    cache_dir: str | None = None


AS_IT_IS: Final = Reading()


def evaluation_batch(shape: tuple[int, ...]) -> int:
    """How many samples are evaluated at once: `EVALUATION_BATCH`, fewer of large ones."""
    return max(1, min(EVALUATION_BATCH, _EVALUATED // math.prod(shape)))
