"""A whole run shares its files between the cores, where pytest-xdist is installed; it need not be.

A file of tests, named on the command line, runs in pytest's own process as ever; `-n 0` makes a whole run do so.
"""

from __future__ import annotations

import gc
import os
from collections import defaultdict
from pathlib import Path

import pytest


def in_worker() -> bool:
    """Whether this process runs some of the files for another."""
    return "PYTEST_XDIST_WORKER" in os.environ


if in_worker():
    # Threads of several processes on the same cores wait for each other. Read when torch is imported, and by children.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take minutes come first: a worker that began one last would keep the others waiting."""
    minutes = defaultdict[Path, float](float)
    for item in items:
        for mark in item.iter_markers("minutes"):
            minutes[item.path] = max(minutes[item.path], *mark.args)
    items.sort(key=lambda item: -minutes[item.path])


def pytest_collection_finish() -> None:
    """The tests themselves, thousands of objects, are no garbage to look for during each of them."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    option = config.option
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and config.pluginmanager.hasplugin("xdist") and not in_worker() and option.numprocesses is None:
        # By file: its fixtures, and what it compiles or measures, are made once.
        option.numprocesses, option.dist = 0 if option.usepdb else len(os.sched_getaffinity(0)), "loadfile"
        option.loadscopereorder = False  # which would take the files of most tests first
