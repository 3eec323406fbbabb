"""Which counters a launch gets, on a device that is not there: no two launches that may run at once get the same."""

from __future__ import annotations

import threading
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fastvae._triton import _arrivals

CPU = torch.device("cpu")


class Device:
    """Answers for CUDA: the current stream, whether it is captured, and whether it has done what it was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream, self.capturing, self.done = 1, False, True
        self.made: list[threading.Thread] = []  # the threads in which memory was allocated
        self.waits = 0
        zeros = torch.zeros
        waiting = SimpleNamespace(wait_event=lambda event: setattr(self, "waits", self.waits + 1))
        event = SimpleNamespace(record=lambda stream: None, query=lambda: self.done)

        def counted_zeros(count: int, *, dtype: torch.dtype, device: torch.device) -> Tensor:
            self.made.append(threading.current_thread())
            return zeros(count, dtype=dtype)

        def replace(owner: Any, name: str, value: Any) -> None:
            monkeypatch.setattr(owner, name, value)

        replace(_arrivals, "_by_stream", {})
        replace(_arrivals, "_stocks", {})
        replace(_arrivals, "INTERPRETED", False)
        replace(_arrivals, "driver", SimpleNamespace(active=SimpleNamespace(get_current_stream=lambda _: self.stream)))
        replace(_arrivals, "is_capturing", lambda device: self.capturing)
        replace(torch, "zeros", counted_zeros)
        replace(torch.cuda, "Event", lambda: event)
        replace(torch.cuda, "current_stream", lambda device: waiting)

    def counters(self, count: int = 3, *, device: int = 0) -> Tensor:
        like: Any = SimpleNamespace(get_device=lambda: device, device=torch.device("cuda", device))
        return _arrivals.counters(like, count)

    def captured(self, count: int = 3) -> Tensor:
        self.capturing = True
        try:
            return self.counters(count)
        finally:
            self.capturing = False


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


def _apart(*counters: Tensor) -> bool:
    """Do they share no byte?"""
    ends = sorted((each.data_ptr(), each.data_ptr() + 4 * each.numel()) for each in counters)
    return all(end <= begin for (_, end), (begin, _) in pairwise(ends))


def test_a_stream_uses_its_counters_again_and_no_other_does(gpu: Device) -> None:
    first, again = gpu.counters(), gpu.counters(7)
    gpu.stream = 2
    other, elsewhere = gpu.counters(), gpu.counters(device=1)
    assert again is first
    assert _apart(first, other, elsewhere)


def test_more_are_made_where_more_are_needed(gpu: Device) -> None:
    few, many, most = gpu.counters(), gpu.counters(5000), gpu.counters(2 * _arrivals._STOCK)
    assert (many.numel(), most.numel()) == (5000, 2 * _arrivals._STOCK)
    assert gpu.counters() is most
    assert _apart(few, many, most)


def test_memory_comes_from_no_pool_of_the_calling_thread(gpu: Device) -> None:
    gpu.counters()
    assert gpu.made
    assert threading.current_thread() not in gpu.made


def test_a_stream_waits_for_zeros_until_they_are_known_to_be_there(gpu: Device) -> None:
    gpu.done = False
    gpu.counters(), gpu.counters()
    assert gpu.waits == 1
    gpu.stream = 2
    gpu.counters()
    assert gpu.waits == 2
    gpu.done, gpu.stream = True, 3
    gpu.counters()
    assert gpu.waits == 2


def test_each_captured_launch_has_its_own_and_zeroes_nothing(gpu: Device) -> None:
    eager = [gpu.counters() for _ in range(2)]
    captured = [gpu.captured(count) for count in (1, 3, 70)]
    gpu.stream = 2
    captured.append(gpu.captured())
    assert len(gpu.made) == 1
    assert _apart(eager[0], *captured)
    assert all(each.data_ptr() % 16 == 0 and not each.any() for each in captured)


def test_a_capture_without_a_stock_zeroes_its_own(gpu: Device) -> None:
    captured = [gpu.captured() for _ in range(2)]
    assert gpu.made == [threading.current_thread()] * 2
    assert _apart(*captured)


def test_a_stock_that_may_not_be_zero_yet_is_not_captured(gpu: Device) -> None:
    gpu.done = False
    gpu.counters(), gpu.counters()
    gpu.captured()
    assert len(gpu.made) == 2
    gpu.done = True
    gpu.captured()  # in which nobody may ask
    assert len(gpu.made) == 3
    gpu.counters()
    gpu.captured()
    assert len(gpu.made) == 3


def test_a_stock_that_ran_out_is_not_captured(gpu: Device) -> None:
    gpu.counters(), gpu.counters()
    gpu.captured(_arrivals._STOCK - _arrivals._OF_A_STREAM - 4)
    gpu.captured(8)
    assert len(gpu.made) == 2
    gpu.captured(4)
    assert len(gpu.made) == 2
