"""Models whose latents and images are known, and data and configs for them."""

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from fastvae import CVAE, VAE
from fastvae.train.data import datasets
from fastvae.train.pictures import run as drawing
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve

HISTORY = [Epoch(1, 9.0, -9.0, 6.0, 3.0, 10.0, -10.0, 6.5, 3.5, 0.1)]
ORANGE = (0.9, 0.5, 0.1)
COLOUR = (3, 8, 8)


def config(shape: tuple[int, ...], labels: int, **settings) -> Config:
    return Config(**resolve({"device": "cpu", "threads": 1, "shape": shape, "labels": labels, **settings}))


class Shade(nn.Module):
    """Decodes every latent to the same colour in all pixels."""

    def __init__(self, colour: tuple[float, ...], size: tuple[int, int]) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.tensor(colour).view(-1, 1, 1).repeat(1, *size))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.colour.repeat(len(z), 1, 1, 1)


class Flat(nn.Module):
    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x.flatten(1)[:, : 2 * self.latent_dim] / 255


class Map(nn.Module):
    """Moments of a spatial latent, ``[batch, 2 D, 2, 2]``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1, :2, :2].repeat(1, 2 * self.channels, 1, 1) / 255


def vae(colour: tuple[float, ...], latent_dim: int = 2, size: tuple[int, int] = (8, 8)) -> VAE:
    return VAE(Flat(latent_dim), Shade(colour, size), likelihood="gaussian", latent_shape=latent_dim)


def spatial() -> VAE:
    return VAE(Map(2), Shade(ORANGE, (8, 8)), likelihood="gaussian", latent_shape=(2, 2, 2))


def split(*shape: int, labels: int = 10, count: int = 40) -> datasets.Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    return datasets.Split(images, torch.arange(count) % max(labels, 1))


def conditional(labels: int, colour: tuple[float, ...] = ORANGE) -> CVAE:
    return CVAE(Flat(2), Shade(colour, (8, 8)), likelihood="gaussian", latent_shape=2)


def split_of(images: Tensor, labels: Tensor | None = None) -> datasets.Split:
    return datasets.Split(images, torch.zeros(len(images), dtype=torch.int64) if labels is None else labels)


class Noisy(nn.Module):
    """An image for each latent, of a few frequencies."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("places", torch.arange(math.prod(shape)) * 0.37)

    def forward(self, z: Tensor) -> Tensor:
        return (0.5 + 0.4 * torch.sin(self.places + 3 * z[:, :1] + z[:, 1:2] * self.places)).unflatten(1, self.shape)


def noisy(*shape: int) -> VAE:
    return VAE(Flat(2), Noisy(*shape), likelihood="gaussian", latent_shape=2)


def drawn(folder: Path, chosen: Config, model: VAE | CVAE, test: datasets.Split) -> set[str]:
    names = drawing.draw(RunFolder(folder), chosen, model, test, HISTORY)
    assert {file.name for file in folder.iterdir()} == set(names)
    return set(names)


def pixels_of(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def is_coloured(file: Path) -> bool:
    pixels = pixels_of(file)
    return bool((np.ptp(pixels, axis=-1) > 60).mean() > 0.01)
