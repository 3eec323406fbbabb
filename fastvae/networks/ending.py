"""What a decoder ends with: from a last layer's real numbers to the parameters of a likelihood."""

from __future__ import annotations

from torch import nn

from fastvae._likelihoods import Likelihood
from fastvae.losses._named import named


def ending(likelihood: str, floor: float = 0.0, *, values: str = "unit") -> list[nn.Module]:
    """The modules after a decoder's last layer: a sigmoid for what lies in [0, 1], none for what may be any number.

    Args:
        likelihood: its name, see `fastvae.ELBOLoss`.
        floor: keep what comes out at least this far from 0 and 1.
        values: what the numbers of x are, see `fastvae.networks.build`. The mean of ``"unit"`` values lies in [0, 1];
            of others only a probability does.

    Returns:
        No modules, one, or two.

    Raises:
        ValueError: an unknown likelihood, or a floor without a sigmoid.

    Examples:
        >>> fastvae.networks.ending("bernoulli"), fastvae.networks.ending("gaussian")  # logits, and a mean in [0, 1]
        ([], [Sigmoid()])
        >>> fastvae.networks.ending("bernoulli_probs", 0.01)
        [Sigmoid(), Hardtanh(min_val=0.01, max_val=0.99)]
    """
    found = named(likelihood)
    activation = None
    if isinstance(found, Likelihood) and (values == "unit" or found.scale is None):
        activation = found.activation
    if activation is None:
        if floor:
            raise ValueError(f"floor: got {floor!r} with likelihood {likelihood!r}, which takes any number; takes 0")
        return []
    return [activation(), nn.Hardtanh(floor, 1 - floor)] if floor else [activation()]


def decoder_channels(likelihood: str, channels: int = 1) -> int:
    """How many channels a decoder gives for images of so many: more where a pixel has several parameters.

    ``"negative_binomial"`` has two for each, ``"zero_inflated_negative_binomial"`` three (see
    `fastvae.losses.NegativeBinomial`); ``"discretized_logistic_mixture"`` 30 for a grey image, 100 for a coloured one
    (see `fastvae.losses.DiscretizedLogisticMixture`); any other likelihood one for each. The channels of a vector, such
    as the counts of genes, are its features.

    Args:
        likelihood: its name, see `fastvae.ELBOLoss`.
        channels: of the images.

    Returns:
        An int.

    Raises:
        ValueError: an unknown likelihood, or a number of channels that it does not take.

    Examples:
        >>> [fastvae.networks.decoder_channels(name, 3) for name in ("gaussian", "discretized_logistic_mixture")]
        [3, 100]
    """
    return named(likelihood).decoder_channels(channels)
