"""Which lines of fastvae/ and csrc/ the tests run.

    python -m tools.checks.coverage                        all tests, on Python and on C++, into docs/checks.md
    python -m tools.checks.coverage --python tests/train   measures these again, beside what was measured before
    python -m tools.checks.coverage --report               of what was measured, after which no line may have moved

Measured are the default suite, in processes of its own, too, and the tests of ``tests/gpu`` on a machine that is none.
C++ is compiled without optimisation, for the instruction sets of `UNIT`: the branches for AVX-512 are not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import ROOT, pages
from tools.checks import one_unit, page, served

BUILD: Final = ROOT / "build" / "coverage"
UNIT: Final = ("-mavx2", "-mfma")
PYTHON_TESTS: Final = ("tests",)
CPP_TESTS: Final = ("tests/core", "tests/losses")
# What compiles, or starts processes, in which the measured extension is not loaded.
NOT_IN_CPP: Final = "not triton and not reference and not compile and not docstrings and not interpreter"
GPU: Final = {"TRITON_INTERPRET": "0", "FASTVAE_GPU_DRY_RUN": "machine"}


class Lines(NamedTuple):
    """Of a file: how many lines it has that can be run, and those that were not."""

    count: int
    missing: Sequence[int]


def _pytest(arguments: Iterable[str], *, jobs: int, under: Sequence[str] = (), **environment: str) -> None:
    """Tests, of which one that fails is said, and measured all the same."""
    command = [sys.executable, *under, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(jobs), *arguments]
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode
    if code:
        print(f"pytest ended with {code}: a test may fail because it is measured", file=sys.stderr)


def _under_coverage() -> dict[str, str]:
    folder = BUILD / "python"
    folder.mkdir(parents=True, exist_ok=True)
    return {"COVERAGE_FILE": str(folder / "data"), "COVERAGE_RCFILE": str(ROOT / "pyproject.toml")}


def measure_python(tests: Sequence[str], jobs: int) -> None:
    """Run tests under coverage.py, beside what was measured before."""
    _pytest(tests, jobs=jobs, under=("-m", "coverage", "run"), **_under_coverage())


def measure_gpu() -> None:
    """The launches of a GPU, with nothing behind them that computes."""
    _pytest(["tests/gpu"], jobs=0, under=("-m", "coverage", "run"), **_under_coverage(), **GPU)


def measure_cpp(tests: Sequence[str], jobs: int) -> None:
    """Compile the extension for gcov and run tests on it."""
    folder = BUILD / "cpp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    built = one_unit.built(ROOT / "csrc", folder, ("--coverage", *UNIT), jobs)
    _pytest(["-p", "tools.checks.served", *tests, "-k", NOT_IN_CPP], jobs=0, **{served.VARIABLE: f"fastvae._C={built}"})


def of_python() -> dict[str, Lines]:
    """What coverage.py found, by path from the root. What processes left is added to what was measured before."""
    environment = {**os.environ, **_under_coverage()}
    report = BUILD / "python.json"

    def coverage(*arguments: str, check: bool = True) -> None:
        subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, env=environment, check=check)

    if any((BUILD / "python").glob("data.*")):
        coverage("combine", "--append", "-q", check=False)
        # What is left is of processes that tests have killed.
        for part in (BUILD / "python").glob("data.*"):
            part.unlink()
    coverage("json", "-q", "-i", "-o", str(report))  # -i: a test imports a package of its own, which is gone
    files = json.loads(report.read_text())["files"]
    return {name: Lines(of["summary"]["num_statements"], of["missing_lines"]) for name, of in files.items()}


def of_cpp() -> dict[str, Lines]:
    """What gcov found, by path from the root."""
    report = BUILD / "cpp.json"
    command = [sys.executable, "-m", "gcovr", "--root", str(ROOT), "--filter", "csrc/", "--json", str(report)]
    command += ["--gcov-suspicious-hits-threshold", "0"]  # some lines do run 10^10 times
    subprocess.run([*command, str(BUILD / "cpp")], cwd=ROOT, check=True)
    found = {}
    for of in json.loads(report.read_text())["files"]:
        ran: dict[int, bool] = {}
        for line in of["lines"]:  # once for each template that has it
            ran[line["line_number"]] = ran.get(line["line_number"], False) or line["count"] > 0
        found[of["file"]] = Lines(len(ran), sorted(line for line, was in ran.items() if not was))
    return found


def ranges(lines: Sequence[int]) -> str:
    """Line numbers, those that follow each other as one: ``3, 7-9``."""
    parts: list[list[int]] = []
    for line in lines:
        if parts and parts[-1][-1] == line - 1:
            parts[-1].append(line)
        else:
            parts.append([line])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def table(files: Mapping[str, Lines]) -> str:
    """By folder, and in all."""
    folders = defaultdict[str, list[Lines]](list)
    for name, lines in files.items():
        folders[str(Path(name).parent)].append(lines)
    rows = [*sorted(folders.items()), ("all", list(files.values()))]
    return pages.table(("folder", "lines", "not run", "run"), [_row(name, of) for name, of in rows])


def _row(name: str, files: Sequence[Lines]) -> tuple[str, str, str, str]:
    count, missing = sum(of.count for of in files), sum(len(of.missing) for of in files)
    share = f"{100 * (count - missing) / count:.1f} %" if count else "-"
    return (name if name == "all" else f"`{name}`", f"{count:,}", f"{missing:,}", share)


def text(*languages: Mapping[str, Lines]) -> str:
    """The tables, and the lines that no test runs."""
    left = [f"- `{name}`: {ranges(of.missing)}" for files in languages for name, of in files.items() if of.missing]
    return "\n\n".join([*map(table, languages), "Lines that no test runs:", "\n".join(left)])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.coverage")
    parser.add_argument("--python", nargs="+", metavar="TESTS", help="measure these on Python, and report")
    parser.add_argument("--cpp", nargs="+", metavar="TESTS", help="measure these on C++, and report")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at once")
    arguments = parser.parse_args()
    everything = not (arguments.python or arguments.cpp or arguments.report)
    if everything:
        shutil.rmtree(BUILD, ignore_errors=True)
        measure_gpu()
    if everything or arguments.python:
        measure_python(arguments.python or PYTHON_TESTS, arguments.jobs)
    if everything or arguments.cpp:
        measure_cpp(arguments.cpp or CPP_TESTS, arguments.jobs)
    found = text(of_python(), of_cpp())
    print(found)
    page.record("coverage", found)


if __name__ == "__main__":
    main()
