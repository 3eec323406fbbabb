"""What a person sees while a run trains: a bar on a terminal or in a notebook, a line per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

import click
from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

from fastvae.train.loop.task import Wording
from fastvae.train.processes import group
from fastvae.train.runs.metrics import Epoch, Sums

# Reading the sums waits for the device, so the bar reads them this often only.
_REFRESH_SECONDS: Final = 0.5


class Progress:
    """Told of every step and epoch; decides what is shown. Of several processes the first one shows its part.

    Args:
        epochs, steps: of the run, and of each of its epochs.
        done: epochs that it has.
        legend: how its averages are printed.
        shown: False shows nothing.
    """

    def __init__(self, epochs: int, steps: int, done: int, legend: Wording, *, shown: bool = True) -> None:
        self._epochs = epochs
        self._legend = legend
        self._epoch = done
        self._images = 0
        self._begun = self._shown = time.perf_counter()
        self._shown_here = shown and group.rank() == 0
        drawn = self._shown_here and (sys.stderr.isatty() or issubclass(tqdm, tqdm_notebook))
        self._bar = (
            tqdm(total=epochs * steps, initial=done * steps, unit="step", file=sys.stderr, dynamic_ncols=True)
            if drawn
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, epoch: int) -> None:
        """The training of an epoch begins."""
        self._epoch = epoch
        self._images = 0
        self._begun = time.perf_counter()

    def step(self, images: int, sums: Sums) -> None:
        """One optimizer step, on so many images, is done or under way."""
        if self._bar is None:
            return
        self._bar.update()
        self._images += images
        if time.perf_counter() - self._shown > _REFRESH_SECONDS:
            means = sums.means()
            self._shown = time.perf_counter()
            speed = self._speed(self._images / (self._shown - self._begun))
            self._bar.set_description(f"epoch {self._epoch}/{self._epochs}", refresh=False)
            self._bar.set_postfix_str(f"{self._legend.line(means)}, {speed}")

    def epoch(self, row: Epoch, images_per_second: float) -> None:
        """One epoch is done and saved, its training at such a speed."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {row.epoch}/{self._epochs}", refresh=False)
            measured = self._legend.measured(row) or self._legend.trained(row)
            self._bar.set_postfix_str(f"{measured}, {self._speed(images_per_second)}", refresh=False)
            return
        if not self._shown_here:
            return
        width = len(str(self._epochs))
        said = (
            f"epoch {row.epoch:{width}}/{self._epochs}",
            self._legend.trained(row),
            self._legend.measured(row),
            f"{row.seconds:.1f} s",
            self._speed(images_per_second),
        )
        click.echo("  ".join(filter(None, said)))

    def _speed(self, images_per_second: float) -> str:
        return f"{images_per_second:,.0f} {self._legend.unit}/s"
