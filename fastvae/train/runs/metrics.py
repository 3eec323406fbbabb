"""What is measured: sums on the device, read now and then, and one row per epoch, kept in ``metrics.csv``."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import torch
from torch import Tensor

from fastvae.losses import KLTerms
from fastvae.train.errors import UserError
from fastvae.train.processes import group
from fastvae.train.runs import atomic


class Means(NamedTuple):
    """Averages over images, in nats per image; NaN is what is not measured.

    Attributes:
        loss: what the run minimizes, as it minimizes it: with its beta, without normalizers.
        elbo: -(reconstruction + kl), whatever the run's objective.
        reconstruction: -log p(x|z), with the normalizer, a constant that the training loss leaves out.
        kl: KL(q(z|x) || p(z)).
        kl_terms: its three parts, where a run divides it.
        grad_norm: the mean over steps, not images, of the gradient's norm before it is clipped, where it is; without
            the steps whose gradient was not finite.
    """

    loss: float
    elbo: float
    reconstruction: float
    kl: float
    kl_terms: tuple[float, ...] | None = None
    grad_norm: float | None = None

    def as_dict(self) -> dict[str, float]:
        """What there is by its name, the parts of the KL beside it."""
        *values, terms, norm = self
        named = dict(zip(self._fields, values, strict=False)) | dict(zip(KLTerms._fields, terms or (), strict=False))
        return named if norm is None else named | {"grad_norm": norm}


UNMEASURED: Final = Means(math.nan, math.nan, math.nan, math.nan)


class Epoch(NamedTuple):
    """A row of metrics.csv: nats per image, and the seconds that training took since the run began.

    What a run does not measure, such as the parts of a loss that has none, is NaN in every row, or None.

    Attributes:
        validation_loss: of the images held out of training, by the weights that beta and capacity have after their
            warm-up, so that epochs compare; None where a run holds none out.
        train_mutual_information, train_total_correlation, train_dimension_kl: the parts of the KL, as those of the test
            images; None where a run does not divide it.
        train_grad_norm: the mean over steps of the gradient's norm before it is clipped; None where it is not.
        lr: the learning rate of the epoch's last step; None where it is the same in every one.
    """

    epoch: int
    train_loss: float
    train_elbo: float
    train_reconstruction: float
    train_kl: float
    test_loss: float
    test_elbo: float
    test_reconstruction: float
    test_kl: float
    seconds: float
    validation_loss: float | None = None
    train_mutual_information: float | None = None
    train_total_correlation: float | None = None
    train_dimension_kl: float | None = None
    test_mutual_information: float | None = None
    test_total_correlation: float | None = None
    test_dimension_kl: float | None = None
    train_grad_norm: float | None = None
    lr: float | None = None

    @classmethod
    def of(
        cls, epoch: int, train: Means, test: Means, seconds: float, validation_loss: float | None, lr: float | None
    ) -> Self:
        """The row of an epoch."""
        parts = {
            f"{part}_{name}": value
            for part, means in (("train", train), ("test", test))
            for name, value in means.as_dict().items()
        }
        return cls(epoch=epoch, seconds=seconds, validation_loss=validation_loss, lr=lr, **parts)

    @property
    def test(self) -> Means:
        """The averages over the test images, without the parts of the KL."""
        return Means(self.test_loss, self.test_elbo, self.test_reconstruction, self.test_kl)


# The columns that every run of the command line has, and those that every `fastvae.fit` has; others depend on settings.
_OF_RUNS: Final = tuple(name for name in Epoch._fields if name not in Epoch._field_defaults)
OF_FITS: Final = ("epoch", "train_loss", "seconds")


def best(history: Sequence[Epoch]) -> Epoch:
    """The epoch whose weights a run keeps: the first of the least validation loss, or the last without any."""
    if history[-1].validation_loss is None:
        return history[-1]
    return min(history, key=_comparable)


def stopped(history: Sequence[Epoch], patience: int | None) -> bool:
    """Whether `patience` epochs or more have passed since the best one."""
    return patience is not None and bool(history) and len(history) - best(history).epoch >= patience


def _comparable(row: Epoch) -> float:
    loss = row.validation_loss
    return math.inf if loss is None or math.isnan(loss) else loss


class Sums:
    """Running sums of the loss and its parts, on the device: a step adds to them and never waits for them."""

    def __init__(self, device: torch.device, log_normalizer: float) -> None:
        # float64: a sum over 60,000 images keeps the digits that are printed.
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)
        self._count = torch.zeros((), dtype=torch.int64, device=device)
        # From the first batch on, where the KL is divided, and where gradients are clipped: sum and number of norms.
        self._terms: Tensor | None = None
        self._norms: Tensor | None = None
        self._log_normalizer = log_normalizer

    @property
    def device(self) -> torch.device:
        """Where the sums are."""
        return self._sums.device

    def state(self) -> tuple[Tensor, ...]:
        """The tensors that `add` changes, the same ones from the first batch on."""
        return tuple(kept for kept in (self._sums, self._count, self._terms, self._norms) if kept is not None)

    def reset(self) -> None:
        """Begin again at zero."""
        for tensor in self.state():
            tensor.zero_()

    def add(self, loss: Tensor, reconstruction: Tensor, kl: Tensor, kl_terms: KLTerms | None = None) -> None:
        """Add a batch: its mean loss, per-image values, each ``[batch]``, and the means of a divided KL's parts."""
        self._sums += torch.stack((loss * len(kl), reconstruction.sum(), kl.sum()))
        self._count += len(kl)
        if kl_terms is not None:
            terms = torch.stack(kl_terms).double() * len(kl)
            self._terms = terms if self._terms is None else self._terms.add_(terms)

    def add_up(self) -> None:
        """Those of all processes, in each of them."""
        group.add_up(*self.state())

    def add_norm(self, norm: Tensor) -> None:
        """Add the norm of a step's gradient, 0-dim; one that is not finite, of a step that is skipped, is left out."""
        counted = torch.stack((norm.nan_to_num(0.0, 0.0, 0.0), norm.isfinite())).double()
        self._norms = counted if self._norms is None else self._norms.add_(counted)

    def totals(self) -> tuple[float, float, float, float]:
        """Read the sums of losses and of images, of norms and of their number, which waits for the device."""
        norms = self._sums.new_zeros(2) if self._norms is None else self._norms
        loss, images, norm, steps = torch.cat((self._sums[:1], self._count[None], norms)).tolist()
        return loss, images, norm, steps

    def means(self) -> Means:
        """Read the averages so far, which waits for the device."""
        loss, reconstruction, kl = (self._sums / self._count).tolist()
        reconstruction += self._log_normalizer
        terms = None if self._terms is None else tuple((self._terms / self._count).tolist())
        norm = None if self._norms is None else (self._norms[0] / self._norms[1]).item()
        return Means(loss, -(reconstruction + kl), reconstruction, kl, terms, norm)


