"""Items made by a thread while the ones before them are used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from typing import Final, TypeVar

_T = TypeVar("_T")

THREAD: Final = "fastvae-loader"
_DEPTH: Final = 2
_POLL: Final = 0.05  # seconds in which the thread notices that nobody wants more


def ahead(items: Iterable[_T]) -> Generator[_T]:
    """`items` in their order, made by a thread, two of them ahead.

    What they raise is raised here. Closing the iterator, as `contextlib.closing` does, ends the thread.
    """
    ready: queue.Queue[tuple[_T] | BaseException | None] = queue.Queue(_DEPTH)
    unwanted = threading.Event()

    def put(item: tuple[_T] | BaseException | None) -> None:
        while not unwanted.is_set():
            try:
                return ready.put(item, timeout=_POLL)
            except queue.Full:
                continue
        raise _UnwantedError

    def make() -> None:
        try:
            for item in items:
                put((item,))
            put(None)
        except _UnwantedError:
            return
        except BaseException as error:
            try:
                put(error)
            except _UnwantedError:
                return

    # A daemon: where an exception is shown without the iterator being closed, it must not keep the process alive.
    thread = threading.Thread(target=make, name=THREAD, daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        unwanted.set()
        thread.join()


class _UnwantedError(Exception):
    pass
