"""Test images, as many at once as memory has room for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from torch import Tensor

from fastvae.train.data.datasets import Split
from fastvae.train.settings.config import Config

_IMAGES: Final = 500
_VALUES: Final = 2**21  # SSIM takes some 100 bytes for each


def batches(config: Config, test: Split) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels in their order."""
    yield from test.batches(max(1, min(_IMAGES, _VALUES // math.prod(config.shape))))