def write(file: Path, history: Sequence[Epoch]) -> None:
    """Write `file`: the whole of it, so that no row is there twice after a resume."""
    names = columns(history)
    atomic.write_csv(file, names, ([getattr(row, name) for name in names] for row in history))


def columns(history: Sequence[Epoch]) -> list[str]:
    """The names of what a run measures."""

    def measured(name: str) -> bool:
        values = [getattr(row, name) for row in history]
        return not all(value is None or math.isnan(value) for value in values)

    return [name for name in Epoch._fields if measured(name)]


def read(file: Path, required: Sequence[str] = _OF_RUNS) -> list[Epoch]:
    """The rows of `file`, which has the columns `required` and any others.

    Raises:
        UserError: it is damaged, and where.
        OSError: it cannot be read.
    """
    try:
        with file.open(encoding="utf-8", newline="") as text:
            header, *rows = list(csv.reader(text)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: damaged, no table of metrics ({error})") from error
    try:
        _check_columns(header, required)
        if not rows:
            raise ValueError("got no epochs; takes a row for each")
        return [_epoch(number, header, row) for number, row in enumerate(rows, 2)]
    except ValueError as error:
        raise UserError(f"{file}: {error}") from error


def _check_columns(header: Sequence[str], required: Sequence[str]) -> None:
    for name in required:
        if name not in header:
            raise ValueError(f"line 1: got no column {name}; takes {', '.join(Epoch._fields)}")
    for name in header:
        if name not in Epoch._fields:
            raise ValueError(f"line 1: got a column {name!r}; takes {', '.join(Epoch._fields)}")


def _epoch(line: int, header: Sequence[str], row: Sequence[str]) -> Epoch:
    if len(row) != len(header):
        raise ValueError(f"line {line}: got {len(row)} values; takes {len(header)}")
    found = dict(zip(header, row, strict=True))
    values: dict[str, Any] = {name: _number(line, name, text) for name, text in found.items()}
    return Epoch(**dict.fromkeys(_OF_RUNS, math.nan) | values)


def _number(line: int, column: str, text: str) -> float:
    """A cell: a whole number in the column of epochs."""
    try:
        return int(text) if column == "epoch" else float(text)
    except ValueError:
        words = "a whole number" if column == "epoch" else "a number"
        raise ValueError(f"line {line}: {column}: got {text!r}; takes {words}") from None
