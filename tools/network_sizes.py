"""The parameter counts of docs/networks.md, of networks that are built on the meta device.

    python -m tools.network_sizes     writes them

A test fails where they are out of date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import nn

from bench import pages
from fastvae import networks

PAGE: Final = Path(__file__).parent.parent / "docs" / "networks.md"
_PART: Final = "sizes"
_HEAD: Final = (
    "image", "architecture", "latent", "latent shape", "widths", "blocks", "hidden", "encoder", "decoder",
)  # fmt: skip
_IMAGES: Final = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 256, 256))
# Numbers of a vector latent, and channels of a spatial one.
_LATENTS: Final = {"vector": 32, "spatial": 4}


def _count(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()):,}"


def _numbers(values: Sequence[int] | None) -> str:
    return " ".join(map(str, values or ()))


def _rows() -> Iterator[Sequence[str]]:
    for shape in _IMAGES:
        for name, kind in networks.ARCHITECTURES.items():
            for latent in kind.latents:
                given = networks.resolve(name, shape, _LATENTS[latent], latent=latent)
                with torch.device("meta"):
                    encoder, decoder, latent_shape = networks.build(**given)
                sizes = (" x ".join(map(str, each)) for each in (shape, latent_shape))
                image, z = sizes
                blocks = "" if given["blocks"] is None else str(given["blocks"])
                widths, hidden = _numbers(given["widths"]), _numbers(given["hidden"])
                yield [image, f"`{name}`", latent, z, widths, blocks, hidden, _count(encoder), _count(decoder)]


def page(text: str) -> str:
    """The text of the page with the table in its place."""
    return pages.insert(text, _PART, pages.table(_HEAD, _rows(), text_columns=7))


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
