"""What the tests here were run against."""

from __future__ import annotations

import importlib.metadata

import pytest

from tests.clients.packages import NAMES


def version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("clients: " + ", ".join(f"{name} {version(name)}" for name in ("torch", *NAMES)))
