"""Work on many files in processes, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

from tqdm import tqdm

from fastvae.train.errors import UserError

_T = TypeVar("_T")
_R = TypeVar("_R")

# So many files are a task; of fewer, starting a process takes longer.
CHUNK: Final = 64


def each(work: Callable[[Sequence[_T], int], _R], items: Sequence[_T], doing: str) -> Iterator[_R]:
    """What `work` makes of chunks of `items` and the number of the first of each, in order.

    Args:
        work: a function of a module; what it raises ends everything.
        items: its input.
        doing: said beside the bar, on a terminal.

    Raises:
        UserError: a process was killed.
    """
    chunks = [(items[start : start + CHUNK], start) for start in range(0, len(items), CHUNK)]
    bar = tqdm(total=len(items), desc=doing, unit="file", file=sys.stderr, disable=not sys.stderr.isatty())
    count = min(len(os.sched_getaffinity(0)), len(chunks))
    with bar:
        if count <= 1:
            for chunk, start in chunks:
                yield work(chunk, start)
                bar.update(len(chunk))
            return
        # Forked, so that a worker has what is imported here and a script needs no guard around its main part. Workers
        # run numpy and Pillow alone, and none of the threads that a fork leaves behind.
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(count, context, initializer=_begin, initargs=(os.getpid(),))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                futures = [pool.submit(work, chunk, start) for chunk, start in chunks]
            for future, (chunk, _) in zip(futures, chunks, strict=True):
                yield future.result()
                bar.update(len(chunk))
        except BrokenProcessPool as error:
            raise UserError(f"{doing}: a worker process was killed, perhaps for want of memory") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    """Ctrl-C is for the parent, which ends the workers; one whose parent was killed ends by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
