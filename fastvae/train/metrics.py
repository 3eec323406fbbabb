"""What is measured: sums on the device, read now and then, and one row per epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Means(NamedTuple):
    """Averages over images, in nats per image.

    Attributes:
        loss: what the run minimizes, as it minimizes it: with its beta, without normalizers.
        elbo: -(reconstruction + kl), whatever the run's objective.
        reconstruction: -log p(x|z), with the normalizer that the training objective leaves out.
        kl: KL(q(z|x) || p(z)).
    """

    loss: float
    elbo: float
    reconstruction: float
    kl: float


class Epoch(NamedTuple):
    """A row of metrics.csv: nats per image, and the seconds that training took since the run began.

    Attributes:
        validation_loss: of the images held out of training, by the weights that beta and capacity have after their
            warm-up, so that epochs compare; None where a run holds none out.
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

    @property
    def test(self) -> Means:
        """The averages over the test images."""
        return Means(self.test_loss, self.test_elbo, self.test_reconstruction, self.test_kl)


def best(history: Sequence[Epoch]) -> Epoch:
    """The epoch whose weights a run keeps: the first of the least validation loss, or the last without any."""
    if history[-1].validation_loss is None:
        return history[-1]
    return min(history, key=_comparable)


def _comparable(row: Epoch) -> float:
    loss = row.validation_loss
    return math.inf if loss is None or math.isnan(loss) else loss


class Sums:
    """Running sums of the loss and its parts, on the device: a step adds to them and never waits for them."""

    def __init__(self, device: torch.device, log_normalizer: float) -> None:
        # float64: a sum over 60,000 images keeps the digits that are printed.
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)
        self._count = torch.zeros((), dtype=torch.int64, device=device)
        self._log_normalizer = log_normalizer

    def state(self) -> tuple[Tensor, ...]:
        """The tensors that `add` changes, always the same ones."""
        return self._sums, self._count

    def reset(self) -> None:
        """Begin again at zero."""
        for tensor in self.state():
            tensor.zero_()

    def add(self, loss: Tensor, reconstruction: Tensor, kl: Tensor) -> None:
        """Add a batch: its mean loss, and per-image values, each ``[batch]``."""
        self._sums += torch.stack((loss * len(kl), reconstruction.sum(), kl.sum()))
        self._count += len(kl)

    def means(self) -> Means:
        """Read the averages so far, which waits for the device."""
        loss, reconstruction, kl = (self._sums / self._count).tolist()
        reconstruction += self._log_normalizer
        return Means(loss, -(reconstruction + kl), reconstruction, kl)
