"""The C++ under tools that see what happens to go well: ``python -m tools.checks.sanitizers``.

The kernels' own test, `tests/native`, runs under each tool in each unit; the extension of the default unit runs tests
of `tests/core` under AddressSanitizer and UndefinedBehaviorSanitizer, with the bindings and all that is between.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import ROOT, pages
from tests.core.units import supported
from tools.checks.page import record

BUILD: Final = ROOT / "build" / "sanitizers"
TESTS: Final = ("layouts", "special_values", "packed", "inplace_memory", "reductions", "properties", "errors")


class Tool(NamedTuple):
    """A tool: its name, compiler flags, faults of `tests/native/planted`, what it runs a program with, its settings.

    Also CMake's options.
    """

    title: str
    flags: str
    planted: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = ()


TOOLS: Final = {
    "address": Tool(
        "AddressSanitizer, UndefinedBehaviorSanitizer",
        # Not optimised: what is checked at every operation takes the compiler minutes to optimise.
        "-O0;-g1;-fsanitize=address,undefined;-fno-sanitize=vptr;-fno-sanitize-recover=undefined",
        ("read_behind_an_array", "signed_overflow"),
        # Python and torch leave memory to the end of the process.
        environment=(("ASAN_OPTIONS", "detect_leaks=0"), ("UBSAN_OPTIONS", "print_stacktrace=1")),
    ),
    # libgomp is not instrumented: with its threads, each barrier is a race that is none. Threads as GCC's code asks for
    # them, but of the C++ library, are seen. setarch: more random addresses than GCC 12's runtime has room for.
    "thread": Tool(
        "ThreadSanitizer",
        "-O1;-g1;-fsanitize=thread",
        ("race",),
        ("setarch", "-R"),
        options=("-DFASTVAE_OWN_THREADS=ON",),
    ),
    "memcheck": Tool(
        "valgrind memcheck",
        "-O2;-g1",
        ("read_behind_an_array", "uninitialised_branch"),
        ("valgrind", "-q", "--error-exitcode=99"),
        options=("-DFASTVAE_OWN_THREADS=ON",),
    ),
}


class Found(NamedTuple):
    """What a run said at its end, and where it failed all that it said."""

    passed: bool
    summary: str
    output: str


def tools_here() -> list[str]:
    """The tools that this machine has; no valgrind runs AVX-512."""
    return [name for name, tool in TOOLS.items() if not tool.command or shutil.which(tool.command[0])]


def build(name: str, units: Sequence[str], *, extension: bool = False) -> Path:
    """Compile the native test for a tool, and the extension where it is wanted.

    Args:
        name: Of the tool, a key of `TOOLS`.
        units: The instruction-set units, "default" among them for the extension.
        extension: Whether the extension is compiled, too.

    Returns:
        The folder in which they are.

    Raises:
        RuntimeError: CMake or the compiler failed.
    """
    folder = BUILD / name
    options = [f"-DFASTVAE_UNITS={';'.join(units)}", f"-DFASTVAE_EXTENSION={'ON' if extension else 'OFF'}"]
    if extension:
        options += [f"-Dpybind11_DIR={_pybind11()}", f"-DPython_EXECUTABLE={sys.executable}"]
    flags = [f"-DFASTVAE_CHECKED={TOOLS[name].flags}", "-DCMAKE_CXX_FLAGS_RELEASE=-O1", *TOOLS[name].options]
    configure = ["cmake", "-S", str(ROOT / "tests" / "native"), "-B", str(folder), *flags, *options]
    jobs = str(len(os.sched_getaffinity(0)))
    for command in (configure, ["cmake", "--build", str(folder), "-j", jobs]):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{(result.stdout + result.stderr)[-3000:]}")
    return folder


def _pybind11() -> Path:
    """Where CMake finds the pybind11 that the project's build requires, which pip installs for builds alone."""
    folder = BUILD / "pybind11"
    if not folder.exists():
        with (ROOT / "pyproject.toml").open("rb") as file:
            requires = tomllib.load(file)["build-system"]["requires"]
        (requirement,) = (line for line in requires if line.startswith("pybind11"))
        command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
        subprocess.run([*command, "--target", str(folder), requirement], check=True)
    return folder / "pybind11" / "share" / "cmake" / "pybind11"


