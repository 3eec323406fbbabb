"""The kernels of the product as an sm_90 would load them, on the machine: the tests of a GPU, without one.

They run in a process of their own, because Triton's interpreter is chosen when Triton is first imported.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.kept import KEPT

pytestmark = pytest.mark.minutes(3)

ROOT = Path(__file__).parents[2]
EXECUTED = re.compile(r"executed PTX for sm_90: (\d+) kernels in (\d+) variants, .*; reached [\d,]+ of [\d,]+ .*")


def passing(*arguments: str, every: int = 1, **settings: str) -> str:
    """What pytest says of tests that pass."""
    environment = os.environ | {"FASTVAE_GPU_DRY_RUN": "machine", "FASTVAE_GPU_DRY_RUN_EVERY": str(every)} | settings
    # What is compiled ends with PTX, and must not be found by those who need machine code.
    environment |= {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(KEPT / "ptx"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    return result.stdout


def executed(*arguments: str, every: int = 1, **settings: str) -> tuple[str, int, int]:
    """What the run says of itself, and how many kernels and variants that is."""
    output = passing(*arguments, every=every, **settings)
    line = EXECUTED.search(output)
    assert line is not None, output[-2000:]
    return line[0], int(line[1]), int(line[2])


def test_a_few_of_the_kernels(noted: Callable[[str, str], None]) -> None:
    selected = "three_ways or sizes or second or any_stretch or shard or sum_beside or draws_it_again"
    line, kernels, variants = executed("tests/gpu/test_noise.py", "tests/gpu/test_ops.py", "-k", selected, every=40)
    noted("a few executed", line)
    assert kernels >= 5
    assert variants >= 30


def test_the_machine_refuses_what_kernels_may_not_do() -> None:
    passing("tests/simt/of_triton.py")


# Every so many cases.
SOME = pytest.param(24, marks=pytest.mark.slow)
MORE = pytest.param(4, marks=pytest.mark.nightly)


@pytest.mark.parametrize("every", [SOME, MORE])
def test_all_kernels(every: int, noted: Callable[[str, str], None]) -> None:
    """Of every op, in cases that the tests of a GPU launch: all of them take a core ten minutes."""
    files = [f"tests/gpu/test_{name}.py" for name in ("noise", "ops", "large", "compile")]
    line, kernels, variants = executed(*files, every=every)
    noted("all executed", line)
    assert kernels >= 14
    assert variants >= 100


@pytest.mark.parametrize("every", [pytest.param(48, marks=pytest.mark.slow), MORE])
@pytest.mark.parametrize("approximations", ["highest", "lowest"])
def test_the_worst_that_approximate_instructions_may_give(
    approximations: str, every: int, noted: Callable[[str, str], None]
) -> None:
    """And what else a device may do: contract products and sums, and begin with the last block.

    Not the tests that hold a result to fewer units than such instructions are off, where a difference leaves little.
    """
    settings = {"FASTVAE_PTX_APPROXIMATIONS": approximations, "FASTVAE_PTX_OTHERWISE": "1"}
    line, *_ = executed("tests/gpu/test_ops.py", "-k", "not every_scale and not special", every=every, **settings)
    noted(f"executed with {approximations} approximations", line)
