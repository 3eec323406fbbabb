"""The extension compiled for one instruction set, without CMake and in a folder of its own, with other flags."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pybind11

LANGUAGE: Final = ("-std=c++17", "-DFASTVAE_UNIT=default", "-fopenmp", "-ffp-contract=off", "-fno-math-errno")


def command(sources: Path, file: Path, flags: Sequence[str]) -> list[str]:
    """The compiler's, for one file of `sources`, a csrc."""
    include = [f"-I{sources}", f"-isystem{pybind11.get_include()}", f"-isystem{sysconfig.get_path('include')}"]
    return ["c++", *LANGUAGE, "-fPIC", "-fvisibility=hidden", *include, *flags, str(file)]


def files(sources: Path) -> list[Path]:
    """What is compiled."""
    return sorted(sources.glob("*.cpp")) + sorted((sources / "kernels").glob("*.cpp"))


def built(sources: Path, folder: Path, flags: Sequence[str], jobs: int) -> Path:
    """Compile and link it; unoptimised unless the flags say otherwise.

    Args:
        sources: a csrc.
        folder: where objects and the extension go; it exists.
        flags: of the compiler and of the linker.
        jobs: how many compilers at once.

    Raises:
        RuntimeError: it does not compile; with what the compiler says.
    """
    objects = {file: folder / f"{'-'.join(file.relative_to(sources).parts)}.o" for file in files(sources)}

    def compiled(file: Path) -> None:
        _checked([*command(sources, file, flags), "-c", "-o", str(objects[file])])

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(compiled, objects))
    extension = folder / f"_C{sysconfig.get_config_var('EXT_SUFFIX')}"
    _checked(["c++", "-shared", "-fopenmp", *flags, "-o", str(extension), *map(str, objects.values())])
    return extension


def _checked(arguments: Sequence[str]) -> None:
    result = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {result.stderr[:2000]}")
