"""Which implementation an op runs: chosen by device, unless this thread asked for another, or the program leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import torch
from torch.jit._trace import is_tracing

Backend = Literal["auto", "fused", "reference", "triton"]
BACKENDS: Final = ("auto", "fused", "reference", "triton")


class _Choice(threading.local):
    name: Backend = "auto"


_choice = _Choice()


def requested() -> Backend:
    """The backend this thread asked for with `use_backend`; ``"auto"`` outside of one."""
    return _choice.name


def leaves() -> bool:
    """Is a program being written for another runtime, which has none of our kernels: torch.export, a trace, ONNX?

    Both of ONNX's exporters trace by one of the other two. torch.compile runs here, and keeps the kernels.
    """
    # What `is_exporting` returns, which Dynamo of torch 2.11 replaces by True under torch.compile as well.
    return (torch.compiler._is_exporting_flag or is_tracing()) and _choice.name != "fused"


def in_plain_torch() -> bool:
    """Are calls of the ops to become the mathematics of `fastvae.reference`?"""
    return _choice.name == "reference" or leaves()


@contextmanager
def use_backend(name: Backend) -> Iterator[None]:
    """Choose the implementation for the ops called inside the block, in this thread only.

    - ``"auto"``: by device. CPU runs C++, CUDA and ROCm run Triton, any other device raises. A program that is exported
      or traced gets the plain PyTorch mathematics.
    - ``"fused"``: by device, and in an exported program, too, which then takes fastvae where it is loaded.
    - ``"reference"``: the plain PyTorch mathematics of `fastvae.reference`, on any device, twice differentiable.
    - ``"triton"``: the Triton kernels on CPU tensors too, under Triton's interpreter (``TRITON_INTERPRET=1``).

    Args:
        name: one of these.

    Returns:
        A context manager.

    Raises:
        ValueError: an unknown name.

    Examples:
        >>> mu = torch.ones(2, 3, requires_grad=True)
        >>> with fastvae.use_backend("reference"):
        ...     (gradient,) = torch.autograd.grad(F.gaussian_kl(mu, torch.zeros(2, 3)), mu, create_graph=True)
        >>> torch.autograd.grad(gradient.sum(), mu)[0][0]  # a second derivative, which the fused ops refuse
        tensor([0.5000, 0.5000, 0.5000])
    """
    if name not in BACKENDS:
        raise ValueError(f"name: got {name!r}; takes one of {BACKENDS}")
    previous, _choice.name = _choice.name, name
    try:
        yield
    finally:
        _choice.name = previous
