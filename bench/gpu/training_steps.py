"""The training steps that `bench.gpu.training` times: one convolutional VAE, the loss written in three ways.

Every step is `fastvae.train.loop.step`: uint8 images stay on the device, the forward pass runs under autocast to
bfloat16, Adam is fused. What differs is the loss, and what runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import torch
import torch.nn.functional as T
from torch import Tensor, nn

from bench.gpu.device import Device
from fastvae import VAE, networks
from fastvae.train.loop.graph import CudaGraph, Graph, GraphedStep
from fastvae.train.loop.optimizer import Update
from fastvae.train.loop.step import Step
from fastvae.train.runs.metrics import Means, Sums

MODEL: Final = "conv"
LATENT: Final = 20
SIZE: Final = (28, 28)
_HIDDEN: Final = (400,)
# An untrained posterior is so near the prior that a missing KL would go unnoticed: this makes the KL some nats.
_POSTERIOR_GAIN: Final = 10.0


class Provider(NamedTuple):
    """Who computes the loss, and what runs the step."""

    model: Callable[[nn.Sequential, nn.Module], nn.Module]
    compiled: bool
    captured: bool


class _Losses(NamedTuple):
    """What a step wants of a model's output."""

    loss: Tensor
    reconstruction_loss: Tensor
    kl: Tensor


class _Plain(nn.Module):
    """The loss as it is written in PyTorch: pixels converted once, moments in two halves, textbook KL."""

    def __init__(self, encoder: nn.Sequential, decoder: nn.Module) -> None:
        super().__init__()
        self.pixels, self.encoder, self.decoder = encoder[0], encoder[1:], decoder

    def forward(self, images: Tensor) -> _Losses:
        x = self.pixels(images)
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        reconstruction = T.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") / len(x)
        kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
        # The means of the batch, as one value each: per-image values would cost another pass.
        return _Losses(reconstruction + kl, reconstruction.detach()[None], kl.detach()[None])


def _fused(encoder: nn.Sequential, decoder: nn.Module) -> nn.Module:
    return VAE(encoder, decoder, latent_shape=LATENT)


PROVIDERS: Final[Mapping[str, Provider]] = {
    "fastvae_graph": Provider(_fused, compiled=False, captured=True),
    "fastvae": Provider(_fused, compiled=False, captured=False),
    "eager": Provider(_Plain, compiled=False, captured=False),
    "compile": Provider(_Plain, compiled=True, captured=False),
    "eager_graph": Provider(_Plain, compiled=False, captured=True),
    "compile_graph": Provider(_Plain, compiled=True, captured=True),
}


class Rerun:
    """In place of a CUDA graph where there are none: `replay` runs the work again."""

    def capture(self, work: Callable[[], None]) -> None:
        """Run `work` once."""
        self._work = work
        work()

    def replay(self) -> None:
        """Run it again."""
        self._work()


def fresh_networks() -> tuple[nn.Sequential, nn.Module]:
    """The encoder and the decoder that all train."""
    encoder, decoder, _ = networks.build(MODEL, (1, *SIZE), LATENT, hidden=_HIDDEN)
    assert isinstance(encoder, nn.Sequential)
    return encoder, decoder


class Training:
    """The steps of one provider, each provider's from the same weights.

    Args:
        images: uint8, ``[count, 1, 28, 28]``, on the device.
        batch_size: of every step.
    """

    def __init__(self, provider: Provider, device: Device, images: Tensor, batch_size: int) -> None:
        torch.manual_seed(0)
        encoder, decoder = fresh_networks()
        with torch.no_grad():
            for parameter in encoder[-1].parameters():
                parameter.mul_(_POSTERIOR_GAIN)
        model = provider.model(encoder, decoder).to(device.name)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=device.real)
        if provider.compiled and device.real:
            model.compile(dynamic=False)
        self._sums = Sums(images.device, 0.0)
        step = Step(model, Update(model, optimizer), self._sums, autocast=torch.bfloat16)
        graph: Graph = CudaGraph() if device.real else Rerun()
        self._step = GraphedStep(step, batch_size, graph) if provider.captured else step
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        self._batches = images[order.to(images.device)].split(batch_size)
        self._taken = 0

    def step(self) -> None:
        """Train on the next batch."""
        self._step(self._batches[self._taken % len(self._batches)])
        self._taken += 1

    def after_one_step(self) -> Means:
        """The loss after one step on the first batch, on the same batch."""
        for _ in range(2):
            self._sums.reset()
            self._step(self._batches[0])
        return self._sums.means()


def images(count: int, device: Device) -> Tensor:
    """Random images, most of their pixels dark as in MNIST: a first step that goes the right way shows in the loss."""
    generator = torch.Generator(device.name).manual_seed(0)
    return (255 * torch.rand((count, 1, *SIZE), generator=generator, device=device.name) ** 4).to(torch.uint8)
