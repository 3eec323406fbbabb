"""What `fastvae.fit` takes as data, as a loop reads it: tensors, arrays, data sets, loaders."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence, Sized
from typing import Any, Final, Protocol, Self, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from fastvae._describe import describe
from fastvae.train.data.datasets import IN_MEMORY
from fastvae.train.evaluation.elbo import Samples
from fastvae.train.loop.task import Sampler
from fastvae.train.processes import group

_TAKES: Final = "a tensor, an array, a tuple of them, a torch Dataset or a DataLoader"
# Of a loader, beside what it reads and in which order.
_OPTIONS: Final = (
    "collate_fn", "num_workers", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context", "prefetch_factor"
)  # fmt: skip


class Source(Samples, Protocol):
    """Samples of which parts can be held out.

    Attributes:
        sampler: what chooses the indices of each batch; None for an order of the loop's own.
    """

    sampler: Sampler | None

    def part(self, start: int, stop: int) -> Self:
        """Some of them, one after the other."""


class Tensors:
    """Samples in memory; on the device for the whole run where they are few.

    Args:
        tensors: ``[count, ...]`` each.
        device: where batches come out.
        batch_size: samples at once where they are evaluated.
    """

    sampler: Sampler | None = None

    def __init__(self, tensors: Sequence[Tensor], device: torch.device, batch_size: int) -> None:
        few = sum(tensor.nbytes for tensor in tensors) <= IN_MEMORY
        self._tensors = tuple(tensor.to(device) if few else tensor for tensor in tensors)
        self._batch_size = batch_size
        self.size = len(tensors[0])
        self.device = device

    def part(self, start: int, stop: int) -> Self:
        """Samples `start` to `stop`."""
        return type(self)([tensor[start:stop] for tensor in self._tensors], self.device, self._batch_size)

    def at(self, pieces: Sequence[Tensor]) -> Generator[tuple[Tensor, ...]]:
        """``[n, ...]`` each, at each of `pieces`, int64 indices ``[n]``."""
        for indices in pieces:
            yield tuple(tensor[indices.to(tensor.device)].to(self.device) for tensor in self._tensors)

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """All samples in their order."""
        yield from self.at(torch.arange(self.size).split(self._batch_size))


class Loaded:
    """Samples of a data set, read by worker processes where its loader has some.

    Args:
        dataset: whose samples are tensors, numbers or tuples of them, before `options` collate them.
        device: where batches come out.
        batch_size: samples at once where no sampler says so.
        inputs: how many tensors of a batch a model takes, the first ones.
        options: of the loader.
        sampler: the loader's.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        device: torch.device,
        batch_size: int,
        inputs: int,
        options: dict[str, Any],
        sampler: Sampler | None,
    ) -> None:
        self._dataset = dataset
        self._batch_size = batch_size
        self._inputs = inputs
        self._options = options
        self.sampler = sampler
        self.size = len(cast(Sized, dataset))
        self.device = device

    def part(self, start: int, stop: int) -> Self:
        """Samples `start` to `stop`."""
        dataset = Subset(self._dataset, range(start, stop))
        return type(self)(dataset, self.device, self._batch_size, self._inputs, self._options, self.sampler)

    def at(self, pieces: Sequence[Tensor]) -> Generator[tuple[Tensor, ...]]:
        """``[n, ...]`` each, at each of `pieces`, int64 indices ``[n]``."""
        # Of its own, so that noise is the same whether samples come from here or from memory.
        generator = torch.Generator()
        if self._options.get("num_workers"):
            # What workers draw differs by epoch and by process, and follows from the seed.
            generator.manual_seed(int(torch.randint(2**62, ())) + group.rank())
        indices = [piece.tolist() for piece in pieces]
        loader = DataLoader(self._dataset, batch_sampler=indices, generator=generator, **self._options)
        for batch in loader:
            yield tuple(tensor.to(self.device, non_blocking=True) for tensor in _tensors(batch)[: self._inputs])

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """All samples, in the order of their sampler or in theirs."""
        if self.sampler is not None:
            yield from self.at([torch.as_tensor(indices) for indices in self.sampler])
        else:
            yield from self.at(torch.arange(self.size).split(self._batch_size))


