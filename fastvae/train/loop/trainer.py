"""The training loop. A run is a function of its config: killed and resumed, it ends with the same bits."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from fastvae.train.data.datasets import Data, hold_out
from fastvae.train.errors import UserError
from fastvae.train.evaluation.elbo import elbo, validation_loss
from fastvae.train.evaluation.legend import Legend
from fastvae.train.loop import optimizer
from fastvae.train.loop.graph import CudaGraph, GraphedStep
from fastvae.train.loop.interrupt import Interrupt
from fastvae.train.loop.optimizer import Average, LearningRate, Update
from fastvae.train.loop.progress import Progress
from fastvae.train.loop.step import Step
from fastvae.train.models import build, objectives, start
from fastvae.train.models.build import Model
from fastvae.train.processes import group, parallel
from fastvae.train.runs import checkpoint, random, weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch, Means, Sums, best, stopped
from fastvae.train.runs.tensorboard import Events
from fastvae.train.settings.config import Config

_AUTOCAST: Final = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """One run: its model, optimizer and the epochs done so far, restored from the folder where it has a checkpoint.

    Several processes, see `fastvae.train.processes.group`, have a trainer each; what they write, the first one does.

    Args:
        config, data, folder: of the run.
        shard_parameters: leave each process its part of the parameters.

    Raises:
        UserError: a damaged checkpoint, one of more epochs than the config has, or a warm-up that leaves none.
    """

    def __init__(self, config: Config, data: Data, folder: RunFolder, *, shard_parameters: bool = False) -> None:
        self.config = config
        self.folder = folder
        self.device = group.started().device(config.device)
        train, validation = hold_out(data.train, config.validation, binarize=config.binarize)
        self.data = Data(train.to(self.device), data.test.to(self.device))
        self.validation = validation.to(self.device)
        self.log_normalizer = objectives.log_normalizer(config)
        self.legend = Legend(config, self.log_normalizer)
        self.model = build.create(config).to(self.device)
        if not folder.checkpoint_file.exists():
            start.begin(self.model, config, self.data.train)
        averaged = None if config.ema is None else copy.deepcopy(self.model)
        at_best = copy.deepcopy(self.model) if len(validation.labels) else None
        if shard_parameters:
            for sharded in (self.model, averaged, at_best):
                if sharded is not None:
                    parallel.shard_parameters(sharded, self.device)
        self.optimizer = optimizer.create(self.model, config, self.device)
        self._steps = -(-len(train.labels) // config.batch_size)
        self._rate = LearningRate(self.optimizer, config, self._steps)
        average = None if averaged is None or config.ema is None else Average(self.model, averaged, config.ema)
        scaler = optimizer.loss_scaler(self.device, enabled=config.amp == "fp16")
        self._state = checkpoint.State(self.model, averaged, at_best, self.optimizer, scaler)
        self.history = checkpoint.load(folder, self._state, self.device)
        if config.epochs < len(self.history):
            raise UserError(
                f"--epochs: got {config.epochs}; takes at least the {len(self.history)} that {folder.path} has trained"
            )
        self.objective = self.create_objective(self.model).to(self.device)
        self._evaluated = self.objective if averaged is None else self.create_objective(averaged).to(self.device)
        self._sums = Sums(self.device, self.log_normalizer)
        trained = _compiled(self.objective, self.device) if config.compile else self.objective
        if group.count() > 1 and not shard_parameters:
            trained = parallel.replicated(trained, self.device, some_unused=config.objective == "gsnn")
        update = Update(self.objective, self.optimizer, clip=config.clip_grad, scaler=scaler, average=average)
        step = Step(trained, update, self._sums, autocast=_AUTOCAST[config.amp], accumulate=config.accumulate)
        self._step: Step | GraphedStep = step
        # What processes say to each other is not captured.
        if self.device.type == "cuda" and group.count() == 1:
            self._step = GraphedStep(step, config.batch_size, CudaGraph())

    @property
    def trained(self) -> Model:
        """The model with the weights that the run keeps: of its best epoch, see `fastvae.train.runs.metrics.best`.

        Of sharded ones it is a whole copy, from their file.
        """
        if not parallel.is_sharded(self.model):
            return cast(Model, self._state.evaluated if self._state.best is None else self._state.best)
        whole = build.create(self.config)
        weights.load(whole, self.folder)
        return whole.to(self.device)

    @property
    def stopped(self) -> bool:
        """The run ends before its last epoch: too long without a better validation loss."""
        return len(self.history) < self.config.epochs and stopped(self.history, self.config.early_stopping)

    def create_objective(self, model: Model) -> nn.Module:
        """What is minimized, of the model or its average."""
        return objectives.create(self.config, model)

    def fit(self) -> None:
        """Train to the last epoch, or until the validation loss is done with, saving everything after each.

        Raises:
            UserError: the loss is no longer finite.
            KeyboardInterrupt: Ctrl-C, after a step. A run resumed from here trains its epoch from the beginning.
        """
        count, done = len(self.data.train.labels), len(self.history)
        if done == self.config.epochs or self.stopped:
            # A run killed in its last save has a checkpoint newer than the other files.
            self._write_results()
        logs = self.config.tensorboard and group.rank() == 0
        events = Events(self.folder, done, self._steps) if logs else None
        with (
            Interrupt() as interrupt,
            Progress(self.config.epochs, self._steps, done, self.legend) as progress,
            events or nullcontext(),
            _reproducible(),
        ):
            for epoch in range(done + 1, self.config.epochs + 1):
                if self.stopped:
                    break
                begun = time.perf_counter()
                progress.begin(epoch)
                train = self._epoch(epoch, progress, events, interrupt)
                if not math.isfinite(train.loss):
                    raise UserError(f"training diverged: the loss of epoch {epoch} is {train.loss}; try a smaller --lr")
                seconds = time.perf_counter() - begun
                total = seconds + (self.history[-1].seconds if self.history else 0.0)
                test = elbo(self._evaluated, self.data.test, self.config.seed, self.log_normalizer)
                row = Epoch.of(epoch, train, test, round(total, 3), self._validation_loss(), self._logged_rate())
                self.history.append(row)
                if self._state.best is not None and best(self.history) is row:
                    self._state.best.load_state_dict(self._state.evaluated.state_dict())
                self.save()
                progress.epoch(row, count / seconds)
                if events is not None:
                    events.epoch(row)

    def _epoch(self, epoch: int, progress: Progress, events: Events | None, interrupt: Interrupt) -> Means:
        order = random.epoch_order(self.config.seed, epoch, len(self.data.train.labels))
        self.objective.train()
        self._sums.reset()
        if events is not None:
            events.begin()
        whole = order.split(self.config.batch_size)
        # Closed whatever happens: a thread may be reading ahead.
        with closing(self.data.train.at([self._share(indices) for indices in whole])) as batches:
            steps = enumerate(zip(whole, batches, strict=True), (epoch - 1) * self._steps)
            for step, (indices, (images, labels)) in steps:
                rate = self._rate.set(step)
                self._step(images, labels, total=len(indices))
                progress.step(len(indices), self._sums)
                if events is not None:
                    events.step(self._sums, rate)
                interrupt.check()
        self._sums.add_up()
        return self._sums.means()

    def _share(self, indices: Tensor) -> Tensor:
        """Of the indices of a batch those that this process computes."""
        return torch.cat([indices[rows] for rows in group.rows(len(indices), self.config.accumulate)])

    def _logged_rate(self) -> float | None:
        """That of the latest step, in a run in which it changes."""
        changes = self.config.warmup or self.config.lr_schedule != "constant"
        return self._rate.last if changes else None

    def _validation_loss(self) -> float | None:
        if self._state.best is None:
            return None
        return validation_loss(self._evaluated, self.validation, self.config.seed)

    def save(self) -> None:
        """Write the checkpoint first: the other files follow from it when the run is killed between them."""
        checkpoint.save(self.folder, self._state, self.device, self.history)
        self._write_results()

    def _write_results(self) -> None:
        """What follows from the checkpoint: the weights, and the metrics as a table."""
        kept = self._state.evaluated if self._state.best is None else self._state.best
        weights.save(kept, self.folder.weights_file)
        if self.config.keep_weights:
            weights.save(self._state.evaluated, self.folder.epoch_weights_file(len(self.history)))
        if group.rank() == 0:
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
