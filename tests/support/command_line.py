"""The command line inside the test's process, on runs of a second or less."""

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock, patch

import numpy as np

from fastvae.train import cli
from fastvae.train.pictures import run

# For a network without a latent, and for a model with one.
TINY_NETWORK = ("--hidden", "16", "--batch-size", "500", "--threads", "1")
TINY = (*TINY_NETWORK, "--latent-dim", "2")


class Result(NamedTuple):
    code: int
    out: str
    err: str


def fastvae(*arguments: object) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.run([str(argument) for argument in arguments])
    return Result(code, out.getvalue(), err.getvalue())


@contextmanager
def without_pictures() -> Iterator[None]:
    """`fastvae train` draws none, which takes far longer than to train a small model; `plot` and `report` do."""
    with patch("fastvae.train.training.pictures", Mock(wraps=run, **{"draw.return_value": []})):
        yield


def fails(*arguments: object) -> str:
    """The one line that a user's mistake is answered with."""
    result = fastvae(*arguments)
    assert result.code == 2, result
    assert result.err.startswith("fastvae: error: "), result
    assert result.err.count("\n") == 1, result
    return result.err


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def mnist(folder: Path, train: int = 40, test: int = 20) -> Path:
    """A folder like MNIST's, of random images."""
    folder.mkdir(exist_ok=True)
    random = np.random.RandomState(0)
    for prefix, count in (("train", train), ("t10k", test)):
        images = random.randint(0, 256, (count, 28, 28)).astype(np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
    return folder
