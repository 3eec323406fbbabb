"""What a decoder ends with: from a last layer's real numbers to the parameters of a likelihood."""

from __future__ import annotations

from torch import nn

from fastvae import _likelihoods


def ending(likelihood: str, floor: float = 0.0) -> list[nn.Module]:
    """The modules after a decoder's last layer, for pixels in [0, 1]: none for logits, else a sigmoid.

    Args:
        likelihood: its name, see `fastvae.ELBOLoss`.
        floor: keep what comes out at least this far from 0 and 1.

    Raises:
        ValueError: an unknown likelihood, or a floor for logits.
    """
    activation = _likelihoods.likelihood(likelihood).activation
    if activation is None:
        if floor:
            raise ValueError(f"floor: got {floor!r} with likelihood {likelihood!r}, which takes logits; takes 0")
        return []
    return [activation(), nn.Hardtanh(floor, 1 - floor)] if floor else [activation()]
