"""Pictures of a model and of its training, as matplotlib figures that a notebook shows.

    fastvae.plots.reconstructions(vae, images[:20])
    fastvae.plots.latent(vae, images, labels).savefig("latent.png")

Each function returns a `matplotlib.figure.Figure`: nothing is shown or saved, and pyplot's state is not touched. A
model is a `fastvae.VAE`, `BetaVAE` or `CVAE` over any networks; it is asked in eval mode, without gradients, and left
as it was. Its inputs are tensors or arrays on any device. matplotlib and Pillow come with
``pip install 'fastvae[train]'``.

Images are ``[batch, channels, height, width]`` or ``[batch, height, width]`` of any size: 1 channel is grey, 3 are red,
green and blue, a fourth is opacity, on white; other channels stand side by side. Small ones are smoothed, and large
ones reduced, to 2,048 pixels a picture. Functions that draw images also take

- ``shape``: of an image, where networks take and give flat ones, ``[batch, values]``;
- ``value_range``: the numbers that are black and white, (0, 1) by default, such as (-1, 1). Bytes are 0 to 255;
- ``title``: of the figure.
"""

from fastvae.plots.latents import interpolation, kl_by_dimension, latent, manifold, traversals
from fastvae.plots.pictures import reconstructions, samples
from fastvae.plots.training import losses

__all__ = [
    "interpolation",
    "kl_by_dimension",
    "latent",
    "losses",
    "manifold",
    "reconstructions",
    "samples",
    "traversals",
]