def batch_size_of(data: Any, batch_size: int | None, default: int) -> int:
    """How many samples are in a batch of `data`, where `batch_size` is what a user gave.

    Raises:
        ValueError: it contradicts that of a loader.
    """
    if not isinstance(data, DataLoader):
        return default if batch_size is None else batch_size
    own: int | None = data.batch_size or getattr(data.batch_sampler, "batch_size", None)
    if own is None:
        raise ValueError(f"data: got {_called(data)} without a batch size; takes one with batch_size=")
    if batch_size not in (None, own):
        raise ValueError(f"batch_size: got {batch_size} with a DataLoader of {own}; takes {own} or none")
    return own


def source(name: str, data: Any, inputs: int | None, device: torch.device, batch_size: int) -> Source:
    """What a loop reads.

    Args:
        name: of the argument.
        data: what a user gave.
        inputs: how many tensors of a sample the model takes, the first ones; None for all.
        device: where batches come out.
        batch_size: of a batch.

    Raises:
        TypeError: data of another kind, or samples that are no tensors.
        ValueError: no samples, or of fewer tensors than the model takes, or tensors of different lengths.
    """
    if isinstance(data, (Dataset, DataLoader)):
        return _loaded(name, data, inputs, device, batch_size)
    given = data if isinstance(data, (tuple, list)) else (data,)
    tensors = [_tensor(name, data, each) for each in given]
    counts = {len(tensor) for tensor in tensors}
    if len(counts) > 1:
        raise ValueError(f"{name}: got {', '.join(map(describe, tensors))}; takes as many samples of each")
    _check(name, len(tensors[0]) if tensors else 0, len(tensors), inputs)
    return Tensors(tensors[:inputs], device, batch_size)


def _loaded(name: str, data: Any, inputs: int | None, device: torch.device, batch_size: int) -> Loaded:
    sampler: Sampler | None = None
    options: dict[str, Any] = {}
    dataset = data.dataset if isinstance(data, DataLoader) else data
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise TypeError(f"{name}: got {_called(dataset)}, without a length; takes a data set with one")
    if isinstance(data, DataLoader):
        if data.batch_sampler is None:
            raise ValueError(
                f"{name}: got {_called(data)} of whole batches; takes one that makes them, with batch_size="
            )
        if group.count() > 1 and isinstance(data.sampler, torch.utils.data.DistributedSampler):
            raise ValueError(
                f"{name}: got a DistributedSampler; takes a DataLoader of whole batches, of which each process reads "
                "its rows"
            )
        options = {option: getattr(data, option) for option in _OPTIONS}
        sampler = cast(Sampler, data.batch_sampler)
    if not len(dataset):
        _check(name, 0, 0, inputs)
    collate = options.get("collate_fn", torch.utils.data.default_collate)
    found = len(_tensors(collate([dataset[0]]), name))
    _check(name, len(dataset), found, inputs)
    return Loaded(dataset, device, batch_size, found if inputs is None else inputs, options, sampler)


def _check(name: str, count: int, found: int, inputs: int | None) -> None:
    if not count:
        raise ValueError(f"{name}: got no samples; takes one or more")
    if inputs is not None and found < inputs:
        raise ValueError(f"{name}: got {found} tensor{'s' * (found != 1)} a sample; takes the {inputs} of the model")


def _tensor(name: str, data: Any, each: Any) -> Tensor:
    if isinstance(each, np.ndarray):
        if each.dtype == object:
            raise TypeError(f"{name}: got an array of objects; takes numbers")
        with warnings.catch_warnings():
            # Of memory that may not be written to, such as a map of a file: nothing here writes.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            each = torch.from_numpy(each)
        if each.dtype == torch.float64:
            each = each.to(torch.get_default_dtype())
    if not isinstance(each, Tensor) or not each.dim():
        raise TypeError(
            f"{name}: got {describe(each) if each is data else f'{_called(each)} in a tuple'}; takes {_TAKES}"
        )
    return each


def _tensors(batch: Any, name: str = "data") -> tuple[Tensor, ...]:
    """Those of a collated batch."""
    found = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    for each in found:
        if not isinstance(each, Tensor):
            raise TypeError(f"{name}: got {_called(each)} in a batch; takes a tensor or a tuple of tensors")
    return found


def _called(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'AEIOaeio' else 'a'} {kind}"
