"""Dense layers over whatever has a fixed number of features: vectors, and images of any size."""

from __future__ import annotations

import math

from torch import nn

from fastvae.networks.layers import dense
from fastvae.networks.plan import Parts, Plan


def mlp(plan: Plan) -> Parts:
    """Linear layers each way, with an activation between them."""
    layers = plan.layers
    encoder = [nn.Flatten(), *dense((math.prod(plan.shape), *layers.encoder, plan.moments), layers)]
    decoder = dense((plan.latents, *layers.decoder, math.prod(plan.output)), layers)
    if len(plan.output) > 1:
        decoder.append(nn.Unflatten(1, plan.output))
    return Parts(encoder, decoder)
