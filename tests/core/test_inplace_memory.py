"""`inplace=True` beside other views of the same memory: refused, or right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import fastvae.functional as F
from tests.support.layouts import LAYOUTS
from tests.support.ops import OVERWRITING_LOSSES

COUNT = 3 * 2048 + 5  # four blocks of the CPU kernels, two of the interpreter's
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


pytestmark = pytest.mark.usefixtures("kernels")


def values(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def overwritten(loss: str, input: Tensor, target: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Loss and gradient of an input that is overwritten: a view, which is no leaf."""
    x = input.detach().requires_grad_()
    value = getattr(F, loss)(x.view_as(x), target, weight=weight, reduction="sum", inplace=True)
    return value.detach(), torch.autograd.grad(value, x)[0]


def two_of_one_array() -> tuple[Tensor, Tensor]:
    """Two storages over the same memory."""
    array = np.ones(16, dtype=np.float32)
    return torch.from_numpy(array[:12]), torch.from_numpy(array[4:])


def shifted() -> tuple[Tensor, Tensor]:
    memory = values(COUNT + 1)
    return memory[1:], memory[:-1]


def interleaved() -> tuple[Tensor, Tensor]:
    """No common element, but each in the range of the other."""
    memory = values(16)
    return memory[::2], memory[1::2]


def of_another_dtype() -> tuple[Tensor, Tensor]:
    memory = values(16)
    return memory[4:8], memory.view(torch.uint8)[28:32]


SHARED: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "one element behind": shifted,
    "two storages": two_of_one_array,
    "interleaved": interleaved,
    "of another dtype": of_another_dtype,
    "transposed": lambda: (lambda square: (square, square.T))(values(5, 5)),
    "expanded": lambda: (lambda x: (x, x[:1].expand(5, 7)))(values(5, 7)),
    "negated": lambda: (lambda z: (z.imag, z.conj().imag))(torch.complex(values(5), values(5))),
}


@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
@pytest.mark.parametrize("case", SHARED)
def test_a_target_in_the_memory_of_the_input_is_refused(case: str, loss: str) -> None:
    input, target = SHARED[case]()
    before = input.clone()
    with pytest.raises(ValueError, match=r"inplace: got True with a target in the memory of input; takes"):
        overwritten(loss, input, target)
    assert torch.equal(input, before)


WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "the same view": lambda x: x,
    "a row": lambda x: x[1],
    "a column": lambda x: x[:, :1],
    "one value": lambda x: x[2, 3],
    "bool": lambda x: x.view(torch.bool)[:, :7],
}


@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
@pytest.mark.parametrize("case", WEIGHTS)
def test_a_weight_in_the_memory_of_the_input_is_refused(case: str, loss: str) -> None:
    input = values(5, 7).sigmoid()
    weight = WEIGHTS[case](input)
    with pytest.raises(ValueError, match=r"inplace: got True with a weight in the memory of input; takes"):
        overwritten(loss, input, values(5, 7), weight)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
def test_the_very_same_view_as_a_target_is_right(loss: str, dtype: torch.dtype, layout: str) -> None:
    """Each element is read, as input and as target, before its gradient is written."""
    input = LAYOUTS[layout](values(5, 9, 71, dtype=dtype))
    weight = values(5, 1, 71)
    copy = input.clone().requires_grad_()
    expected = getattr(F, loss)(copy, input.clone(), weight=weight, reduction="sum")
    (gradient,) = torch.autograd.grad(expected, copy)
    value, written = overwritten(loss, input, input, weight)
    assert torch.equal(value, expected)
    assert torch.equal(written, gradient)


@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
def test_neighbours_in_one_storage_are_right(loss: str) -> None:
    parts = values(3 * COUNT).chunk(3)
    expected = overwritten(loss, *(part.clone() for part in parts))
    for value, other in zip(overwritten(loss, *parts), expected, strict=True):
        assert torch.equal(value, other)


EMPTY: dict[str, Callable[[], Tensor]] = {
    "no samples": lambda: torch.empty(0, 3),
    "no features": lambda: torch.empty(3, 0),
    "no samples, expanded": lambda: torch.empty(0, 1).expand(0, 3),
    "no features, expanded": lambda: torch.empty(1, 0).expand(3, 0),
    "a slice": lambda: torch.ones(4, 4)[2:2],
}


@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
@pytest.mark.parametrize("case", EMPTY)
def test_empty_tensors_are_taken(case: str, loss: str) -> None:
    input = EMPTY[case]()
    for target in (torch.zeros(input.shape), input):
        value, gradient = overwritten(loss, input, target)
        assert value == 0
        assert gradient.shape == input.shape


@pytest.mark.parametrize(
    "input",
    [torch.ones(1, 4).expand(3, 4), torch.ones(9).unfold(0, 3, 1), torch.ones(8).as_strided((3, 3), (2, 1))],
    ids=["expanded", "windows", "rows that overlap"],
)
def test_an_input_whose_elements_share_memory_is_refused(input: Tensor) -> None:
    with pytest.raises(ValueError, match=r"inplace: got True with an input whose elements share memory; takes"):
        overwritten("mse_loss", input, torch.zeros(input.shape))


def test_a_negated_view_is_refused() -> None:
    """Its memory holds the opposite sign: a gradient written there would be read with it."""
    z = torch.complex(values(5), values(5)).requires_grad_()
    for input in (torch.imag(z.conj()), torch.imag(z.detach().conj())):
        assert input.is_neg()
        with pytest.raises(ValueError, match=r"inplace: got True with a negated view as input; takes"):
            F.mse_loss(input, torch.zeros(5), inplace=True)


def test_shapes_alone_have_no_memory_to_share() -> None:
    def gradient(device: str) -> Tensor:
        x = torch.zeros(3, 4, device=device, requires_grad=True)
        hidden = x * 1
        F.mse_loss(hidden, hidden.detach()[:, :1].expand(3, 4), inplace=True).backward()
        assert x.grad is not None
        return x.grad

    assert gradient("meta").shape == (3, 4)
    with FakeTensorMode():
        assert gradient("cpu").shape == (3, 4)
