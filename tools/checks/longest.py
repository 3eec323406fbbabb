"""The tests marked ``nightly``: what `.ci/run` tries a sample of, tried whole.

python -m tools.checks.longest      all of them, into docs/checks.md
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from bench import ROOT, pages
from tools.checks import page


def results(report: Path) -> dict[str, Counter[str]]:
    """How many tests passed, failed or were skipped, by file, of what pytest wrote in JUnit's format."""
    found: dict[str, Counter[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # pytest's own file
        outcome = next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), "passed")
        outcome = {"failure": "failed", "error": "failed"}.get(outcome, outcome)
        name = re.sub(r"(\.test_\w+).*", r"\1", case.attrib["classname"]).replace(".", "/") + ".py"  # not its class
        found.setdefault(name, Counter())[outcome] += 1
    return dict(sorted(found.items()))


def text(found: dict[str, Counter[str]]) -> str:
    """The table."""
    outcomes = ("passed", "failed", "skipped")
    rows = [(f"`{name}`", *(str(of[outcome]) for outcome in outcomes)) for name, of in found.items()]
    return pages.table(("file", *outcomes), rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.longest")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at once")
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-m", "nightly", "-p", "no:cacheprovider", "-n", str(jobs), "--dist", "worksteal"]
        command = [sys.executable, "-m", "pytest", *options, f"--junit-xml={report}"]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code not in (0, 1):
            raise SystemExit(code)
        page.record("longest", text(results(report)))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
