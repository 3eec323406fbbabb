"""One training step, from a batch to the updated weights: it never waits for the device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from fastvae.losses import Schedule
from fastvae.train.runs.metrics import Sums


class Step:
    """Forward, backward, update, a step of the schedules, and what was measured added to `sums`.

    Gradients live within a step, which begins and ends without any: a captured step then has them in its graph's memory
    and one that runs as it is has its own.

    Args:
        model: from a batch to an output with `loss`, a scalar, and `reconstruction_loss` and `kl`, one value an image;
            maybe `kl_terms`, those of a divided KL.
        optimizer: of the model's parameters; one that can be captured where the step is to be.
        sums: where the step adds what it measured.
        bf16: run the forward pass under autocast to bfloat16.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, sums: Sums, *, bf16: bool) -> None:
        self._model = model
        self._optimizer = optimizer
        self._sums = sums
        self._bf16 = bf16
        self._schedules = [module for module in model.modules() if isinstance(module, Schedule)]

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return self._sums.device

    def __call__(self, *batch: Tensor) -> None:
        """Train on a batch: what the model takes, ``[batch, ...]`` each, on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            output = self._model(*batch)
        output.loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        for schedule in self._schedules:
            schedule.step()
        self._sums.add(output.loss.detach(), output.reconstruction_loss, output.kl, getattr(output, "kl_terms", None))

    def state(self) -> Iterator[Tensor]:
        """Every tensor that a step changes. Those of the optimizer come into being in the first step."""
        yield from self._model.parameters()
        yield from self._model.buffers()
        for values in self._optimizer.state.values():
            yield from values.values()
        yield from self._sums.state()
