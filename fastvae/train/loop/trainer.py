"""The training loop. A run is a function of its config: killed and resumed, it ends with the same bits."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from typing import ClassVar, Final, Generic, cast

import torch
from torch import Tensor

from fastvae.train.data.datasets import Data, hold_out
from fastvae.train.errors import UserError
from fastvae.train.evaluation.elbo import elbo, validation_loss
from fastvae.train.loop import optimizer
from fastvae.train.loop.graph import CudaGraph, GraphedStep
from fastvae.train.loop.interrupt import Interrupt
from fastvae.train.loop.optimizer import Average, LearningRate, Update
from fastvae.train.loop.progress import Progress
from fastvae.train.loop.step import Step, compiled, reproducible
from fastvae.train.loop.task import Configured, M, Parts, Task
from fastvae.train.models.build import Model
from fastvae.train.processes import group, parallel
from fastvae.train.runs import checkpoint, random, weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import UNMEASURED, Epoch, Means, Sums, best, stopped
from fastvae.train.runs.tensorboard import Events
from fastvae.train.settings.config import Config
from fastvae.train.settings.training import Training

_AUTOCAST: Final = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Loop(Generic[M]):
    """A model in training, with its optimizer and the epochs done so far, those of its folder where that has some.

    Several processes, see `fastvae.train.processes.group`, have a loop each; what they write, the first one does.

    Args:
        task: what is trained.
        settings: how.
        data: on the device.
        folder: where everything is written; None writes nothing.
        shard_parameters: leave each process its part of the parameters.

    Raises:
        UserError: a damaged checkpoint, one of more epochs than the settings have, or a warm-up that leaves none.
    """

    def __init__(
        self,
        task: Task[M],
        settings: Training,
        data: Parts,
        folder: RunFolder | None,
        *,
        shard_parameters: bool = False,
    ) -> None:
        self._task = task
        self._settings = settings
        self._parts = data
        self._folder = folder
        self.device = group.started().device(settings.device)
        self.log_normalizer = task.log_normalizer
        self.legend = task.legend
        self.model = task.create().to(self.device)
        if folder is None or not folder.checkpoint_file.exists():
            task.begin(self.model)
        averaged = None if settings.ema is None else copy.deepcopy(self.model)
        at_best = None if data.validation is None else copy.deepcopy(self.model)
        if shard_parameters:
            for sharded in (self.model, averaged, at_best):
                if sharded is not None:
                    parallel.shard_parameters(sharded, self.device)
        self.optimizer = optimizer.create(self.model, settings, self.device)
        whole = -(-data.train.size // settings.batch_size)
        self._steps = whole if data.sampler is None else len(data.sampler)
        self._rate = LearningRate(self.optimizer, settings, self._steps)
        average = None if averaged is None or settings.ema is None else Average(self.model, averaged, settings.ema)
        scaler = optimizer.loss_scaler(self.device, enabled=settings.amp == "fp16")
        self._state = checkpoint.State(self.model, averaged, at_best, self.optimizer, scaler)
        self.history = [] if folder is None else checkpoint.load(folder, self._state, self.device, settings)
        if folder is not None and settings.epochs < len(self.history):
            raise UserError(
                f"--epochs: got {settings.epochs}; takes at least the {len(self.history)} that {folder.path} has "
                "trained"
            )
        self.objective = task.objective(self.model).to(self.device)
        self._evaluated = self.objective if averaged is None else task.objective(averaged).to(self.device)
        self._sums = Sums(self.device, self.log_normalizer)
        trained = compiled(self.objective, self.device) if settings.compile else self.objective
        if group.count() > 1 and not shard_parameters:
            trained = parallel.replicated(trained, self.device, some_unused=task.some_unused)
        update = Update(self.objective, self.optimizer, clip=settings.clip_grad, scaler=scaler, average=average)
        step = Step(trained, update, self._sums, autocast=_AUTOCAST[settings.amp], accumulate=settings.accumulate)
        self._step: Step | GraphedStep = step
        # What processes say to each other is not captured.
        if self.device.type == "cuda" and group.count() == 1 and task.capturable:
            self._step = GraphedStep(step, settings.batch_size, CudaGraph())

    @property
    def trained(self) -> M:
        """The model with the weights that the run keeps: of its best epoch, see `fastvae.train.runs.metrics.best`.

        Of sharded ones it is a whole copy, from their file.
        """
        if not parallel.is_sharded(self.model):
            return cast(M, self._state.evaluated if self._state.best is None else self._state.best)
        assert self._folder is not None
        whole = self._task.create()
        weights.load(whole, self._folder)
        return whole.to(self.device)

    @property
    def stopped(self) -> bool:
        """The run ends before its last epoch: too long without a better validation loss."""
        return len(self.history) < self._settings.epochs and stopped(self.history, self._settings.early_stopping)

    def fit(self, *, shown: bool = True) -> None:
        """Train to the last epoch, or until the validation loss is done with, saving everything after each.

        Args:
            shown: to a person, see `fastvae.train.loop.progress.Progress`.

        Raises:
            UserError: the loss is no longer finite.
            KeyboardInterrupt: Ctrl-C, after a step. A run resumed from here trains its epoch from the beginning.
        """
        done = len(self.history)
        if done:
            # A run killed in its last save has a checkpoint newer than the other files.
            self._write_results()
        logs = self._settings.tensorboard and group.rank() == 0
        events = Events(self._folder, done, self._steps) if logs and self._folder is not None else None
        with (
            Interrupt() as interrupt,
            Progress(self._settings.epochs, self._steps, done, self.legend, shown=shown) as progress,
            events or nullcontext(),
            reproducible(),
        ):
            for epoch in range(done + 1, self._settings.epochs + 1):
                if self.stopped:
                    break
                begun = time.perf_counter()
                progress.begin(epoch)
                train = self._epoch(epoch, progress, events, interrupt)
                if not math.isfinite(train.loss):
                    raise UserError(f"training diverged: the loss of epoch {epoch} is {train.loss}; try a smaller --lr")
                seconds = time.perf_counter() - begun
                total = seconds + (self.history[-1].seconds if self.history else 0.0)
                row = Epoch.of(
                    epoch, train, self._tested(), round(total, 3), self._validation_loss(), self._logged_rate()
                )
                self.history.append(row)
                if self._state.best is not None and best(self.history) is row:
                    self._state.best.load_state_dict(self._state.evaluated.state_dict())
                self.save()
                progress.epoch(row, self._sums.totals()[1] / seconds)
                if events is not None:
                    events.epoch(row)

    def _epoch(self, epoch: int, progress: Progress, events: Events | None, interrupt: Interrupt) -> Means:
        whole = self._batches(epoch)
        self.objective.train()
        self._sums.reset()
        if events is not None:
            events.begin()
        # Closed whatever happens: a thread may be reading ahead.
        with closing(self._parts.train.at([self._share(indices) for indices in whole])) as batches:
            for step, (indices, batch) in enumerate(zip(whole, batches, strict=True), (epoch - 1) * self._steps):
                rate = self._rate.set(step)
                self._step(*batch, total=len(indices))
                progress.step(len(indices), self._sums)
                if events is not None:
                    events.step(self._sums, rate)
                interrupt.check()
        self._sums.add_up()
        return self._sums.means()

    def _batches(self, epoch: int) -> Sequence[Tensor]:
        """The indices of each batch."""
        if self._parts.sampler is not None:
            # Samplers draw; were their generators not alike everywhere, processes would be at different batches.
            return [torch.as_tensor(indices) for indices in group.of_first(list(self._parts.sampler))]
        order = random.epoch_order(self._settings.seed, epoch, self._parts.train.size)
        batches: Sequence[Tensor] = order.split(self._settings.batch_size)
        return batches

    def _share(self, indices: Tensor) -> Tensor:
        """Of the indices of a batch those that this process computes."""
        return torch.cat([indices[rows] for rows in group.rows(len(indices), self._settings.accumulate)])

    def _logged_rate(self) -> float | None:
        """That of the latest step, in a run in which it changes."""
        changes = self._settings.warmup or self._settings.lr_schedule != "constant"
        return self._rate.last if changes else None

    def _tested(self) -> Means:
        test, seed = self._parts.test, self._settings.seed
        return UNMEASURED if test is None else elbo(self._evaluated, test, seed, self.log_normalizer)

    def _validation_loss(self) -> float | None:
        if self._parts.validation is None:
            return None
        return validation_loss(self._evaluated, self._parts.validation, self._settings.seed)

    def save(self) -> None:
        """Write the checkpoint first: the other files follow from it when the run is killed between them."""
        if self._folder is not None:
            checkpoint.save(self._folder, self._state, self.device, self.history, self._settings)
        self._write_results()

    def _write_results(self) -> None:
        """What follows from the checkpoint: the weights, and the metrics as a table."""
        if self._folder is None:
            return
        kept = self._state.evaluated if self._state.best is None else self._state.best
        weights.save(kept, self._folder.weights_file)
        if self._settings.keep_weights:
            weights.save(self._state.evaluated, self._folder.epoch_weights_file(len(self.history)))
        if group.rank() == 0:
            self._folder.write_metrics(self.history)


class Trainer(Loop[Model]):
    """The loop of a run of the command line.

    Args:
        config, data, folder: of the run.
        shard_parameters: see `Loop`.

    Raises:
        UserError: see `Loop`, or a validation share that leaves nothing to train on.
    """

    kind: ClassVar[type[Configured]] = Configured

    def __init__(self, config: Config, data: Data, folder: RunFolder, *, shard_parameters: bool = False) -> None:
        device = group.started().device(config.device)
        train, validation = hold_out(data.train, config.validation, binarize=config.binarize)
        self.config = config
        self.folder = folder
        self.data = Data(train.to(device), data.test.to(device))
        self.validation = validation.to(device)
        parts = Parts(self.data.train, self.validation if self.validation.size else None, self.data.test)
        task = self.kind(config, self.data.train)
        super().__init__(task, config, parts, folder, shard_parameters=shard_parameters)
