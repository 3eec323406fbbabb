"""Seeds that are drawn on the host for a CUDA device: the draws of torch.randint there, from the same generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import fastvae.functional as F
from fastvae import _C, _noise, _ops
from tests.support.backends import on


class Generator:
    """The state of a CUDA generator, as Python sees it."""

    def __init__(self, seed: int = 7) -> None:
        self.seed, self.offset = seed, 0

    def initial_seed(self) -> int:
        return self.seed

    def get_offset(self) -> int:
        return self.offset

    def set_offset(self, offset: int) -> None:
        assert offset % 4 == 0
        self.offset = offset


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    """The default generator of a device that CPU tensors are taken to be on."""
    made = Generator()
    monkeypatch.setattr(torch.cuda, "default_generators", (made,))
    monkeypatch.setattr(_noise, "_takes_a_value", lambda mu: True)
    monkeypatch.setattr(_noise, "is_capturing", lambda device: False)
    return made


@contextmanager
def no_launch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ops that draw or fill on the device fail."""
    with monkeypatch.context() as patch:
        patch.setattr(_ops, "seed", lambda *_: pytest.fail("a launch"))
        patch.setattr(_ops, "draw_seed", lambda *_: pytest.fail("a launch"))
        yield


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 in Python's integers."""
    low = 0xFFFFFFFF
    for _ in range(10):
        first, second = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [(second >> 32) ^ counter[1] ^ key[0], second & low, (first >> 32) ^ counter[3] ^ key[1], first & low]
        key = [(key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low]
    return counter


def test_a_known_answer_of_random123() -> None:
    assert _C.cuda_randint(0, 0) == 0x6627E8D5E169C58D - 2**63


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 + 5, 2**64 - 1])
@pytest.mark.parametrize("offset", [0, 4, 400, 2**34, 2**63])
def test_a_draw_is_the_first_two_words_of_the_generators_counter(seed: int, offset: int) -> None:
    group = offset // 4
    words = philox([group & 0xFFFFFFFF, group >> 32, 0, 0], [seed & 0xFFFFFFFF, seed >> 32])
    assert _C.cuda_randint(seed, offset) == (words[0] << 32 | words[1]) % (2**64 - 1) - 2**63


def sample(**options: object) -> Tensor:
    """eps itself, by the kernels of a GPU."""
    mu = torch.zeros(3, 20)
    with on("triton"):
        z: Tensor = F.reparameterize(mu, torch.ones_like(mu), parameterization="std", **options)
    return z


def test_each_draw_moves_the_generator_by_four(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    with no_launch(monkeypatch):
        drawn = [sample() for _ in range(3)]
    assert generator.offset == 12
    for index, eps in enumerate(drawn):
        assert torch.equal(eps, sample(seed=_C.cuda_randint(7, 4 * index)))
    generator.offset = 4
    assert torch.equal(sample(), drawn[1])


def test_a_generator_that_is_given_is_the_one_that_moves(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Generator(3)
    with no_launch(monkeypatch):
        drawn = _noise._drawn(torch.zeros(2), own)
    assert (generator.offset, own.offset) == (0, 4)
    assert drawn.item() == _C.cuda_randint(3, 0)


def test_backward_draws_the_noise_of_forward(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """With z = mu + sigma eps, the gradient of sigma is eps."""
    scale = torch.ones(3, 20, requires_grad=True)
    with on("triton"), no_launch(monkeypatch):
        z = F.reparameterize(torch.zeros(3, 20), scale, parameterization="std")
        sample()
        z.sum().backward()
    assert torch.equal(scale.grad, z)


def test_a_capture_draws_on_the_device(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_noise, "is_capturing", lambda device: True)
    torch.manual_seed(0)
    first = sample()
    torch.manual_seed(0)
    assert torch.equal(sample(seed=_ops.draw_seed(torch.zeros(1))), first)
    assert generator.offset == 0


def test_a_trace_and_a_transform_draw_on_the_device() -> None:
    def at_once(mu: Tensor) -> Tensor:
        return mu + int(_noise._is_called_at_once(mu))

    mu = torch.zeros(3, 2)
    assert torch.equal(at_once(mu), mu + 1)
    assert torch.equal(torch.compile(at_once, backend="eager", fullgraph=True)(mu), mu)
    assert torch.equal(torch.func.vmap(at_once)(mu), mu)
    with FakeTensorMode() as mode:
        assert not _noise._is_called_at_once(mode.from_tensor(mu))


def test_an_op_on_one_device_takes_a_seed_of_the_host() -> None:
    assert _C.direct_call_device((torch.zeros(2), torch.tensor([3]))) == "cpu"
    assert _C.direct_call_device((torch.tensor([3]),)) is None
    assert _C.direct_call_device((torch.empty(2, device="meta"), torch.tensor([3]))) is None
