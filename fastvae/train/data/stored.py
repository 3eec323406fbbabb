"""Samples that stay in their file, or sparse: gathered into tensors when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastvae.train.data.ahead import ahead
from fastvae.train.files.sources import Rows, Source

# In place, on samples and the rows that they are of.
Change = Callable[[NDArray[Any], Rows], None]

_CPU: Final = torch.device("cpu")


class Stored:
    """What stands for a tensor of samples, ``[count, ...]``, where that would be too large.

    Args:
        source: of the samples.
        rows: those that these are, in their order.
        change: what is made of samples that were gathered.
        device: where they go.
    """

    def __init__(self, source: Source, rows: Rows, change: Change | None = None, device: torch.device = _CPU) -> None:
        self._source, self._rows, self._change = source, rows, change
        self.device = device

    @property
    def shape(self) -> tuple[int, ...]:
        """As a tensor's."""
        return (len(self._rows), *self._source.shape)

    def __len__(self) -> int:
        return len(self._rows)

    def to(self, device: torch.device) -> Stored:
        """The same samples, gathered for `device`."""
        return Stored(self._source, self._rows, self._change, device)

    def part(self, start: int, stop: int) -> Stored:
        """The samples from `start` on, without that at `stop`."""
        return Stored(self._source, self._rows[start:stop], self._change, self.device)

    def changed(self, change: Change) -> Stored:
        """The same samples with another change."""
        return Stored(self._source, self._rows, change, self.device)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Samples on the device, as a tensor gives them: at int64 or bool indices, ``[n]``, or at a slice."""
        chosen = index if isinstance(index, slice) else index.cpu().numpy()
        return self._gathered(self._rows[chosen], pinned=False).to(self.device)

    def stream(self, pieces: Iterable[Tensor]) -> Generator[Tensor]:
        """The samples at each of `pieces`, int64 indices ``[n]``, gathered by a thread while those before are used.

        For a GPU they are copied from pinned memory on a stream of their own.
        """
        rows = (self._rows[piece.cpu().numpy()] for piece in pieces)
        if self.device.type != "cuda":
            yield from ahead(self._gathered(some, pinned=False).to(self.device) for some in rows)
            return
        # A thread has a current device of its own.
        device = torch.device("cuda", torch.cuda.current_device() if self.device.index is None else self.device.index)
        copies = torch.cuda.Stream(device)
        with closing(ahead(self._copied(some, device, copies) for some in rows)) as batches:
            for batch, copied in batches:
                current = torch.cuda.current_stream(device)
                current.wait_event(copied)
                # Its memory is not used again before the work queued here is done with it.
                batch.record_stream(current)
                yield batch

    def _copied(self, rows: Rows, device: torch.device, copies: torch.cuda.Stream) -> tuple[Tensor, torch.cuda.Event]:
        with torch.cuda.stream(copies):
            batch = self._gathered(rows, pinned=True).to(device, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record(copies)
        return batch, copied

    def _gathered(self, rows: Rows, *, pinned: bool) -> Tensor:
        dtype = torch.uint8 if self._source.dtype == np.uint8 else torch.float32
        samples = torch.empty((len(rows), *self._source.shape), dtype=dtype, pin_memory=pinned)
        self._source.gather(rows, samples.numpy())
        if self._change is not None:
            self._change(samples.numpy(), rows)
        return samples
