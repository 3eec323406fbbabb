"""A plugin of pytest: its tests run on the extension that FASTVAE_TEST_EXTENSION names, not on the installed one."""

from __future__ import annotations

import importlib.util
import os
import sys

_path = os.environ["FASTVAE_TEST_EXTENSION"]
_spec = importlib.util.spec_from_file_location("fastvae._C", _path)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["fastvae._C"] = _module
_spec.loader.exec_module(_module)


def pytest_report_header() -> str:
    """What runs, for the log."""
    return f"extension: {_module.__file__}"
