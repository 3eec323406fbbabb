"""Wheels as they are released, from the sdist alone, tried outside the checkout: ``python -m tools.checks.wheels``.

Takes the tools of the extra `release`, and minutes of a compiler for each Python.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Final

from bench import ROOT, pages
from tools.checks.page import record

CONSTRAINTS: Final = ROOT / "constraints.txt"
SMOKE: Final = ROOT / "tools" / "smoke.py"
LARGEST: Final = 3_000_000  # bytes: machine code for three instruction sets is nine tenths of it
# How cibuildwheel repairs them, too: the OpenMP runtime is torch's.
REPAIR: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]["linux"][
    "repair-wheel-command"
]
NEVER_IN_SDIST: Final = ("bench/results/", "docs/pictures/", ".ci/", ".github/")
ALWAYS_IN_SDIST: Final = ("CMakeLists.txt", "LICENSE", "csrc/bindings.cpp", "fastvae/__init__.py", "tests/conftest.py")


def _run(*command: str | Path, folder: Path = ROOT) -> str:
    result = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout.strip()


def build_sdist(out: Path) -> Path:
    """Build it, and see that it has what it must and nothing that only a checkout has.

    Args:
        out: a folder.

    Raises:
        SystemExit: a file is missing, or one too many.
    """
    _run("uv", "build", "--sdist", "--build-constraints", CONSTRAINTS, "--out-dir", out)
    (sdist,) = out.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = set(ALWAYS_IN_SDIST) - names
    superfluous = [name for name in names if name.startswith(NEVER_IN_SDIST)]
    if missing or superfluous:
        raise SystemExit(f"{sdist.name}: lacks {sorted(missing)}, has {sorted(superfluous)[:5]}")
    _run("twine", "check", "--strict", sdist)
    return sdist


def build_wheel(sdist: Path, python: Path, out: Path) -> Path:
    """Build a wheel from nothing but an sdist, repair it, and see what is in it.

    Args:
        sdist: to build from.
        python: the interpreter it is for.
        out: an empty folder.

    Raises:
        SystemExit: it is too large, not for many systems, or has a file twice.
    """
    _run("uv", "build", "--wheel", "--python", python, "--build-constraints", CONSTRAINTS, "--out-dir", out, sdist)
    (built,) = out.glob("*.whl")
    _run(*REPAIR.format(dest_dir=out / "repaired", wheel=built).split(), folder=out)
    (wheel,) = (out / "repaired").glob("*.whl")
    _run("check-wheel-contents", wheel)
    _run("twine", "check", "--strict", wheel)
    with zipfile.ZipFile(wheel) as archive:
        licences = [name for name in archive.namelist() if name.endswith("LICENSE-digits")]
        libraries = [name for name in archive.namelist() if ".so" in name]
    size = wheel.stat().st_size
    if size > LARGEST or "manylinux" not in wheel.name or len(licences) != 1 or len(libraries) != 1:
        raise SystemExit(f"{wheel.name}: {size} bytes, {licences}, {libraries}")
    return wheel


def install(wheel: Path, python: Path, environment: Path) -> Path:
    """Install a wheel and what it needs into an empty environment; returns its interpreter."""
    _run(python, "-m", "venv", environment)
    inside = environment / "bin" / "python"
    _run(inside, "-m", "pip", "install", "-q", "-c", CONSTRAINTS, f"{wheel}[train]", folder=environment)
    return inside


def try_without_the_systems_openmp(python: Path, folder: Path) -> str:
    """The smoke test where the system's OpenMP runtime cannot be loaded, as where it is not installed."""
    libraries = sorted({path.resolve() for root in ("/lib", "/usr/lib") for path in Path(root).glob("*/libgomp.so.1")})
    if not libraries:
        return "there is none"
    hide = " && ".join(f"mount --bind /dev/null {library}" for library in libraries)
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", hide]
    if shutil.which("unshare") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        return "untried"
    _run(*command[:-1], f"{hide} && exec {python} -P {SMOKE}", folder=folder)
    return "works"


def main() -> None:
    """Build, repair and try, and put what came of it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, action="append", help="an interpreter; again for more (this one)")
    parser.add_argument(
        "--environment",
        type=Path,
        action="append",
        default=[],
        help="a virtual environment that has torch and what the extra train brings; again for more",
    )
    given = parser.parse_args()
    pythons = given.python or ([] if given.environment else [Path(sys.executable)])
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist = build_sdist(folder / "sdist")
        print(f"{sdist.name}: {sdist.stat().st_size / 1e6:.2f} MB", flush=True)
        for number, python in enumerate([*pythons, *(each / "bin" / "python" for each in given.environment)]):
            wheel = build_wheel(sdist, python, folder / str(number))
            if number < len(pythons):
                inside = install(wheel, python, folder / f"environment-{number}")
            else:
                inside = python
                _run(inside, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel)
            said = _run(inside, "-P", SMOKE, folder=folder).splitlines()[-1]
            found = re.fullmatch(r"Python (\S+) torch (\S+) fastvae \S+", said)
            if found is None:
                raise SystemExit(f"tools/smoke.py: got {said!r}")
            without = try_without_the_systems_openmp(inside, folder)
            tag = wheel.stem.split("-")[-1]
            rows.append([*found.groups(), f"`{tag}`", without, f"{wheel.stat().st_size / 1e6:.2f}"])
            print(*rows[-1], flush=True)
        size = f"{sdist.stat().st_size / 1e6:.2f} MB"
    head = ("Python", "torch", "tag", "without the system's OpenMP", "MB")
    table = pages.table(head, rows, text_columns=4)
    record(
        "wheels",
        f"Each wheel was built from the sdist ({size}) alone, repaired, installed outside the checkout, and passed "
        "`tools/smoke.py`: noise bit for bit, ops against their reference, one OpenMP runtime, `fastvae train`.\n\n"
        + table,
    )


if __name__ == "__main__":
    main()
