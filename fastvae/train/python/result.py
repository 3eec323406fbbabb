"""What `fastvae.fit` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from fastvae.train.runs.metrics import Epoch, best, columns


@dataclass(frozen=True, repr=False)
class Fit:
    """A finished `fastvae.fit`.

    Attributes:
        model: the one given, with the weights that are kept, in eval mode.
        history: a row for each epoch, by the names of the columns of metrics.csv: ``train_loss``, for a model of the
            library also ``train_elbo``, ``train_reconstruction`` and ``train_kl`` in nats a sample,
            ``validation_loss`` where samples are held out, ``train_grad_norm`` where it is clipped, ``lr`` where it
            changes, and ``seconds`` since the first step.
        best_epoch: whose weights the model has: that of the least validation loss, or the last one.
        stopped: whether early stopping ended it before its last epoch.
        folder: where it is written; None where it is not.

    Printed, it is the epochs, the losses of the one that is kept, and the folder.

    Examples:
        >>> model = fastvae.VAE(torch.nn.Linear(64, 2 * 2), torch.nn.Linear(2, 64))
        >>> found = fastvae.fit(model, torch.rand(32, 64), epochs=2, progress=False)
        >>> found  # doctest: +ELLIPSIS
        Fit(epochs=2, best_epoch=2, train_loss=...)
        >>> found.model is model, found.stopped, found.folder, [row["epoch"] for row in found.history]
        (True, False, None, [1, 2])
    """

    model: nn.Module
    history: list[dict[str, float]]
    best_epoch: int
    stopped: bool
    folder: Path | None

    def __repr__(self) -> str:
        kept = self.history[self.best_epoch - 1]
        values = {"epochs": len(self.history), "best_epoch": self.best_epoch}
        shown = [f"{name}={value}" for name, value in values.items()]
        shown += [f"{name}={value:.6g}" for name, value in kept.items() if name.endswith("_loss")]
        shown += ["stopped=True"] * self.stopped
        shown += [] if self.folder is None else [f"folder={str(self.folder)!r}"]
        return f"Fit({', '.join(shown)})"


def rows(history: Sequence[Epoch]) -> list[dict[str, float]]:
    """What was measured in each epoch."""
    return [{name: getattr(row, name) for name in columns(history)} for row in history]


def result(model: nn.Module, history: Sequence[Epoch], *, stopped: bool, folder: Path | None) -> Fit:
    """What a loop of this history has come to."""
    return Fit(model, rows(history), best(history).epoch, stopped, folder)
