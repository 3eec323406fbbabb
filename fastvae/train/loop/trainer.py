"""The training loop. A run is a function of its config: killed and resumed, it ends with the same bits."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any, cast

import torch
from torch import nn

from fastvae.train.data.datasets import Data, hold_out
from fastvae.train.errors import UserError
from fastvae.train.evaluation.elbo import elbo, validation_loss
from fastvae.train.evaluation.legend import Legend
from fastvae.train.loop import optimizer, start
from fastvae.train.loop.graph import CudaGraph, GraphedStep
from fastvae.train.loop.progress import Progress
from fastvae.train.loop.step import Step
from fastvae.train.models import build, objectives
from fastvae.train.models.build import Model
from fastvae.train.runs import checkpoint, random, weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch, Means, Sums, best
from fastvae.train.runs.tensorboard import Events
from fastvae.train.settings.config import Config


class Trainer:
    """One run: its model, optimizer and the epochs done so far, restored from the folder where it has a checkpoint.

    Raises:
        UserError: a damaged checkpoint, or one of more epochs than the config has.
    """

    def __init__(self, config: Config, data: Data, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        self.device = torch.device(config.device)
        train, validation = hold_out(data.train, config.validation, binarize=config.binarize)
        self.data = Data(train.to(self.device), data.test.to(self.device))
        self.validation = validation.to(self.device)
        self.log_normalizer = objectives.log_normalizer(config)
        self.legend = Legend(config, self.log_normalizer)
        self.model = build.create(config).to(self.device)
        self.objective = self.create_objective().to(self.device)
        self.optimizer = optimizer.create(self.model, config, self.device)
        at_best = copy.deepcopy(self.model) if len(validation.labels) else None
        self._state = checkpoint.State(self.model, at_best, self.optimizer)
        self.history = checkpoint.load(folder, self._state, self.device)
        if config.epochs < len(self.history):
            raise UserError(
                f"--epochs: got {config.epochs}; takes at least the {len(self.history)} that {folder.path} has trained"
            )
        if not self.history:
            start.begin(self.model, config, self.data.train)
        self._sums = Sums(self.device, self.log_normalizer)
        trained = _compiled(self.objective, self.device) if config.compile else self.objective
        step = Step(trained, self.optimizer, self._sums, bf16=config.amp == "bf16")
        self._step: Step | GraphedStep = step
        if self.device.type == "cuda":
            self._step = GraphedStep(step, config.batch_size, CudaGraph())

    @property
    def trained(self) -> Model:
        """The model with the weights that the run keeps: of its best epoch, see `fastvae.train.runs.metrics.best`."""
        return self.model if self._state.best is None else cast(Model, self._state.best)

    def create_objective(self) -> nn.Module:
        """What is minimized."""
        return objectives.create(self.config, self.model)

    def fit(self) -> None:
        """Train to the last epoch, saving everything after each.

        Raises:
            UserError: the loss is no longer finite.
        """
        count, done = len(self.data.train.labels), len(self.history)
        if done == self.config.epochs:
            # A run killed in its last save has a checkpoint newer than the other files.
            self._write_results()
        steps = -(-count // self.config.batch_size)
        events = Events(self.folder, done) if self.config.tensorboard else None
        with (
            Progress(self.config.epochs, steps, done, self.legend) as progress,
            events or nullcontext(),
            _reproducible(),
        ):
            for epoch in range(done + 1, self.config.epochs + 1):
                begun = time.perf_counter()
                progress.begin(epoch)
                train = self._epoch(epoch, progress)
                if not math.isfinite(train.loss):
                    raise UserError(f"training diverged: the loss of epoch {epoch} is {train.loss}; try a smaller --lr")
                seconds = time.perf_counter() - begun
                total = seconds + (self.history[-1].seconds if self.history else 0.0)
                test = elbo(self.objective, self.data.test, self.config.seed, self.log_normalizer)
                self.history.append(Epoch.of(epoch, train, test, round(total, 3), self._validation_loss()))
                if self._state.best is not None and best(self.history) is self.history[-1]:
                    self._state.best.load_state_dict(self.model.state_dict())
                self.save()
                progress.epoch(self.history[-1], count / seconds)
                if events is not None:
                    events.epoch(self.history[-1])

    def _epoch(self, epoch: int, progress: Progress) -> Means:
        order = random.epoch_order(self.config.seed, epoch, len(self.data.train.labels))
        optimizer.set_learning_rate(self.optimizer, optimizer.learning_rate(self.config, epoch))
        self.objective.train()
        self._sums.reset()
        # Closed whatever happens: a thread may be reading ahead.
        with closing(self.data.train.in_order(order, self.config.batch_size)) as batches:
            for images, labels in batches:
                self._step(images, labels)
                progress.step(len(labels), self._sums)
        return self._sums.means()

    def _validation_loss(self) -> float | None:
        if self._state.best is None:
            return None
        return validation_loss(self.objective, self.validation, self.config.seed)

    def save(self) -> None:
        """Write the checkpoint first: the other files follow from it when the run is killed between them."""
        checkpoint.save(self.folder, self._state, self.device, self.history)
        self._write_results()

    def _write_results(self) -> None:
        """What follows from the checkpoint: the weights, and the metrics as a table."""
        weights.save(self.trained, self.folder.weights_file)
        if self.config.keep_weights:
            weights.save(self.model, self.folder.epoch_weights_file(len(self.history)))
        self.folder.write_metrics(self.history)


def _compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """One compilation for the full batch and one for the last: which kernels run must not depend on what ran before.

    Nor on timings, by which inductor would choose on a GPU how its sums are split.
    """
    options: dict[str, Any] | None = {"deterministic": True} if device.type == "cuda" else None
    return cast(nn.Module, torch.compile(network, dynamic=False, options=options))


@contextmanager
def _reproducible() -> Iterator[None]:
    """cuDNN's convolutions with one order of summation; without this, some of their gradients use atomics."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
