"""What continuous integration installs, by version and hash: ``python -m tools.lock`` takes it from constraints.txt.

A file of `.ci/lock` for each step of `.ci/run`, with what those before it have left out, all that is needed in turn
included: `pip install --require-hashes --no-deps --no-build-isolation` takes them, on any system and Python.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Final

from bench import ROOT

FOLDER: Final = ROOT / ".ci" / "lock"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# In the order in which they are installed, the extras of each.
STEPS: Final = {
    "build": (),
    "test": ("test",),
    "tools": ("dev", "docs"),
    "clients": ("clients", "export"),
    "checks": ("checks",),
    "release": ("release",),
}
# What builds the project: its own requirements are installed by hash, too, so it is built without isolation.
BUILD: Final = (*PROJECT["build-system"]["requires"], "cmake>=3.21", "ninja>=1.11")
# torch's build for CPUs, which PyPI lacks. Where it is to be installed its hash stands alone: pip prefers a wheel
# whose hash an index tells to a local file, whatever the version.
CPU_BUILD: Final = ("torch==2.13.0", "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b")
_THERE: Final = "python_full_version < '3.12' and platform_machine == 'x86_64' and sys_platform == 'linux'"
_NOT_THERE: Final = "python_full_version >= '3.12' or platform_machine != 'x86_64' or sys_platform != 'linux'"
# What is released as source only. Of all else pip takes wheels, so that nothing is built with what has no hash.
SOURCES: Final = ("docrep",)
HEAD: Final = f"# By `python -m tools.lock`.\n--only-binary :all:\n--no-binary {','.join(SOURCES)}\n"


def resolve(extras: tuple[str, ...], constraints: Path, *options: str) -> str:
    """The requirements of some extras (of what builds the project, of none), as uv writes them."""
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder) / "build.in"
        build.write_text("\n".join(BUILD), encoding="utf-8")
        everything = not extras or set(extras) == set(PROJECT["project"]["optional-dependencies"])
        sources = [*(["pyproject.toml"] if extras else []), *([str(build)] if everything else [])]
        command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header"]
        command += ["--no-annotate", "--config-file", str(FOLDER / "uv.toml"), "--constraints", str(constraints)]
        command += [*options, *(f"--extra={extra}" for extra in extras), *sources]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def entries(text: str) -> dict[str, str]:
    """The lines of each requirement of a file, its marker and its hashes, by name and version."""
    found = re.findall(r"^(?=([^\s#]+==\S+))(.*\n(?: .*\n)*)", text, re.MULTILINE)
    return dict(found)


def _with_cpu_build(version: str, lines: str) -> str:
    torch, value = CPU_BUILD
    if version != torch:
        return lines
    others = lines.removeprefix(version)
    return f"{torch} ; {_THERE} \\\n    --hash=sha256:{value}\n{torch} ; {_NOT_THERE}{others}"


def main() -> None:
    """Write the files."""
    if CPU_BUILD[0] not in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        raise SystemExit(
            f"tools.lock: got another torch in constraints.txt than {CPU_BUILD[0]}; takes the hash of its wheel"
        )
    everything = tuple(PROJECT["project"]["optional-dependencies"])
    locked = entries(resolve(everything, ROOT / "constraints.txt", "--generate-hashes"))
    with tempfile.TemporaryDirectory() as folder:
        versions = Path(folder) / "versions.txt"
        versions.write_text("".join(lines.split(" \\\n")[0] + "\n" for lines in locked.values()), encoding="utf-8")
        for step, extras in STEPS.items():
            needed = entries(resolve(extras, versions))
            chosen = {name: locked.pop(name) for name in needed if name in locked}
            text = HEAD + "".join(_with_cpu_build(*entry) for entry in sorted(chosen.items()))
            (FOLDER / f"{step}.txt").write_text(text, encoding="utf-8")
    if locked:
        raise SystemExit(f"tools.lock: no step of .ci/run installs {', '.join(locked)}")


if __name__ == "__main__":
    main()
