"""Checkpoints and weights as files: every bit comes back, and no byte of them may change unnoticed."""

import math
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import fastvae
from fastvae._sealed import DamagedError, opened, sealed
from fastvae.train.errors import UserError
from fastvae.train.files import tree
from fastvae.train.runs import checkpoint, weights
from fastvae.train.runs.folder import RunFolder
from tests.train.fits import QUIET, pairs

MATRIX = torch.arange(6.0).view(2, 3)
VALUES = {
    "tensors": {"transposed": MATRIX.t(), "row": MATRIX[1], "whole": MATRIX, "again": MATRIX, "empty": MATRIX[:0]},
    "dtypes": [
        torch.tensor([1, math.nan, -math.inf, 1e-40]).to(dtype)
        for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn)
    ],
    "counts": [torch.tensor(7), torch.tensor(True), torch.get_rng_state(), torch.tensor(2**62, dtype=torch.int64)],
    "numbers": (1, 1.0, True, None, 2**80, -0.0, 5e-324, 0.1, math.inf, -math.inf, math.nan, (), [], [()]),
    "text": ["", "a/b", "nan", "\n\udc80ü", '"checksum":"'],
    "keys": {0: {1: "a", "1": "b"}, -3: {}, "tensor": {"tensor": 0}, "dict": {"float": "inf"}},
}


def same(found, expected):
    """Type, value and bits."""
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        bits = [tensor.contiguous().flatten().view(torch.uint8) for tensor in (found, expected)]
        assert torch.equal(*bits)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, (list, tuple)):
        for ours, theirs in zip(found, expected, strict=True):
            same(ours, theirs)
    elif isinstance(expected, float):
        assert repr(found) == repr(expected)
    else:
        assert found == expected


@pytest.mark.parametrize("kind", VALUES)
def test_every_bit_comes_back(tmp_path, kind):
    checkpoint.write(tmp_path / "file", VALUES)
    same(checkpoint.read(tmp_path / "file")[kind], VALUES[kind])


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", 1j, torch.float32, {2.5: 0}, torch.Size([1]), nn.ReLU()])
def test_what_would_come_back_as_something_else_is_refused(value):
    with pytest.raises(TypeError, match=r"/0: got .*; takes numbers, text, tensors, lists"):
        tree.taken_apart([value])


def test_the_same_content_is_the_same_bytes():
    first, second = (b"".join(sealed(VALUES["tensors"], {"b": "1", "a": "2"})) for _ in range(2))
    assert first == second


def test_it_is_a_safetensors_file(tmp_path):
    (tmp_path / "file").write_bytes(b"".join(sealed(VALUES["tensors"], {"about": "it"})))
    same(load_file(tmp_path / "file"), load_file(tmp_path / "file") | opened(tmp_path / "file")[0])
    assert opened(tmp_path / "file")[1]["about"] == "it"


def test_no_bit_may_change(tmp_path):
    content = b"".join(sealed({"a": MATRIX, "b": MATRIX.to(torch.uint8)}, {}))
    file = tmp_path / "file"
    for place in range(len(content)):
        for bit in (1, 128):
            file.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            with pytest.raises(DamagedError):
                opened(file)
    for length in range(len(content)):
        file.write_bytes(content[:length])
        with pytest.raises(DamagedError):
            opened(file)
    file.write_bytes(content + b"\0")
    with pytest.raises(DamagedError):
        opened(file)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DamagedError, match="no regular file"):
        opened(tmp_path / "pipe")


def test_weights_of_another_program_are_refused(tmp_path):
    network = nn.Linear(2, 3)
    folder = RunFolder(tmp_path)
    weights.save(network, folder.weights_file)
    weights.load(network, folder)
    save_file(network.state_dict(), folder.weights_file)
    with pytest.raises(UserError, match=r"weights\.safetensors: damaged or unreadable \(it has no checksum\)"):
        weights.load(network, folder)


class Tied(nn.Module):
    """Two names for one parameter."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return (self.second(self.first(x)) - x).square().mean()


def test_tied_parameters_are_saved_and_resumed(tmp_path):
    """They share memory, which safetensors refuses."""
    options = {**QUIET, "inputs": 1, "batch_size": 16}
    model, whole = Tied(), Tied()
    for epochs in (1, 2):
        fastvae.fit(model, pairs(), epochs=epochs, out=tmp_path / "run", resume=epochs == 2, **options)
    fastvae.fit(whole, pairs(), epochs=2, out=tmp_path / "whole", **options)
    same(dict(model.state_dict()), dict(whole.state_dict()))
    assert model.first.weight is model.second.weight
