"""Among very many elements: no more than twice torch's own error, over all tensors of a dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import fastvae


def outputs_and_gradients(f: Callable[..., Any], inputs: Sequence[Tensor], scale: float = 1.5) -> list[Tensor]:
    """The outputs of f and the gradients of every input that requires one, for fixed upstream gradients."""
    outputs = f(*inputs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    required = [value for value in inputs if value.requires_grad]
    generator = torch.Generator().manual_seed(5)
    upstream = [
        (scale * (0.5 + torch.rand(output.shape, generator=generator, dtype=torch.float64))).to(output)
        for output in outputs
    ]
    gradients = torch.autograd.grad(outputs, required, upstream) if required else ()
    return [*(output.detach() for output in outputs), *gradients]


def relative_error(value: Tensor, exact: Tensor) -> float:
    """The largest error over the largest value."""
    largest = exact.abs().max()
    return float((value.double() - exact).abs().max() / largest) if largest > 0 else float(value.double().abs().max())


def assert_as_accurate(fused: Sequence[Tensor], torch_values: Sequence[Tensor], exact: Sequence[Tensor]) -> None:
    """No fused error is more than twice torch's own over all outputs of the same dtype, and the rounding of a result.

    Twice, because torch's largest error over a few numbers is one draw of a random quantity. In float64, where torch
    is taken as exact, a sum may add up a few roundings. The interpreter truncates to bfloat16 where a device rounds.
    """
    own: dict[torch.dtype, float] = {}
    for value, truth in zip(torch_values, exact, strict=True):
        if value.numel():
            own[value.dtype] = max(own.get(value.dtype, 0.0), relative_error(value, truth))
    for index, (value, torch_value, truth) in enumerate(zip(fused, torch_values, exact, strict=True)):
        assert value.dtype == torch_value.dtype
        assert value.shape == torch_value.shape
        if value.numel() == 0:
            continue
        roundings = 32 if value.dtype == torch.float64 else 1
        limit = 2 * own[value.dtype] + roundings * torch.finfo(value.dtype).eps
        error = relative_error(value, truth)
        assert error <= limit, f"value {index}: relative error {error:.2e}, takes at most {limit:.2e}"


def check(f: Callable[..., Any], *inputs: Tensor, scale: float = 1.5) -> None:
    """f on the kernels is as accurate as the reference in the same dtype, forward and backward."""
    fused = outputs_and_gradients(f, inputs, scale)
    with fastvae.use_backend("reference"):
        same = outputs_and_gradients(f, inputs, scale)
        wide = [value.detach().double() if value.is_floating_point() else value for value in inputs]
        wide = [new.requires_grad_(old.requires_grad) for new, old in zip(wide, inputs, strict=True)]
        exact = outputs_and_gradients(f, wide, scale)
    assert_as_accurate(fused, same, exact)
