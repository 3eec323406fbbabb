"""Settings every test shares."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

# Triton reads it once, when it is first imported: kernels run on CPU tensors in its interpreter.
os.environ.setdefault("TRITON_INTERPRET", "1")

# A shell has what it runs in the background ignore Ctrl-C, which tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from tests.support.skipped import pytest_terminal_summary as pytest_terminal_summary
from tests.support.workers import pytest_cmdline_main as pytest_cmdline_main
from tests.support.workers import pytest_collection_finish as pytest_collection_finish
from tests.support.workers import pytest_collection_modifyitems as pytest_collection_modifyitems


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For sizes that are too small to share, and for what sets the threads of this process."""
    # Imported here: torch may not be before the setting above.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
