"""Ctrl-C: the first one ends training after the step that is under way, a second one at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """Inside the block, the first SIGINT is only noted; the next goes to whoever had them before.

    Elsewhere than in the main thread, where Python lets nobody, and in a process that ignores the signal, as one in a
    shell's background, it changes nothing.
    """

    def __init__(self) -> None:
        self._before: Callable[[int, FrameType | None], object] | int | None = None
        self._noted = False

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if error is None:
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = True
        self._restore()

    def _restore(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Nothing is half done: end here if asked to.

        Raises:
            KeyboardInterrupt: there was a SIGINT.
        """
        if self._noted:
            raise KeyboardInterrupt
