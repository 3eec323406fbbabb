"""What a latent does to an image."""

from __future__ import annotations

from typing import Final

import torch
from matplotlib.figure import Figure
from torch import Tensor

from bench.reproductions.sprites.drawing import FACTORS, SIDE
from fastvae import VAE
from fastvae.plots import panels

_ACROSS: Final = 9
_REACH: Final = 2.0


@torch.no_grad()
def traversals(model: VAE, image: Tensor, information: Tensor, title: str) -> Figure:
    """A row for each dimension of the latent that knows anything: decoded from -2 to 2, the others as in `image`.

    Args:
        image: the one that is changed, ``[1, 32, 32]``.
        information: between dimensions and factors, in nats, ``[dimensions, factors]``.
    """
    order = information.amax(1).argsort(descending=True)
    shown = order[information.amax(1)[order] > 0.1]
    shown = order[:1] if not len(shown) else shown
    mu = model.encode(image[None]).mu
    z = mu.repeat(len(shown), _ACROSS, 1)
    steps = torch.linspace(-_REACH, _REACH, _ACROSS)
    for row, dimension in enumerate(shown):
        z[row, :, dimension] = steps
    images = model.decode(z.flatten(0, 1), mean=True)[:, 0].numpy()
    figure = Figure(figsize=(5.0, 0.4 + 0.46 * len(shown)), layout="constrained")
    axes = figure.subplots()
    panels.show(axes, panels.tile(images, _ACROSS))
    axes.set_yticks(panels.centres(len(shown), SIDE), [_named(information[dimension]) for dimension in shown])
    axes.set_xticks(panels.centres(_ACROSS, SIDE)[:: _ACROSS // 2], [f"{step:g}" for step in steps[:: _ACROSS // 2]])
    axes.tick_params(length=0, labelsize="small")
    axes.set_title(title, fontsize="medium")
    return figure


def _named(information: Tensor) -> str:
    """The factors that a dimension knows, the best known first, in nats."""
    best = information.topk(2)
    return ", ".join(f"{FACTORS[at].name} {nats:.1f}" for nats, at in zip(*best, strict=True) if nats > 0.1)
