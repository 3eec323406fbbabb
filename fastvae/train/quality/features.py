"""Networks that give the features of images, from files of the user's: nothing is ever downloaded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from fastvae.train.data.datasets import Split
from fastvae.train.errors import UserError
from fastvae.train.quality.asked import Asked

_TAKES: Final = (
    "takes a TorchScript file of a network from uint8 images [batch, 3, height, width] to features [batch, count]"
)


class Features(nn.Module):
    """A network of the user's, as torchmetrics takes it.

    It sees uint8 images of 3 channels, all alike if they are grey, and resizes them itself. If its ``forward`` has an
    argument ``return_features``, as that of StyleGAN2-ADA's Inception network has, it is given True.

    Args:
        option: that named `file`, for messages.
        file: in TorchScript, which is a program: it runs no Python, but torch's operators read and write files, too
            (`torch.from_file`, `torch.save`), already while it is loaded. It is trusted as a program is. torch.export's
            archives would be no better: reading one unpickles and evaluates text.
        images: uint8 ``[2, 1 or 3, height, width]`` to try it on, on the device that it is for.

    Attributes:
        num_features: of an image.

    Raises:
        UserError: it cannot be read, or is no such network.
    """

    def __init__(self, option: str, file: Path, images: Tensor) -> None:
        super().__init__()
        # Whatever is wrong with somebody's file or network: torch says so by errors of many types.
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.network = torch.jit.load(str(file), map_location=images.device).eval()
            arguments = [argument.name for argument in self.network.forward.schema.arguments]
            self.options = {"return_features": True} if "return_features" in arguments else {}
            with torch.no_grad():
                found = self(images)
        except Exception as error:
            raise UserError(f"{option}: {file}: {_short(error)}; {_TAKES}") from error
        if found.dim() != 2 or len(found) != len(images):
            raise UserError(f"{option}: {file}: gave {list(found.shape)} for {len(images)} images; {_TAKES}")
        self.num_features = found.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Features of uint8 images, ``[batch, num_features]`` in float64."""
        found: Tensor = self.network(images.expand(-1, 3, -1, -1), **self.options)
        return found.double()


def _short(error: Exception) -> str:
    """What happened, of a message that begins with a trace, or goes on about what may be the reason."""
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return last.partition(". ")[0]


def load(asked: Asked, test: Split) -> dict[str, Features]:
    """The networks of the metrics asked for.

    Raises:
        UserError: a file that is no network of features, or fewer than two test images.
    """
    for name in asked.features:
        if len(test.images) < 2:
            raise UserError(f"--{name}: got {len(test.images)} test images; takes at least 2")
    return {name: Features(f"--{name}", file, as_bytes(test.images[:2])) for name, file in asked.features.items()}


def as_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] as the nearest levels, uint8; those that are bytes as they are."""
    return images if images.dtype == torch.uint8 else (255 * images).round().clamp(0, 255).to(torch.uint8)
