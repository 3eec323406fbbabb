"""What a loop trains: a model, what is minimized of it, and the data, whoever describes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from torch import nn

from fastvae.train.data.datasets import Split
from fastvae.train.evaluation.elbo import Samples
from fastvae.train.evaluation.legend import Legend
from fastvae.train.models import build, objectives, start
from fastvae.train.models.build import Model
from fastvae.train.runs.metrics import Epoch, Means
from fastvae.train.settings.config import Config

M = TypeVar("M", bound=nn.Module)


class Sampler(Protocol):
    """Chooses what an epoch is of."""

    def __iter__(self) -> Iterator[Sequence[int]]:
        """The indices of each batch."""

    def __len__(self) -> int:
        """How many batches there are."""


class Parts(NamedTuple):
    """The data of a run.

    Attributes:
        train: what is trained on.
        validation: what the epoch is chosen by whose weights are kept; without any it is the last.
        test: what is measured after each epoch, and chooses nothing.
        sampler: of the training data; None for an order that follows from the seed.
    """

    train: Samples
    validation: Samples | None = None
    test: Samples | None = None
    sampler: Sampler | None = None


class Wording(Protocol):
    """How a run's averages are printed."""

    @property
    def text(self) -> str:
        """What the numbers mean."""

    @property
    def unit(self) -> str:
        """What a sample is called, in the plural."""

    def line(self, means: Means) -> str:
        """Averages."""

    def trained(self, row: Epoch) -> str:
        """Those of the training data in an epoch."""

    def measured(self, row: Epoch) -> str:
        """Those of other data after it; empty without any."""


class Task(Protocol[M]):
    """A model and how it is trained.

    Attributes:
        log_normalizer: nats a sample that the training loss leaves out of -log p(x|z).
        legend: how its averages are printed.
        some_unused: there are parameters without a gradient.
        capturable: a step never waits for a GPU, and may be replayed as a graph.
    """

    log_normalizer: float
    legend: Wording
    some_unused: bool
    capturable: bool

    def create(self) -> M:
        """The model, on any device."""

    def begin(self, model: M) -> None:
        """Prepare a model that has not been trained, on its device."""

    def objective(self, model: M) -> nn.Module:
        """What is minimized: from a batch to an output as `fastvae.train.loop.step.Step` takes it."""


class Configured:
    """The task of a run of the command line.

    Args:
        config: of the run.
        train: what it trains on.
    """

    capturable = True

    def __init__(self, config: Config, train: Split) -> None:
        self.config = config
        self.train = train
        self.log_normalizer = objectives.log_normalizer(config)
        self.legend: Wording = Legend(config, self.log_normalizer)
        self.some_unused = config.objective == "gsnn"

    def create(self) -> Model:
        """A fresh model."""
        return build.create(self.config)

    def begin(self, model: Model) -> None:
        """See `fastvae.train.models.start.begin`."""
        start.begin(model, self.config, self.train)

    def objective(self, model: Model) -> nn.Module:
        """See `fastvae.train.models.objectives.create`."""
        return objectives.create(self.config, model)
