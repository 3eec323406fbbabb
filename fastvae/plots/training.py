"""The curves of a run."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from fastvae.plots import figures
from fastvae.plots.rows import rows_of


def losses(run: Any, *, title: str = "Losses") -> Figure:
    """The loss, and of a model of the library its reconstruction and KL, per epoch: nats a sample.

        fastvae.plots.losses(fastvae.fit(vae, images, epochs=10))
        fastvae.plots.losses("runs/digits-20250101-120000")

    Args:
        run: a folder of ``fastvae train`` or `fastvae.fit`, its metrics.csv, what `fastvae.fit` returns, or a row for
            each epoch: mappings or named tuples with the names of metrics.csv, ``train_loss`` at least.
        title: of the figure.

    Returns:
        A pair of axes for each quantity: train, test and validation where they were measured, and a dotted line at
        the epoch whose weights are kept where validation chose it.

    Raises:
        TypeError: `run` is none of these.
        ValueError: it has no epochs or no ``train_loss``, or is no table of numbers.
        OSError: a file that cannot be read.
    """
    return figures.losses(rows_of(run), title)
