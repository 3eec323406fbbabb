"""The examples run as their first lines say, here on a handful of images."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import mnist

SLOW = ("s2_segmentation",)
EXAMPLES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in SLOW else [])
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
]


def output(command):
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_trains_and_prints_finite_numbers(example, tmp_path):
    text, usage = example.read_text(), f"python examples/{example.name}"
    assert f"\n{usage}" in text
    folder = [str(mnist(tmp_path / "data"))] if f"{usage} MNIST_FOLDER" in text else []
    command = [sys.executable, example, *folder, "--epochs", "2"]
    lines = output(command).splitlines()
    assert len(lines) >= 2
    assert all(re.search(r"-?\d+\.\d\d\b", line) for line in lines)


def test_the_label_of_s2_may_be_one_hot(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "s2_label.py"
    command = [sys.executable, example, str(mnist(tmp_path / "data")), "--epochs", "1"]
    assert output([*command, "--one-hot"]) != output(command)
