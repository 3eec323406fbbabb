"""From the arguments of a pair of networks to the networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Unpack

from torch import nn

from fastvae._describe import describe
from fastvae._keywords import passes_on
from fastvae.networks.architectures import ARCHITECTURES
from fastvae.networks.arguments import Options, resolve
from fastvae.networks.conditioned import Conditioned, beside
from fastvae.networks.ending import ending
from fastvae.networks.layers import VALUES, Layers, initialise
from fastvae.networks.plan import Plan


class Networks(NamedTuple):
    """What `build` gives.

    Attributes:
        encoder: x, ``[batch, *shape]``, to mu and raw scale packed along dim 1.
        decoder: latents, ``[batch, *latent_shape]``, to the likelihood's parameters, ``[batch, out_channels, ...]``,
            the other sizes being those of x.
        latent_shape: of one latent, as `fastvae.VAE` takes it: ``(latent_dim,)`` or ``(latent_dim, height, width)``.

    Examples:
        >>> networks = fastvae.networks.build("conv", (3, 32, 32), 16, likelihood="gaussian")
        >>> networks
        Networks(encoder=Sequential, decoder=Sequential, latent_shape=(16,))
        >>> encoder, decoder, latent_shape = networks
        >>> encoder(torch.zeros(2, 3, 32, 32)).shape, decoder(torch.zeros(2, *latent_shape)).shape
        (torch.Size([2, 32]), torch.Size([2, 3, 32, 32]))
    """

    encoder: nn.Module
    decoder: nn.Module
    latent_shape: tuple[int, ...]

    def __repr__(self) -> str:
        return describe(self)


@passes_on(resolve)
def build(architecture: str, shape: Sequence[int], latent_dim: int, **options: Unpack[Options]) -> Networks:
    """An encoder and a decoder with fresh weights (see `initialise`) from torch's generator.

    Args:
        architecture, shape, latent_dim, **options: see `resolve`, which lists them.

    Returns:
        Two `torch.nn.Sequential`; with a condition two modules that are called with it, as a `fastvae.CVAE` calls
        them: ``encoder(x, condition)`` and ``decoder(z, condition)``, the condition ``[batch, condition]``. And the
        shape of a latent.

    Raises:
        ValueError: what is unknown, out of its range, or not taken by the architecture.

    Examples:
        >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (1, 28, 28), 20, hidden=(64,))
        >>> encoder
        Sequential(
          (0): Pixels()
          (1): Flatten(start_dim=1, end_dim=-1)
          (2): Linear(in_features=784, out_features=64, bias=True)
          (3): ReLU()
          (4): Linear(in_features=64, out_features=40, bias=True)
        )
        >>> vae = fastvae.VAE(encoder, decoder, latent_shape=latent_shape)
        >>> images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
        >>> vae(images).prediction.shape
        torch.Size([2, 1, 28, 28])
        >>> encoder, decoder, latent_shape = fastvae.networks.build("resnet", (3, 64, 64), 4, latent="spatial")
        >>> latent_shape
        (4, 8, 8)
    """
    given = resolve(architecture, shape, latent_dim, **options)
    shape, condition, spatial = given["shape"], given["condition"], given["latent"] == "spatial"
    flat = given["widths"] is None
    channels, *size = shape
    if flat and condition:
        seen: tuple[int, ...] = (math.prod(shape) + condition,)
    else:
        seen = (channels + beside(condition, features=False), *size)
    plan = Plan(
        shape=seen,
        output=(given["out_channels"], *size),
        moments=2 * latent_dim,
        latents=latent_dim + beside(condition, features=not spatial),
        spatial=spatial,
        layers=Layers(given["hidden"], given["decoder_hidden"], given["activation"], given["dropout"]),
        widths=given["widths"] or (),
        blocks=given["blocks"] or 0,
    )
    encoder, decoder, innermost = ARCHITECTURES[architecture].layers(plan)
    if given["likelihood"] is not None:
        decoder += ending(given["likelihood"], given["probability_floor"], values=given["values"])
    first = VALUES[given["values"]]()
    latent_shape = (latent_dim, *innermost) if spatial else (latent_dim,)
    if condition:
        networks = Networks(
            Conditioned(first, nn.Sequential(*encoder), condition, features=flat),
            Conditioned(nn.Identity(), nn.Sequential(*decoder), condition, features=not spatial),
            latent_shape,
        )
    else:
        networks = Networks(nn.Sequential(first, *encoder), nn.Sequential(*decoder), latent_shape)
    for part in ("encoder", "decoder"):
        network = getattr(networks, part)
        initialise(network)
        # From which a saved model is built again.
        network.built = {"part": part, **given}
    return networks
