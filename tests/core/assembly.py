"""The assembly that CMake's own commands give for the instruction-set units, and the arithmetic in it."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.kept import KEPT

ROOT = Path(__file__).parents[2]
# Configuring needs no pybind11 and no Python headers: only the units are compiled here.
PYBIND11 = "function(pybind11_add_module name)\n  add_library(${name} MODULE ${ARGN})\nendfunction()\n"
_LINE = re.compile(r"(?P<function>[A-Za-z_][\w.$]*):|(?P<label>\.L\w+):|\t(?P<instruction>[a-z][\w.]*(?:\t.*)?)")


class Instructions(NamedTuple):
    """What the instructions of interest look like, with their operands: float32 arithmetic that fills a register, that
    of one value, products of 32-bit integers in 64 bits, and jumps to a label.
    """

    packed: re.Pattern[str]
    scalar: re.Pattern[str]
    product: re.Pattern[str]
    jump: re.Pattern[str]


def _x86(register: str) -> Instructions:
    arithmetic = r"v?(?:mul|add|sub|div|sqrt|fn?m(?:add|sub)\d+)"
    patterns = rf"{arithmetic}ps\t.*{register}", rf"{arithmetic}ss\b", rf"v?pmuludq\t.*{register}", r"j\w+\t(?P<to>.*)"
    return Instructions(*map(re.compile, patterns))


INSTRUCTIONS = {"default": _x86("%xmm"), "avx2": _x86("%ymm"), "avx512": _x86("%zmm")}
NEON = Instructions(
    re.compile(r"f(?:mul|add|sub|div|sqrt|ml[as])\t.*\.4s"),
    re.compile(r"f(?:mul|add|sub|div|sqrt|n?m(?:add|sub))\ts\d"),
    re.compile(r"umull2?\t.*\.2d"),
    re.compile(r"(?:b\.?[a-z]+|[ct]bn?z)\t(?:.*, )?(?P<to>\S+)"),
)


class Function(NamedTuple):
    """How much float32 arithmetic a function holds.

    `loops` has the packed instructions of full width in each loop without branches, which is what a compiler makes of a
    loop it vectorises; `packed` and `scalar` are those of the whole function, `products` its packed integer ones.
    """

    name: str
    loops: list[int]
    packed: int
    scalar: int
    products: int


class _Counts:
    def __init__(self) -> None:
        self.loops: list[int] = []
        self.packed = self.scalar = self.products = 0


def _output(words: list[str], **options: str) -> str:
    result = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


def functions(assembly: str, instructions: Instructions) -> Iterator[Function]:
    """What a listing (of x86-64, in AT&T syntax) holds, by demangled name."""
    counts: dict[str, _Counts] = {}
    current, label, before = _Counts(), "", 0
    for line in assembly.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match["function"]:
            current, label = counts.setdefault(match["function"], _Counts()), ""
        elif match["label"]:
            label, before = match["label"], current.packed
        elif jump := instructions.jump.fullmatch(match["instruction"]):
            if jump["to"] == label:
                current.loops.append(current.packed - before)
        else:
            current.packed += bool(instructions.packed.match(match["instruction"]))
            current.scalar += bool(instructions.scalar.match(match["instruction"]))
            current.products += bool(instructions.product.match(match["instruction"]))
    plain = [re.sub(r"\.(_omp_fn|isra|part|constprop|cold)\b.*", "", symbol) for symbol in counts]
    names = _output(["c++filt"], input="\n".join(plain)).replace("(anonymous namespace)::", "").splitlines()
    for name, count in zip(names, counts.values(), strict=True):
        yield Function(name, count.loops, count.packed, count.scalar, count.products)


def commands(build: Path) -> dict[str, list[list[str]]]:
    """The commands that CMake records for the files of each unit, stopping at assembly on their standard output."""
    (build / "pybind11Config.cmake").write_text(PYBIND11)
    options = {"CMAKE_BUILD_TYPE": "Release", "CMAKE_EXPORT_COMPILE_COMMANDS": "ON", "pybind11_DIR": str(build)}
    generator = "Unix Makefiles" if shutil.which("make") else "Ninja"
    configure = ["cmake", "-S", str(ROOT), "-B", str(build), "-G", generator]
    configure += [f"-D{name}={value}" for name, value in options.items()]
    _output(configure)
    found = dict[str, list[list[str]]]()
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if unit := re.search(r"unit_(\w+)\.dir", entry["command"]):
            words = shlex.split(entry["command"])
            at = words.index("-o")
            found.setdefault(unit[1], []).append([*words[:at], *words[at + 2 :], "-S", "-o", "-"])
    return found


def kept_by_install(unit: str) -> list[Path]:
    """The listings that an editable install with FASTVAE_KEEP_ASSEMBLY left; none that is older than a source."""
    sources = [ROOT / "CMakeLists.txt", *(ROOT / "cmake").iterdir(), *(ROOT / "csrc").rglob("*.[ch]*")]
    newest = max(path.stat().st_mtime for path in sources)
    files = sorted((ROOT / "csrc" / "kernels").glob("*.cpp"))
    for folder in ROOT.glob(f"build/*/CMakeFiles/unit_{unit}.dir/csrc/kernels"):
        listings = [folder / f"{file.name}.s" for file in files]
        if all(path.exists() and path.stat().st_mtime > newest for path in listings):
            return listings
    return []


def functions_of(unit: str, kept: Path = KEPT / "assembly") -> list[Function]:
    """The functions of a unit: of an install, or of a minute of compiling, once for a state of the sources."""
    if listings := kept_by_install(unit):
        return [found for path in listings for found in functions(path.read_text(), INSTRUCTIONS[unit])]
    with tempfile.TemporaryDirectory() as build:
        compilations = commands(Path(build))[unit]
        version = _output([compilations[0][0], "--version"])
        sources = [Path(__file__), *sorted((ROOT / "csrc").rglob("*.[ch]*"))]
        parts = [
            version.encode(),
            *(word.encode() for command in compilations for word in command),
            *(path.read_bytes() for path in sources),
        ]
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
        listing = kept / f"{unit}-{digest}.json"
        if not listing.exists():
            found = [
                function for command in compilations for function in functions(_output(command), INSTRUCTIONS[unit])
            ]
            kept.mkdir(parents=True, exist_ok=True)
            listing.write_text(json.dumps(found))
    return [Function(*row) for row in json.loads(listing.read_text())]
