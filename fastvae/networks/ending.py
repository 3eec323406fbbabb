"""What a decoder ends with: from a last layer's real numbers to the parameters of a likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import nn

from fastvae import _likelihoods
from fastvae._likelihoods import LIKELIHOODS

# By the loss of a likelihood. Pixels are in [0, 1], and so are their means and medians.
_ACTIVATIONS: Final[dict[str, Callable[[], nn.Module] | None]] = {
    "binary_cross_entropy_with_logits": None,
    "binary_cross_entropy": nn.Sigmoid,
    "mse_loss": nn.Sigmoid,
    "l1_loss": nn.Sigmoid,
    "gaussian_nll": nn.Sigmoid,
}


def ending(likelihood: str, floor: float = 0.0) -> list[nn.Module]:
    """The modules after a decoder's last layer, for pixels in [0, 1]: none for logits, else a sigmoid.

    Args:
        likelihood: its name, see `fastvae.ELBOLoss`.
        floor: keep what comes out at least this far from 0 and 1.

    Raises:
        ValueError: an unknown likelihood, one that these decoders cannot end for, or a floor for logits.
    """
    loss = _likelihoods.likelihood(likelihood).loss
    if loss not in _ACTIVATIONS:
        known = tuple(name for name, row in LIKELIHOODS.items() if row.loss in _ACTIVATIONS)
        raise ValueError(
            f"likelihood: got {likelihood!r}, which no network here has an ending for; takes one of {known}"
        )
    activation = _ACTIVATIONS[loss]
    if activation is None:
        if floor:
            raise ValueError(f"floor: got {floor!r} with likelihood {likelihood!r}, which takes logits; takes 0")
        return []
    return [activation(), nn.Hardtanh(floor, 1 - floor)] if floor else [activation()]
