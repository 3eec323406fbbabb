"""Changes the mathematics, runs the tests, and says which changes no test has seen.

python -m tools.checks.mutations                       a sample of all files, into docs/checks.md
python -m tools.checks.mutations --only scale_forms    of files with this in their name; the page stays as it is
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from bench import ROOT
from tools.checks import page
from tools.checks.mutations import found, sampled


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.checks.mutations")
    parser.add_argument("--mutants", type=int, default=200, help="how many changes, over all files")
    parser.add_argument("--seed", type=int, default=0, help="which of all changes are in the sample")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes at once")
    parser.add_argument("--only", default="", help="files whose path has this in it")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "mutations", help="where C++ is compiled")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, for processes that share the cores
    os.environ["TRITON_INTERPRET"] = "1"
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder  # what fails under a change need not fail without
        mutants = sampled.sample(arguments.mutants, arguments.seed, arguments.only)
        outcomes = found.outcomes(mutants, Path(folder), arguments.build, arguments.jobs)
        text = found.text(mutants, outcomes, arguments.seed)
    print(text)
    if not arguments.only:
        page.record("mutations", text)


if __name__ == "__main__":
    main()