def run_native(name: str, unit: str, folder: Path) -> Found:
    """Run the native test of a unit under a tool.

    Args:
        name: Of the tool, a key of `TOOLS`.
        unit: The instruction-set unit.
        folder: What `build` returned.

    Returns:
        Its last line.
    """
    tool = TOOLS[name]
    # An array ends where its allocation does, so that the tool sees what is read behind it.
    command = [*tool.command, str(folder / f"native_{unit}"), "--no-guards"]
    return _run(command, dict(tool.environment))


def run_planted(name: str, fault: str, folder: Path) -> Found:
    """Run a program with a fault that a tool is to see: it passes where the tool says nothing.

    Args:
        name: Of the tool, a key of `TOOLS`.
        fault: Of `Tool.planted`.
        folder: What `build` returned.
    """
    tool = TOOLS[name]
    return _run([*tool.command, str(folder / "planted"), fault], dict(tool.environment))


def run_extension(folder: Path, tests: Sequence[str] = TESTS) -> Found:
    """Run tests of the ops on the C++ kernels with the extension that `build` compiled for AddressSanitizer.

    Args:
        folder: What `build` returned.
        tests: Files of `tests/core`, without ``test_``.

    Returns:
        pytest's last line.
    """
    (extension,) = folder.glob("_C*.so")
    libraries = [_library("libasan.so"), _library("libubsan.so")]
    files = [str(ROOT / "tests" / "core" / f"test_{name}.py") for name in tests]
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.other_extension", "-p", "no:cacheprovider"]
    command += ["-n", "0", "-k", "not triton and not reference", *files]
    environment = dict(TOOLS["address"].environment)
    environment |= {"LD_PRELOAD": ":".join(libraries), "FASTVAE_TEST_EXTENSION": str(extension)}
    return _run(command, environment)


def _library(name: str) -> str:
    return subprocess.check_output(["gcc", f"-print-file-name={name}"], text=True).strip()


def _run(command: Sequence[str], environment: dict[str, str]) -> Found:
    env = {**os.environ, **environment}
    result = subprocess.run(
        command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    output = result.stdout + result.stderr
    summaries = re.findall(r"^.*(?:\d+ failures|\d+ passed).*$", output, re.MULTILINE)
    summary = re.sub(r" in \d.*", "", summaries[-1].strip("= ")) if summaries else "no result"
    faults = re.search("runtime error:|ERROR: AddressSanitizer|WARNING: ThreadSanitizer", output)
    return Found(result.returncode == 0 and bool(summaries) and not faults, summary, output)


def main() -> None:
    """Run all of it and write it into docs/checks.md; ends with 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.sanitizers", description=__doc__)
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=tools_here(), help="default: all that are here")
    arguments = parser.parse_args()
    rows, passed = [], True
    for name in arguments.tools:
        units = [unit for unit in supported() if (name, unit) != ("memcheck", "avx512")]
        folder = build(name, units, extension=name == "address")
        for fault in TOOLS[name].planted:
            seen = not run_planted(name, fault, folder).passed
            passed &= seen
            rows.append(
                (TOOLS[name].title, f"planted: {fault.replace('_', ' ')}", "seen" if seen else "**not seen**", "-")
            )
            print(*rows[-1], sep=" | ", flush=True)
        runs = [(f"`tests/native`, {unit}", run_native(name, unit, folder)) for unit in units]
        if name == "address":
            runs.append(("extension, default", run_extension(folder)))
        for what, found in runs:
            passed &= found.passed
            rows.append((TOOLS[name].title, what, found.summary, "none" if found.passed else "**yes**"))
            print(*rows[-1], sep=" | ", flush=True)
            if not found.passed:
                print(found.output[-6000:], flush=True)
    record("sanitizers", pages.table(("tool", "what runs", "result", "faults"), rows, 4))
    sys.exit(not passed)


if __name__ == "__main__":
    main()
