"""Functions run by several processes, which talk by gloo."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed

SECONDS = 60


def in_processes(count: int, function: Callable[..., Any], *arguments: object, folder: Path) -> list[Any]:
    """What ``function(rank, *arguments)`` returns in each process, by rank. `folder` is where they meet."""
    context = multiprocessing.get_context("spawn")
    processes, receivers = [], []
    for rank in range(count):
        receiver, sender = context.Pipe(duplex=False)
        call = (function, rank, count, folder / "store", sender, arguments)
        processes.append(context.Process(target=_run, args=call))
        receivers.append(receiver)
        processes[-1].start()
        sender.close()
    try:
        results = []
        for receiver in receivers:
            assert receiver.poll(SECONDS), "a process hangs"
            succeeded, result = receiver.recv()
            assert succeeded, result
            results.append(result)
        return results
    finally:
        for process in processes:
            process.join(SECONDS if len(results) == count else 0)
            process.kill()


def _run(
    function: Callable[..., Any], rank: int, count: int, store: Path, results: Connection, arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=count)
    try:
        results.send((True, function(rank, *arguments)))
    except BaseException:
        results.send((False, traceback.format_exc()))
        raise
    torch.distributed.destroy_process_group()
