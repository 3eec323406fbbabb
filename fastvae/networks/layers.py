"""What the networks are made of: numbers from what is stored, dense layers, first weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from fastvae.networks.dropout import Dropout

ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}
_DROPPING_LAYERS: Final = 2


def fractions(images: Tensor) -> Tensor:
    """uint8 values as float32 in [0, 1]: value / 255, as the losses read a uint8 target.

    Floating-point numbers are taken as they are, and all others, such as bools, as float32.

    Args:
        images: any shape and dtype.

    Returns:
        The same shape, in floating point.

    Examples:
        >>> fastvae.networks.fractions(torch.tensor([0, 51, 255], dtype=torch.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    if images.dtype == torch.uint8:
        return images.to(torch.float32) / 255
    return images if images.is_floating_point() else images.to(torch.float32)


class Pixels(nn.Module):
    """`fractions` as the first layer of an encoder, so that images stay uint8 until a network needs them.

    Examples:
        >>> encoder = torch.nn.Sequential(fastvae.networks.Pixels(), torch.nn.Flatten(), torch.nn.Linear(784, 40))
        >>> encoder(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape
        torch.Size([2, 40])
    """

    def forward(self, images: Tensor) -> Tensor:
        """`fractions` of the images.

        Args:
            images: ``[batch, ...]``, uint8 or floating point.

        Returns:
            The same shape, in floating point.
        """
        return fractions(images)


class LogCounts(nn.Module):
    """log(1 + count) as the first layer of an encoder, as in scVI: counts of a few and of thousands side by side.

    Examples:
        >>> fastvae.networks.LogCounts()(torch.tensor([[0, 1, 1000]]))
        tensor([[0.0000, 0.6931, 6.9088]])
    """

    def forward(self, counts: Tensor) -> Tensor:
        """log(1 + count) of each.

        Args:
            counts: ``[batch, ...]`` of any dtype, at least 0.

        Returns:
            The same shape, in floating point.
        """
        return torch.log1p(counts if counts.is_floating_point() else counts.to(torch.float32))


# What the numbers of x are, and so the first layer of an encoder.
VALUES: Final[dict[str, Callable[[], nn.Module]]] = {"unit": Pixels, "real": Pixels, "counts": LogCounts}


class Layers(NamedTuple):
    """What the dense layers of a model are, and what stands between all its layers.

    Attributes:
        encoder: widths of the dense layers from the image to the latent.
        decoder: those from the latent to the image.
        activation: between the layers, a key of `ACTIVATIONS`: ``"relu"``, ``"tanh"`` or ``"silu"``.
        dropout: the probability that a value is dropped after the first two dense layers.

    Examples:
        >>> fastvae.networks.Layers((256, 128), (128, 256), "tanh")
        Layers(encoder=(256, 128), decoder=(128, 256), activation='tanh', dropout=0.0)
    """

    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    activation: str = "relu"
    dropout: float = 0.0

    def between(self) -> nn.Module:
        """A new activation.

        Returns:
            A module.

        Raises:
            ValueError: an unknown one.

        Examples:
            >>> fastvae.networks.Layers((), (), "silu").between()
            SiLU()
        """
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {self.activation!r}; takes one of {tuple(ACTIVATIONS)}")
        return ACTIVATIONS[self.activation]()


def dense(widths: Sequence[int], layers: Layers) -> list[nn.Module]:
    """Linear layers, with an activation after each but the last, and dropout after the first two activations.

    Args:
        widths: numbers of features, input and output included.
        layers: the activation and the dropout.

    Returns:
        The modules, in their order.

    Raises:
        ValueError: an unknown activation.

    Examples:
        >>> torch.nn.Sequential(*fastvae.networks.dense((784, 64, 40), fastvae.networks.Layers((64,), (64,), "tanh")))
        Sequential(
          (0): Linear(in_features=784, out_features=64, bias=True)
          (1): Tanh()
          (2): Linear(in_features=64, out_features=40, bias=True)
        )
    """
    modules: list[nn.Module] = []
    for number, (width_in, width_out) in enumerate(pairwise(widths), 1):
        modules.append(nn.Linear(width_in, width_out))
        if number < len(widths) - 1:
            modules.append(layers.between())
            if layers.dropout and number <= _DROPPING_LAYERS:
                modules.append(Dropout(layers.dropout))
    return modules


def initialise(network: nn.Module) -> None:
    """Glorot-uniform weights (Glorot & Bengio 2010) and zero biases, in place; norms begin with 1 and 0, as in torch.

    Activations and gradients then keep their variance through the layers, and a fresh posterior has a log-variance near
    zero, so that its KL starts small.

    Args:
        network: whose linear and convolutional layers are drawn anew, from torch's generator.

    Examples:
        >>> layer = torch.nn.Linear(300, 300)
        >>> fastvae.networks.initialise(layer)
        >>> bool(layer.weight.abs().max() <= (6 / (300 + 300)) ** 0.5), bool((layer.bias == 0).all())
        (True, True)
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
