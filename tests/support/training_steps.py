"""Training steps on any device: small models, batches, and everything that a step changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import torch
from torch import Tensor

from fastvae import VAE, networks
from fastvae.train.loop.graph import Graph, GraphedStep
from fastvae.train.loop.optimizer import Average, Update, loss_scaler
from fastvae.train.loop.step import Step
from fastvae.train.runs import random
from fastvae.train.runs.metrics import Sums

COUNT, BATCH = 300, 128

# Of a step: each alone, and all together.
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "accumulate": {"accumulate": 3},
    "clip": {"clip": 2.9},
    "average": {"decay": 0.9},
    "fp16": {"amp": torch.float16},
    "all": {"accumulate": 3, "clip": 2.9, "decay": 0.9, "amp": torch.float16},
    "all in bf16": {"accumulate": 3, "clip": 2.9, "decay": 0.9, "amp": torch.bfloat16},
}


class Run:
    """A model, its optimizer, and steps that are plain or replayed by `graph`."""

    def __init__(
        self,
        device: str,
        graph: Callable[[], Graph] | None = None,
        *,
        model: str = "mlp",
        amp: torch.dtype | None = None,
        lr: float = 1e-2,
        compiled: bool = False,
        accumulate: int = 1,
        clip: float | None = None,
        decay: float | None = None,
    ) -> None:
        torch.manual_seed(3)
        self.device = torch.device(device)
        encoder, decoder, _ = networks.build(model, (1, 8, 8), 4, hidden=(16,))
        self.model = VAE(encoder, decoder, latent_shape=4).to(device)
        if compiled:
            self.model.compile(dynamic=False)
        on_gpu = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr, fused=True, capturable=on_gpu)
        self.sums = Sums(self.device, 0.0)
        pixels = torch.rand((COUNT, 1, 8, 8), generator=torch.Generator().manual_seed(1)) ** 3
        self.images = (255 * pixels).to(torch.uint8).to(device)
        self.scaler = loss_scaler(self.device, enabled=amp == torch.float16)
        self.average = None if decay is None else Average(self.model, copy.deepcopy(self.model), decay)
        self.update = Update(self.model, self.optimizer, clip=clip, scaler=self.scaler, average=self.average)
        self.plain = Step(self.model, self.update, self.sums, autocast=amp, accumulate=accumulate)
        self.step = self.plain if graph is None else GraphedStep(self.plain, BATCH, graph())

    def train(self, epochs: Iterable[int]) -> Run:
        """Two full batches an epoch, and one of 44."""
        for epoch in epochs:
            self.sums.reset()
            for batch in self.batches(epoch):
                self.step(batch)
        return self

    def batches(self, epoch: int) -> Iterator[Tensor]:
        for indices in random.epoch_order(0, epoch, COUNT).to(self.device).split(BATCH):
            yield self.images[indices]

    def learned(self) -> list[Tensor]:
        """The weights and Adam's state."""
        state = [tensor for values in self.optimizer.state.values() for tensor in values.values()]
        return [tensor.detach() for tensor in (*self.model.parameters(), *state)]

    def state(self) -> list[Tensor]:
        """Copies of all that a step changes, the generators included."""
        generators = random.state(self.device).values()
        return [tensor.detach().clone() for tensor in (*self.plain.state(), *generators)]

    def saved(self) -> dict[str, object]:
        """What a checkpoint holds."""
        return {
            "model": {name: tensor.clone() for name, tensor in self.model.state_dict().items()},
            "optimizer": torch.utils._pytree.tree_map_only(Tensor, torch.clone, self.optimizer.state_dict()),
            "scaler": self.scaler.state_dict(),
            "average": [] if self.average is None else [tensor.clone() for tensor in self.average.state()],
            "random": random.state(self.device),
        }

    def resume(self, saved: dict[str, object]) -> Run:
        """Go on from a checkpoint."""
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        if self.average is not None:
            for tensor, kept in zip(self.average.state(), saved["average"], strict=True):
                tensor.detach().copy_(kept)
        random.restore(saved["random"], self.device)
        return self


def same_bits(one: list[Tensor], other: list[Tensor]) -> bool:
    """Every tensor is the same, bit for bit."""
    return len(one) == len(other) and all(map(torch.equal, one, other))
