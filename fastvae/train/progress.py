"""What a person sees while a run trains: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, Self

import click
from tqdm import tqdm

from fastvae.train.metrics import Epoch, Sums

# Reading the sums waits for the device, so the bar reads them this often only.
_REFRESH_SECONDS: Final = 0.5


class Progress:
    """Told of every step and epoch; decides what is shown."""

    def __init__(self, epochs: int, steps: int, done: int) -> None:
        self._epochs = epochs
        self._shown = time.monotonic()
        self._bar = (
            tqdm(total=epochs * steps, initial=done * steps, unit="step", file=sys.stderr, dynamic_ncols=True)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, epoch: int, sums: Sums) -> None:
        """One optimizer step is done."""
        if self._bar is None:
            return
        self._bar.update()
        if time.monotonic() - self._shown > _REFRESH_SECONDS:
            self._bar.set_description(f"epoch {epoch}/{self._epochs}", refresh=False)
            self._bar.set_postfix_str(str(sums.means()))
            self._shown = time.monotonic()

    def epoch(self, row: Epoch) -> None:
        """One epoch is done and saved."""
        if self._bar is not None:
            self._bar.set_description(f"epoch {row.epoch}/{self._epochs}", refresh=False)
            self._bar.set_postfix_str(f"test {row.test}", refresh=False)
            return
        width = len(str(self._epochs))
        click.echo(
            f"epoch {row.epoch:{width}}/{self._epochs}  train ELBO {row.train_elbo:.2f}  test {row.test}"
            f"  {row.seconds:.1f} s"
        )
