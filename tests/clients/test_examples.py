"""The examples run as their first lines say, here on a handful of images."""

import re
import runpy
import tempfile
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.support.command_line import mnist

FOLDER = Path(__file__).parents[2] / "examples"
SLOW = ("kl_schedules", "s2_segmentation")


@cache
def output(name: str, *options: str) -> str:
    """What it prints after two epochs, on a handful of images where it takes a folder of them."""
    example = FOLDER / f"{name}.py"
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()) as printed:
        takes_images = f"\npython examples/{example.name} MNIST_FOLDER" in example.read_text()
        images = [str(mnist(Path(folder)))] if takes_images else []
        with patch("sys.argv", [str(example), *images, "--epochs", "2", *options]), pytest.raises(SystemExit) as end:
            runpy.run_path(str(example), run_name="__main__")
    assert end.value.code in (None, 0)
    return printed.getvalue()


EXAMPLES = [path.stem for path in sorted(FOLDER.glob("*.py"))]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in EXAMPLES]
)
def test_an_example_trains_and_prints_finite_numbers(name: str) -> None:
    assert f"\npython examples/{name}.py" in (FOLDER / f"{name}.py").read_text()
    lines = output(name).splitlines()
    assert len(lines) >= 2
    assert all(re.search(r"-?\d+\.\d\d\b", line) for line in lines)


def test_the_label_of_s2_may_be_one_hot() -> None:
    assert output("s2_label", "--one-hot") != output("s2_label")
