"""Metrics for TensorBoard, beside metrics.csv."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch


class Events:
    """Writes a row of metrics as scalars, ``loss/train``, ``loss/test`` and so on, at its epoch.

    Args:
        folder: of the run.
        done: epochs that it has; what was logged of later ones, by a run that was killed, is to be forgotten.
    """

    def __init__(self, folder: RunFolder, done: int) -> None:
        # An optional dependency, imported only by runs that log.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder.events_folder), purge_step=done + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def epoch(self, row: Epoch) -> None:
        """Log an epoch, at once."""
        for name, value in row._asdict().items():
            part, _, quantity = name.partition("_")
            if quantity and value is not None:
                self._writer.add_scalar(f"{quantity}/{part}", value, row.epoch)
        self._writer.flush()
