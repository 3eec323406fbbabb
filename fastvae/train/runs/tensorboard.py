"""Metrics for TensorBoard, beside metrics.csv."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch, Sums, columns

# Reading the sums waits for the device.
EVERY_STEPS: Final = 50


class Events:
    """Writes a row of metrics as scalars, ``loss/train``, ``loss/test`` and so on, at its epoch.

    And ``step/loss``, ``step/lr`` and, of clipped gradients, ``step/grad_norm``, means over the latest steps, at their
    step: as a run of its own, ``steps``, whose axis is another.

    Args:
        folder: of the run.
        done: epochs that it has; what was logged of later ones, by a run that was killed, is to be forgotten.
        steps: of an epoch.
    """

    def __init__(self, folder: RunFolder, done: int, steps: int) -> None:
        # An optional dependency, imported only by runs that log.
        from torch.utils.tensorboard import SummaryWriter

        self._epochs = SummaryWriter(str(folder.events_folder), purge_step=done + 1)
        self._steps = SummaryWriter(str(folder.events_folder / "steps"), purge_step=done * steps + 1)
        self._step = done * steps
        self.begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._epochs.close()
        self._steps.close()

    def begin(self) -> None:
        """The sums of an epoch begin."""
        self._read = (0.0, 0.0, 0.0, 0.0)

    def step(self, sums: Sums, rate: float) -> None:
        """One optimizer step, at such a learning rate, is done or under way."""
        self._step += 1
        if self._step % EVERY_STEPS:
            return
        totals = sums.totals()
        loss, images, norm, clipped = (now - before for now, before in zip(totals, self._read, strict=True))
        self._read = totals
        self._steps.add_scalar("step/loss", loss / images, self._step)
        self._steps.add_scalar("step/lr", rate, self._step)
        if clipped:
            self._steps.add_scalar("step/grad_norm", norm / clipped, self._step)

    def epoch(self, row: Epoch) -> None:
        """Log an epoch, at once."""
        for name in columns([row]):
            part, _, quantity = name.partition("_")
            value = getattr(row, name)
            if quantity:
                self._epochs.add_scalar(f"{quantity}/{part}", value, row.epoch)
        self._epochs.flush()
        self._steps.flush()
