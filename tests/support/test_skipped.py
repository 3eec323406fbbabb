"""The lines under a run that say what was skipped."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest

@pytest.mark.parametrize("case", range(3))
def test_of_a_fixture(case):
    pytest.skip("needs a GPU")

@pytest.mark.skipif(True, reason="reads x86-64 assembly")
def test_of_a_mark():
    pass

@pytest.mark.xfail(reason="is no skip")
def test_that_fails():
    raise AssertionError

def test_that_passes():
    pass
"""


def summary(folder: Path, tests: str) -> list[str]:
    (folder / "test_it.py").write_text(tests)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-qq", "-p", "tests.support.skipped", "-p", "no:cacheprovider", "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in result.stdout.splitlines() if "skipped" in line or "noted" in line]


def test_a_line_a_reason(tmp_path: Path) -> None:
    assert summary(tmp_path, TESTS) == ["3 skipped: needs a GPU", "1 skipped: reads x86-64 assembly"]


def test_a_module_that_skips_itself(tmp_path: Path) -> None:
    tests = TESTS + "pytest.skip('not here', allow_module_level=True)"
    (tmp_path / "test_other.py").write_text("def test_it():\n    pass\n")
    # Nothing is left to run, which pytest calls an error of its own.
    (tmp_path / "conftest.py").write_text("def pytest_sessionfinish(session):\n    session.exitstatus = 0\n")
    assert summary(tmp_path, tests) == ["1 skipped: not here"]


def test_a_note(tmp_path: Path) -> None:
    tests = "def test_it(record_property):\n    record_property('note', 'noted: 3 kernels')"
    assert summary(tmp_path, tests) == ["noted: 3 kernels"]


def test_nothing_to_say(tmp_path: Path) -> None:
    assert summary(tmp_path, "def test_it():\n    pass\n") == []
