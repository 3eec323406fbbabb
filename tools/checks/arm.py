"""The C++ on other processors, compilers and systems: ``python -m tools.checks.arm``.

`tests/native` is compiled for arm64 and runs under qemu-user, and its hot loops are read. For other compilers and
systems it is compiled and, where it can, linked and run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import ROOT, pages
from tests.core.assembly import NEON, Function, functions
from tests.core.test_vectorization import HOT
from tools.checks.page import record

BUILD: Final = ROOT / "build" / "arm"
ZIG: Final = (sys.executable, "-m", "ziglang")
NOISE: Final = ("noise_of_the_document", "noise_of_any_length", "noise_digest")
# A mode in which clang reads MSVC's branches: its own name is taken from it, and Microsoft's headers are stand-ins.
MICROSOFT: Final = (
    "--target=x86_64-pc-windows-msvc",
    "-ffreestanding",
    "-fms-extensions",
    "-fms-compatibility-version=19.40",
)


class System(NamedTuple):
    """A system that is compiled for: its compiler, options of CMake, and the units whose programs run here; those are
    compiled for a release where nothing else is said."""

    title: str
    compiler: tuple[str, ...]
    options: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    flags: str = ""


SYSTEMS: Final = {
    "arm64": System(
        "Linux arm64",
        ("aarch64-linux-gnu-g++",),
        (f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'aarch64-linux-gnu.cmake'}",),
        ("default",),
    ),
    # At -O3 clang 14 takes longer than a quarter of an hour for a unit, of which GCC takes two minutes.
    "clang": System("Linux x86-64", ("clang++",), runs=("default", "avx2"), flags="-O1"),
    "single": System("Linux x86-64, no OpenMP", ("g++",), ("-DFASTVAE_OPENMP=OFF",), ("default", "avx2")),
    "mingw": System("Windows x86-64", ("x86_64-w64-mingw32-g++-posix",), ("-DCMAKE_SYSTEM_NAME=Windows",)),
    "zig-windows": System(
        "Windows x86-64", (*ZIG, "c++", "-target", "x86_64-windows-gnu"), ("-DCMAKE_SYSTEM_NAME=Windows",)
    ),
    "zig-macos": System("macOS arm64", (*ZIG, "c++", "-target", "aarch64-macos"), ("-DCMAKE_SYSTEM_NAME=Darwin",)),
    "zig-macos-x86": System("macOS x86-64", (*ZIG, "c++", "-target", "x86_64-macos"), ("-DCMAKE_SYSTEM_NAME=Darwin",)),
}


def missing(name: str) -> str:
    """What this machine lacks to compile for a system, and to run what it says it runs; empty if nothing."""
    system = SYSTEMS[name]
    lacks = [] if shutil.which(system.compiler[0]) else [system.compiler[0]]
    if system.compiler[:3] == ZIG and not importlib.util.find_spec("ziglang"):
        lacks.append("ziglang")
    if name == "arm64" and not shutil.which("qemu-aarch64"):
        lacks.append("qemu-aarch64")
    return ", ".join(lacks)


def build(name: str, folder: Path, kind: str, flags: str = "") -> Path:
    """Compile and link `tests/native` for a system, warnings being errors.

    Args:
        name: Of the system, a key of `SYSTEMS`.
        folder: Where to; made if need be.
        kind: CMake's build type.
        flags: Others of the compiler.

    Returns:
        The folder with the programs.

    Raises:
        RuntimeError: CMake or the compiler failed.
    """
    system = SYSTEMS[name]
    folder.mkdir(parents=True, exist_ok=True)
    compiler = folder / "compiler"
    compiler.write_text(f'#!/bin/sh\nexec {" ".join(system.compiler)} "$@"\n')
    compiler.chmod(0o755)
    options = [f"-DCMAKE_BUILD_TYPE={kind}", f"-DCMAKE_CXX_FLAGS={flags}", "-DCMAKE_COMPILE_WARNING_AS_ERROR=ON"]
    if name == "arm64":
        options.append("-DFASTVAE_KEEP_ASSEMBLY=ON")
    else:
        options.append(f"-DCMAKE_CXX_COMPILER={compiler}")
    _output(["cmake", "-S", str(ROOT / "tests" / "native"), "-B", str(folder), *options, *system.options])
    _output(["cmake", "--build", str(folder), "-j", str(len(os.sched_getaffinity(0)))])
    return folder


def run(name: str, folder: Path, unit: str, tests: Sequence[str] = ()) -> str:
    """Run the native test of a unit, under an emulator where the processor is another.

    Args:
        name: Of the system, a key of `SYSTEMS`.
        folder: What `build` returned.
        unit: The instruction-set unit.
        tests: Names of tests; default: all.

    Returns:
        Its last line: tests, checks, failures.

    Raises:
        RuntimeError: A check failed.
    """
    emulator = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"] if name == "arm64" else []
    return _output([*emulator, str(folder / f"native_{unit}"), *tests]).splitlines()[-1]


def read_by_microsoft(unit: str, flags: Sequence[str]) -> None:
    """Have clang read MSVC's branches of the kernels, with stand-ins for Microsoft's headers.

    Raises:
        RuntimeError: it refuses them.
    """
    stand_ins = Path(__file__).parent / "microsoft"
    own = [*MICROSOFT, "-U__clang__", "-isystem", str(stand_ins), "-std=c++17", *flags]
    for file in sorted((ROOT / "csrc" / "kernels").glob("*.cpp")):
        include = [
            f"-I{ROOT / 'csrc'}",
            f"-DFASTVAE_UNIT={unit}",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unknown-pragmas",
        ]
        _output(["clang++", *own, *include, "-fsyntax-only", str(file)])


def hot_loops(folder: Path) -> list[tuple[str, str]]:
    """Count the hot loops of `tests/core/test_vectorization.py` and the noise in the listings of arm64.

    Args:
        folder: What `build` returned for arm64, optimised.

    Returns:
        Rows of a table: what was counted, how many there are.

    Raises:
        RuntimeError: there are fewer than on x86-64.
    """
    listings = sorted(folder.glob("CMakeFiles/unit_default.dir/**/*.s"))
    found = [function for path in listings for function in functions(path.read_text(), NEON)]
    short = [
        f"{hot.kernel} {hot.variant}"
        for hot in HOT
        if _loops(found, f"{hot.kernel}.*{hot.variant}", hot.floor) < hot.loops
    ]
    (noise,) = (function for function in found if re.search(r"fill_normal<float>\(", function.name))
    if short or noise.scalar or noise.products < 16 or max(noise.loops) < 19:
        raise RuntimeError(f"not vectorised: {', '.join(short) or noise}")
    return [
        ("hot loops with the packed float32 instructions (`.4s`) that x86-64 must have", f"{len(HOT)} of {len(HOT)}"),
        ("packed float32 instructions in the loop of Box-Muller", str(max(noise.loops))),
        ("`umull` and `umull2` in a round of Philox, of 16 counters", str(noise.products)),
        ("scalar float32 instructions of the noise", str(noise.scalar)),
    ]


def _loops(found: Sequence[Function], pattern: str, floor: int) -> int:
    return sum(size >= floor for function in found if re.search(pattern, function.name) for size in function.loops)


def _output(command: Sequence[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{(result.stdout + result.stderr)[-3000:]}")
    return result.stdout


def _version(system: System) -> str:
    if system.compiler[:3] == ZIG:
        return f"zig {_output([*ZIG, 'version']).strip()}"
    return _output([system.compiler[0], "--version"]).splitlines()[0]


def main() -> None:
    """Compile for all systems, run what runs here, and write it into docs/checks.md."""
    argparse.ArgumentParser(prog="python -m tools.checks.arm", description=__doc__).parse_args()
    rows, loops = [], list[tuple[str, str]]()
    for name, system in SYSTEMS.items():
        if lacks := missing(name):
            sys.exit(f"{name}: needs {lacks}")
        folder = build(name, BUILD / name, "Debug" if system.flags or not system.runs else "Release", system.flags)
        results = [run(name, folder, unit) for unit in system.runs]
        rows.append((system.title, _version(system), "; ".join(results) or "compiled and linked"))
        print(*rows[-1], sep=" | ", flush=True)
        if name == "arm64":
            loops = hot_loops(folder)
    for unit, flags in (("default", []), ("avx2", ["-mavx2", "-mfma"]), ("avx512", ["-march=skylake-avx512"])):
        read_by_microsoft(unit, flags)
    version = _version(SYSTEMS["clang"])
    rows.append(("Windows x86-64, MSVC's branches of the kernels", f"{version} in Microsoft's mode", "read"))
    tables = pages.table(("system", "compiler", "`tests/native`"), rows, 3), pages.table(("on arm64", "found"), loops)
    record("arm", "\n\n".join(tables))


if __name__ == "__main__":
    main()
