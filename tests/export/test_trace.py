"""torch.jit.trace: the same mathematics, and no size of the example in what it gives for another batch."""

from __future__ import annotations

import pytest
import torch

from tests.export.programs import CALLS, MODELS, Asked, batch, cvae, tensors_of, vae
from tests.modules.tiny import BATCH, EXACT, LATENT, PIXELS

OTHER = 7
# That it is deprecated, and that a check of shapes is made once, with the example's.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model(name: str, call: str) -> None:
    asked = Asked(vae(name), CALLS[call]).requires_grad_(False)
    traced = torch.jit.trace(asked, (batch(BATCH),))
    assert not any("fastvae" in node.kind() for node in traced.inlined_graph.nodes())
    torch.testing.assert_close(traced(batch(OTHER)), asked(batch(OTHER)), **EXACT)


def test_a_conditional_model() -> None:
    asked = Asked(cvae(prior=True), lambda cvae, x, y: tensors_of(cvae(x, y, sample=False))).requires_grad_(False)
    traced = torch.jit.trace(asked, (batch(BATCH, 2), batch(BATCH, PIXELS)))
    inputs = batch(OTHER, 2), batch(OTHER, PIXELS)
    torch.testing.assert_close(traced(*inputs), asked(*inputs), **EXACT)


def test_noise_is_that_of_torch() -> None:
    asked = Asked(vae("plain"), lambda vae, x: (vae(x, num_samples=2).z, vae.encode(x).mu, vae.encode(x).std))
    traced = torch.jit.trace(asked.requires_grad_(False), (batch(BATCH),), check_trace=False)
    torch.manual_seed(3)
    z, mu, std = traced(batch(OTHER))
    torch.manual_seed(3)
    noise = torch.randn(2, OTHER, LATENT, dtype=torch.float64)
    torch.testing.assert_close(z, mu + std * noise, **EXACT)
