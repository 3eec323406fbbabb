"""A whole run of the tests is shared between the cores, and needs no plugin to be one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import workers

TEST = """
import os
def test_where():
    worker, threads = map(os.environ.get, ('PYTEST_XDIST_WORKER', 'OMP_NUM_THREADS'))
    assert {expected}
"""
NEITHER = "worker is threads is None"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((), "worker and threads == '1'"), (("-p", "no:xdist"), NEITHER), (("tests/test_one.py",), NEITHER)],
    ids=["whole", "whole, without the plugin", "a file"],
)
def test_a_whole_run_has_workers_of_one_thread(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(Path(workers.__file__).read_text(encoding="utf-8"))
    (tmp_path / "tests" / "test_one.py").write_text(TEST.format(expected=expected))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "OMP_"))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
