"""The distribution that a network's output stands for."""

from __future__ import annotations

from torch import Tensor, nn

from fastvae._describe import describe
from fastvae._gaussian_options import GaussianOptions
from fastvae.distributions import DiagonalGaussian
from fastvae.modules._networks import call


def gaussian_of(name: str, network: nn.Module, options: GaussianOptions, **inputs: object) -> DiagonalGaussian:
    """``network(*inputs)`` read as `options` say; `name` is the network's in messages.

    Raises:
        TypeError, ValueError: the inputs do not fit the network, or its output is no Gaussian.
    """
    output = call(name, network, **inputs)
    if isinstance(output, Tensor):
        if output.dim() < 2:
            got = " and ".join(map(describe, inputs.values()))
            raise ValueError(
                f"{', '.join(inputs)}: got {got}, of which {name} makes {describe(output)}; takes [batch, ...]"
            )
        return DiagonalGaussian.from_moments(
            output, dim=options.packed_dim, interleaved=options.interleaved, **options.scale
        )
    if isinstance(output, (tuple, list)) and len(output) == 2:
        return DiagonalGaussian(*output, **options.scale)
    raise TypeError(
        f"{name}: returned {type(output).__name__}; takes a network that returns a pair (mu, scale) or one "
        "packed tensor"
    )
