"""Rows of kernels that Nsight Compute has profiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bench.gpu import profiled
from bench.machine import Run

RUN = Run("2026-01-02T03:04:05", "abc", "H100", None, "1", "13", "2", "3", "0.1")
HEADER = '"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"'


def printed(kernels: int) -> list[str]:
    """By a profiler that says something of its own before, and puts commas into numbers."""
    lines = ["==PROF== Connected to process 7", HEADER]
    for kernel in range(kernels):
        values = {"gpu__time_duration.sum": "183,872", "smsp__inst_executed.sum": f"{2**20 * (kernel + 1):,}"}
        values |= dict.fromkeys(profiled._METRICS.values(), "87.5") | values
        lines += [f'"{kernel}","7","_forward","{metric}","unit","{value}"' for metric, value in values.items()]
    return lines


def test_a_row_a_pass() -> None:
    passes = list(profiled.passes())
    rows = profiled.rows(printed(len(passes)), RUN)
    assert [row["op"] for row in rows[:2]] == ["reparameterize_kl forward", "reparameterize_kl backward"]
    assert "bce_logits forward, uint8 target" in [row["op"] for row in rows]
    first, second = rows[:2]
    assert (first["date"], first["commit"], first["duration_ns"], first["dtype"]) == (
        "2026-01-02",
        "abc",
        "183872",
        "float32",
    )
    assert (first["dram_percent"], first["issue_active_percent"]) == ("87.50", "87.50")
    # 32 lanes a warp, for 2^26 elements.
    assert (first["instructions_per_element"], second["instructions_per_element"]) == ("0.5", "1.0")


def test_a_kernel_too_many_is_no_row() -> None:
    with pytest.raises(ValueError, match=r"got 3 kernels of \d+ passes"):
        profiled.rows(printed(3), RUN)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    """The command, with a shell script as the profiler."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(profiled, "device", lambda dry_run: None)
    monkeypatch.setattr(profiled, "new_run", lambda where, commit: RUN)

    def with_profiler(script: str) -> Result:
        (tmp_path / "ncu").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "ncu").chmod(0o755)
        return CliRunner().invoke(profiled.main, ["--out", str(tmp_path)])

    return with_profiler


@pytest.mark.parametrize("twice", [False, True])
def test_rows_are_appended(tmp_path: Path, run: Callable[[str], Result], twice: bool) -> None:
    count = len(list(profiled.passes()))
    (tmp_path / "printed").write_text("\n".join(printed(count)))
    for _ in range(1 + twice):
        assert run(f"cat {tmp_path}/printed").exit_code == 0
    lines = (tmp_path / "profile.csv").read_text().splitlines()
    assert len(lines) == 1 + count * (1 + twice)
    # As the kept rows have it.
    kept = Path(profiled.ROOT, "bench/results/h100/profile.csv").read_text().splitlines()
    assert lines[0] == kept[0]


def test_a_profiler_that_fails_says_so(tmp_path: Path, run: Callable[[str], Result]) -> None:
    found = run("echo no permission\nexit 3")
    assert found.exit_code == 1
    assert "exit status 3" in found.output
    assert "no permission" in found.output
    assert not (tmp_path / "profile.csv").exists()
