"""What the README has a newcomer type works as it stands, from an empty folder; `.ci/run` does it of a copy."""

import subprocess
import sys
from pathlib import Path

from bench import ROOT, gains, pages
from bench.results import latest_file, newest
from tools import readme


def test_the_snippets_run_in_an_empty_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "readme.py"), "--only-snippets"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "snippets of" in result.stdout
    assert not list(tmp_path.iterdir())


def test_the_table_is_that_of_the_results() -> None:
    gpus = [newest(path) for path in sorted((ROOT / "bench" / "results").glob("*/gpu.csv"))]
    current = pages.insert(readme.TEXT, "gains", gains.table(newest(latest_file()), gpus))
    # But for the float32 error of the textbook's KL, whose exponential torch has for each instruction set.
    found, expected = (
        [line for line in text.splitlines() if "from the prior" not in line] for text in (readme.TEXT, current)
    )
    assert found == expected
    assert len(gains.GAINS) + 3 == 8


def test_the_first_screen_is_short() -> None:
    assert len(readme.TEXT.splitlines()) <= 115
