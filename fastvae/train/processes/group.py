"""The processes that work on one run: this one alone, or those that torchrun started.

Each has its share of every batch: consecutive rows of it. What is drawn is drawn as for the whole batch (see `shard` in
`fastvae.functional.reparameterize`), so that a run is the same whatever the number of processes, to rounding.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import torch
import torch.distributed
from torch import Tensor

from fastvae.train.errors import UserError

T = TypeVar("T")


class Share(NamedTuple):
    """Rows `start` to `stop` of a batch of `total`.

    A process without any computes one row all the same, the first, and drops what comes of it: all processes are then
    at the same place in their noise and in what they do together.
    """

    start: int
    stop: int
    total: int

    @property
    def size(self) -> int:
        """How many rows."""
        return self.stop - self.start

    @property
    def rows(self) -> slice:
        """What to compute, as an index."""
        return slice(self.start, self.stop) if self.size else slice(0, 1)

    @property
    def shard(self) -> tuple[int, int] | None:
        """The same as functions that draw noise take it; None for a whole batch."""
        return None if self.size == self.total else (self.rows.start, self.total)


class Started(NamedTuple):
    """What torchrun says of this process in its environment; one process alone has rank 0 of 1.

    Attributes:
        rank, processes: of all nodes.
        local_rank: of this node, which is the number of the process's GPU.
    """

    rank: int
    processes: int
    local_rank: int

    def device(self, name: str) -> torch.device:
        """This process's own device of a kind."""
        return torch.device(name, self.local_rank) if name == "cuda" and self.processes > 1 else torch.device(name)


def started() -> Started:
    """This process, from its environment."""
    defaults = {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0}
    return Started(*(int(os.environ.get(name, default)) for name, default in defaults.items()))


def rank() -> int:
    """Of this process in the group, from 0."""
    return torch.distributed.get_rank() if _joined() else 0


def count() -> int:
    """Of the processes in the group."""
    return torch.distributed.get_world_size() if _joined() else 1


def _joined() -> bool:
    """Whether there is a group, see `join`."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextmanager
def join(device_type: str, *, kept: bool = False) -> Iterator[None]:
    """Inside the block the processes that torchrun started are a group: over nccl on GPUs, over gloo on CPUs.

    A group that is there already is used, and left as it is.

    Args:
        device_type: where the processes compute.
        kept: until the process ends, and for either kind of device: torchrun's processes do not find each other twice.

    Raises:
        UserError: more processes on a node than it has GPUs.
    """
    process = started()
    if process.processes == 1:
        yield
        return
    if device_type == "cuda":
        if process.local_rank >= torch.cuda.device_count():
            raise UserError(
                f"--nproc-per-node: got more than {torch.cuda.device_count()} processes on a node; takes one a GPU"
            )
        torch.cuda.set_device(process.local_rank)
    if _joined():
        yield
        return
    if kept:
        torch.distributed.init_process_group()
        atexit.register(_leave)
        yield
        return
    torch.distributed.init_process_group("nccl" if device_type == "cuda" else "gloo")
    try:
        yield
        # Nobody leaves while another is at work, which the first one is longest.
        wait()
    finally:
        _leave()


def _leave() -> None:
    """End the group, unless somebody has."""
    if _joined():
        # Sharded models hold on to their group, whose threads are to end before the interpreter does.
        gc.collect()
        torch.distributed.destroy_process_group()


def share(total: int) -> Share:
    """This process's rows of a batch, as even as can be; none where there are more processes than rows."""
    first, second = (total * number // count() for number in (rank(), rank() + 1))
    return Share(first, second, total)


def shares(total: int, parts: int) -> list[Share]:
    """This process's rows of each part of a batch that is computed in so many, or as many as it has rows."""
    parts = min(parts, total)
    return [share(total // parts + (number < total % parts)) for number in range(parts)]


def rows(total: int, parts: int) -> list[slice]:
    """What to compute of `shares`, as indices of the whole batch."""
    found, start = [], 0
    for part in shares(total, parts):
        found.append(slice(start + part.rows.start, start + part.rows.stop))
        start += part.total
    return found


def add_up(*sums: Tensor) -> None:
    """Replace each tensor by its sum over the processes."""
    if _joined():
        for tensor in sums:
            torch.distributed.all_reduce(tensor)


def gathered(rows: Tensor) -> Tensor:
    """The shares of all processes, ``[rows, ...]`` each and in the order of their ranks, as one tensor."""
    if not _joined():
        return rows
    sizes = [torch.empty((), dtype=torch.int64, device=rows.device) for _ in range(count())]
    torch.distributed.all_gather(sizes, torch.tensor(len(rows), device=rows.device))
    most = max(int(size) for size in sizes)
    padded = rows.new_zeros((most, *rows.shape[1:]))
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(count())]
    torch.distributed.all_gather(parts, padded)
    return torch.cat([part[: int(size)] for part, size in zip(parts, sizes, strict=True)])


def of_first(value: T) -> T:
    """What the process of rank 0 has."""
    if not _joined():
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values)
    return values[0]


def wait() -> None:
    """Until all processes are here."""
    if _joined():
        torch.distributed.barrier()
