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


@pytest.mark.slow
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


def test_the_longest_files_are_begun_first(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(Path(workers.__file__).read_text(encoding="utf-8"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = minutes\n")
    for name, minutes in {"a": None, "b": 0.5, "c": 2}.items():
        mark = "" if minutes is None else f"import pytest\n@pytest.mark.minutes({minutes})\n"
        (tmp_path / f"test_{name}.py").write_text(f"{mark}def test_it(): pass\ndef test_more(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    names = [line.partition("::")[0] for line in result.stdout.splitlines() if "::" in line]
    assert names == ["test_c.py", "test_c.py", "test_b.py", "test_b.py", "test_a.py", "test_a.py"]
