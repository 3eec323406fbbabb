"""pythae's models with our losses, against pythae's own."""

from __future__ import annotations

import pytest
import torch

from bench.clients import example
from tests.clients.packages import client, no_worse

pytestmark = pytest.mark.filterwarnings("ignore")
MODELS = ("vae", "beta-vae", "beta-tc-vae")


def losses(vae, tensors, dtype):
    """What `loss_function` returns, and the gradients of its loss, of tensors as `dtype`."""
    leaves = {name: value.to(dtype).requires_grad_(name != "x") for name, value in tensors.items()}
    extra = {"dataset_size": 1000} if hasattr(vae, "use_mss") else {}
    found = vae.loss_function(*leaves.values(), **extra)
    wanted = [leaf for leaf in leaves.values() if leaf.requires_grad]
    gradients = torch.autograd.grad(found[0], wanted, allow_unused=True)
    return [*found, *(torch.zeros_like(leaf) if g is None else g for leaf, g in zip(wanted, gradients, strict=True))]


@pytest.mark.parametrize("reconstruction_loss", ["bce", "mse"])
@pytest.mark.parametrize("model", MODELS)
def test_losses_and_gradients(model, reconstruction_loss):
    client("pythae.models")
    theirs, ours, config = example("pythae_vae").MODELS[model]
    settings = config(input_dim=(1, 6, 7), latent_dim=5, reconstruction_loss=reconstruction_loss)
    theirs, ours = theirs(settings), ours(settings)
    torch.manual_seed(0)
    mu, log_var = torch.randn(2, 16, 5)
    z = mu + torch.exp(0.5 * log_var) * torch.randn(16, 5)
    tensors = {"recon_x": torch.rand(16, 1, 6, 7), "x": torch.rand(16, 1, 6, 7), "mu": mu, "log_var": log_var, "z": z}
    exact = losses(theirs, tensors, torch.float64)
    for mine, own, value in zip(
        losses(ours, tensors, torch.float32), losses(theirs, tensors, torch.float32), exact, strict=True
    ):
        no_worse(mine, own, value)
    for mine, value in zip(losses(ours, tensors, torch.float64), exact, strict=True):
        torch.testing.assert_close(mine, value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_a_step_is_theirs(model):
    client("pythae.models")
    steps = [example("pythae_vae").step(fused=fused, model=model, batch=16) for fused in (False, True)]
    found = []
    for step in steps:
        torch.manual_seed(1)
        found.append([step() for _ in range(3)])
    assert found[1] == pytest.approx(found[0], rel=1e-5)
    assert found[0][-1] < found[0][0]
