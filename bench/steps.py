"""Whole training steps against the one that everybody copies, and where their time goes: ``python -m bench.steps``.

The copied step is the one of PyTorch's own VAE example: two heads, a sigmoid, binary cross entropy on probabilities
and the textbook KL, summed. Adam is fused for every provider.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import click
import torch
import torch.nn.functional as T
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import fastvae.functional as F
from bench.timing import Trial

Loss = Callable[[Tensor], Tensor]


class _Networks(NamedTuple):
    """An encoder up to its features, their number, and a decoder to logits."""

    encoder: nn.Module
    features: int
    decoder: nn.Module


def _mlp(latent: int) -> _Networks:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU())
    decoder = nn.Sequential(nn.Linear(latent, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28)))
    return _Networks(encoder, 400, decoder)


def _conv(latent: int) -> _Networks:
    """Four strided convolutions each way on 64 x 64 (Higgins et al. 2017)."""
    widths = (3, 32, 32, 64, 64)
    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        encoder += [nn.Conv2d(narrow, wide, 4, stride=2, padding=1), nn.ReLU()]
        decoder = [nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1), *decoder]
    head = [nn.Linear(latent, 1024), nn.Unflatten(1, (64, 4, 4))]
    return _Networks(nn.Sequential(*encoder, nn.Flatten()), 1024, nn.Sequential(*head, *decoder))


class _Copied(nn.Module):
    """The widely copied model and loss."""

    def __init__(self, networks: Callable[[int], _Networks], latent: int) -> None:
        super().__init__()
        self.encoder, features, self.decoder = networks(latent)
        self.mu, self.logvar = nn.Linear(features, latent), nn.Linear(features, latent)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x)
        mu, logvar = self.mu(features), self.logvar(features)
        std = torch.exp(0.5 * logvar)
        z = mu + torch.randn_like(std) * std
        bce = T.binary_cross_entropy(torch.sigmoid(self.decoder(z)), x, reduction="sum")
        return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


class _Fused(nn.Module):
    """The same networks, one packed head, fastvae's ops."""

    def __init__(self, networks: Callable[[int], _Networks], latent: int) -> None:
        super().__init__()
        self.encoder, features, self.decoder = networks(latent)
        self.moments = nn.Linear(features, 2 * latent)

    def forward(self, x: Tensor) -> Tensor:
        z, kl = F.reparameterize_kl_packed(self.moments(self.encoder(x)), reduction="sum")
        return F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") + kl


_PROVIDERS: Final[dict[str, tuple[type[nn.Module], bool]]] = {
    "fastvae": (_Fused, False),
    "eager": (_Copied, False),
    "compile": (_Copied, True),
    "fastvae_compile": (_Fused, True),
}


class Step(NamedTuple):
    """A training step on a batch of images, `latent` dimensions."""

    name: str
    networks: Callable[[int], _Networks]
    shape: tuple[int, ...]
    latent: int

    @property
    def size(self) -> str:
        """The shape of the batch."""
        return "x".join(map(str, self.shape))

    @property
    def elements(self) -> int:
        """Pixels of a batch."""
        return torch.Size(self.shape).numel()

    def trials(self) -> dict[str, Trial]:
        """One step of each provider, each on a model of its own."""
        x = torch.rand(self.shape, generator=torch.Generator().manual_seed(0))
        return {provider: self._trial(x, *row) for provider, row in _PROVIDERS.items()}

    def _trial(self, x: Tensor, model: type[nn.Module], compiled: bool) -> Trial:
        torch.manual_seed(0)
        network = model(self.networks, self.latent)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        loss_of: Loss = torch.compile(network, fullgraph=True, dynamic=False) if compiled else network

        def step(_: Any) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            optimizer.step()
            return loss

        return Trial(lambda: None, step)


STEPS: Final = (Step("mlp_step", _mlp, (128, 1, 28, 28), 20), Step("conv_step", _conv, (64, 3, 64, 64), 128))

# The first row that matches an event or anything it ran inside. The networks have no arithmetic but that of their
# layers, so what is left of it belongs to the latent and the loss.
_PARTS: Final = (
    ("optimizer", re.compile(r"Optimizer\.|adam")),
    ("matrix products", re.compile(r"linear|addmm|::mm$|convolution", re.IGNORECASE)),
    ("activations", re.compile(r"relu|threshold", re.IGNORECASE)),
    ("latent and loss", re.compile(r"fastvae|Reconstruction|binary_?cross_?entropy|sigmoid|randn|reparam|"
                                   r"(::|: )(exp|mul|add|sub|rsub|pow|sum)(Backward\d)?$", re.IGNORECASE)),
    ("generated code", re.compile(r"Compiled")),
)  # fmt: skip


def part(names: Sequence[str]) -> str:
    """The part of a step that an event belongs to, given its name and those of the events around it."""
    matches = (title for title, pattern in _PARTS if any(pattern.search(name) for name in names))
    return next(matches, "everything else")


def breakdown(trial: Trial, count: int) -> dict[str, float]:
    """Milliseconds a step by part, from a trace of `count` steps."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        for _ in range(count):
            trial.timed(trial.prepare())
    totals: Counter[str] = Counter()
    for event in trace.events():
        names, around = [], event
        while around is not None:
            names.append(around.name)
            around = around.cpu_parent
        totals[part(names)] += event.self_cpu_time_total
    return {title: microseconds / 1e3 / count for title, microseconds in totals.most_common()}


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="Steps to trace.")
def main(threads: int, count: int) -> None:
    """Show where the time of a training step goes."""
    torch.set_num_threads(threads)
    for step in STEPS:
        for provider, trial in step.trials().items():
            for _ in range(3):
                trial.timed(trial.prepare())
            parts = breakdown(trial, count)
            shown = ", ".join(f"{title} {milliseconds:.2f}" for title, milliseconds in parts.items())
            click.echo(f"{step.name} {step.size} {provider}: {sum(parts.values()):.2f} ms: {shown}")


if __name__ == "__main__":
    main()
