"""No number is reported of an op whose tests fail."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence

from bench import ROOT


def failures(tests: Iterable[tuple[str, str]], *, whole: bool) -> dict[str, str]:
    """Run test files once each; the last lines of each that failed, by file.

    Args:
        tests: files, relative to the root of the repository, each with the part of it that is run unless `whole`.
    """
    failed = {}
    for file, subset in dict(tests).items():
        command = [sys.executable, "-m", "pytest", "-q", "-x", file, *(() if whole else ("-k", subset))]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode:
            failed[file] = "\n".join((result.stdout + result.stderr).splitlines()[-15:])
    return failed


def refused(tests_of: Mapping[str, Iterable[str]], failed: Iterable[str]) -> dict[str, Sequence[str]]:
    """The ops that a failed file guards, each with those files."""
    bad = set(failed)
    return {op: sorted(bad & set(files)) for op, files in tests_of.items() if bad & set(files)}
