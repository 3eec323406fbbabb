"""Counters at 0, in which the programs of a launch count themselves; the last one leaves them at 0 again.

No two launches that may run at once share a counter:

- Launches of one stream run one after the other: each stream of a device has counters of its own, used again and again.
  A stream is known by its handle, as it is to PyTorch's allocator.
- A captured launch runs whenever its graph is replayed, on whatever stream. It gets counters that no other launch ever
  gets; replays of one graph run one after the other. Where none are known to be 0 yet, the graph zeroes its counters
  itself, in memory of its own pool: one more node.

They come out of a stock that is never freed.
"""

from __future__ import annotations

import threading
from typing import Final

import torch
from torch import Tensor
from triton.runtime.driver import driver

from fastvae._capture import is_capturing
from fastvae._triton._launch import INTERPRETED

_OF_A_STREAM: Final = 1024
"""At least: those of half a million programs, unless rows are shared too."""

_STOCK: Final = 2**16
_ALIGNED: Final = 4
"""Counters in 16 bytes, Triton's unit of alignment."""


class _Stock:
    """Counters of a device that no launch was given yet."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._left = torch.empty(0, dtype=torch.int32)
        self._zeroed: torch.cuda.Event | None = None
        self._chunks: list[Tensor] = []  # of memory, which graphs use without a reference to it
        self._lock = threading.Lock()

    def look(self) -> None:
        """Find out, outside of captures, whether the device has zeroed them: in a capture nobody may ask."""
        zeroed = self._zeroed
        if zeroed is not None and zeroed.query():
            self._zeroed = None

    def take(self, count: int) -> Tensor:
        """For the launches of the current stream, which wait until they are zeroed."""
        with self._lock:
            if self._left.numel() < count:
                # A pool for the memory of graphs, which is given away once they are captured, is that of a thread.
                thread = threading.Thread(target=self._refill, args=(max(count, _STOCK),))
                thread.start()
                thread.join()
            zeroed = self._zeroed
            taken = self._next(count)
        if zeroed is not None:
            torch.cuda.current_stream(self._device).wait_event(zeroed)
        return taken

    def take_in_capture(self, count: int) -> Tensor:
        """For one launch of a graph."""
        with self._lock:
            if self._zeroed is None and count <= self._left.numel():
                return self._next(count)
        return torch.zeros(count, dtype=torch.int32, device=self._device)

    def _refill(self, count: int) -> None:
        self._left = torch.zeros(count, dtype=torch.int32, device=self._device)
        self._chunks.append(self._left)
        if self._device.type == "cuda":
            self._zeroed = torch.cuda.Event()
            self._zeroed.record(torch.cuda.current_stream(self._device))

    def _next(self, count: int) -> Tensor:
        taken, self._left = self._left[:count], self._left[-(-count // _ALIGNED) * _ALIGNED :]
        return taken


_stocks: dict[int, _Stock] = {}
_by_stream: dict[tuple[int, int], Tensor] = {}


def counters(like: Tensor, count: int) -> Tensor:
    """At least `count` counters on the device of `like`, for one launch on its current stream."""
    device = like.get_device()
    stock = _stocks.get(device)
    if stock is None:
        stock = _stocks.setdefault(device, _Stock(like.device))
    if device >= 0:
        if is_capturing(device):
            return stock.take_in_capture(count)
        stock.look()
    # The interpreter runs a launch in the thread that asks for it.
    stream = threading.get_ident() if INTERPRETED else driver.active.get_current_stream(device)
    mine = _by_stream.get((device, stream))
    if mine is None or mine.numel() < count:
        mine = _by_stream[device, stream] = stock.take(max(count, _OF_A_STREAM))
    return mine
