"""An extension that holds many changes of its kernels, of which a process chooses one."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.checks import one_unit
from tools.checks.mutations.change import Change
from tools.checks.mutations.of_cpp import with_changes

CHOICE: Final = "FASTVAE_CHANGE"
"""The environment variable that says which change is made; the extension reads it when it is loaded."""

_CHOICE_HEADER: Final = f"""#pragma once
#include <stdlib.h>
namespace {{
inline int read_choice() {{ const char* text = getenv("{CHOICE}"); return text ? atoi(text) : -1; }}
const int choice = read_choice();
}}
"""


def built(sources: Path, folder: Path, changes: Mapping[str, Mapping[int, Change]], jobs: int) -> tuple[Path, set[int]]:
    """Compile an extension of one instruction set with all changes in it.

    Args:
        sources: csrc.
        folder: where it is built, emptied first.
        changes: of each header, by its path below `sources`, with the number that chooses each.
        jobs: how many compilers at once.

    Returns:
        The extension, and the numbers of changes that are none, because they would not compile.

    Raises:
        RuntimeError: it does not compile without them either.
    """
    copy = folder / "csrc"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sources, copy)
    (copy / "choice.h").write_text(_CHOICE_HEADER, encoding="utf-8")
    flags = ("-mfma", "-w", "-include", str(copy / "choice.h"))
    refused: set[int] = set()
    while True:
        kept = {
            header: {number: change for number, change in numbered.items() if number not in refused}
            for header, numbered in changes.items()
        }
        for header, numbered in kept.items():
            (copy / header).write_bytes(with_changes((sources / header).read_bytes(), numbered))
        errors = _errors(copy, flags)
        if "error:" not in errors:
            break
        more = {number for header, numbered in kept.items() for number in _named(errors, sources, header, numbered)}
        if not more:
            raise RuntimeError(f"the kernels do not compile: {errors[:2000]}")
        refused |= more
    return one_unit.built(copy, folder, flags, jobs), refused


def _errors(copy: Path, flags: tuple[str, ...]) -> str:
    said = ""
    for file in sorted((copy / "kernels").glob("*.cpp")):
        command = one_unit.command(copy, file, [*flags, "-fsyntax-only"])
        said += subprocess.run(command, capture_output=True, text=True, check=False).stderr
    return said


def _named(errors: str, sources: Path, header: str, numbered: Mapping[int, Change]) -> set[int]:
    """The changes on the lines of a header that the compiler names."""
    lines = {int(line) for line in re.findall(rf"{re.escape(header)}:(\d+):\d+: (?:error|  required)", errors)}
    source = (sources / header).read_bytes()

    def line(at: int) -> int:
        return source.count(b"\n", 0, at) + 1

    return {
        number for number, change in numbered.items() if lines & set(range(line(change.begin), line(change.stop) + 1))
    }
