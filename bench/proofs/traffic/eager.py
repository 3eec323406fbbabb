"""Kernels of eager PyTorch, one for each op that touches memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.proofs.traffic import counts
from bench.proofs.traffic.counts import Tally
from bench.proofs.traffic.workloads import Workload

_aten: Final = torch.ops.aten

_ALLOCATES: Final = {_aten.empty, _aten.empty_like, _aten.empty_strided, _aten.new_empty, _aten.new_empty_strided}
_OVERWRITES: Final = {_aten.copy_, _aten.fill_, _aten.zero_, _aten.normal_, _aten.uniform_, _aten.random_}
"""Ops in place that do not read what they write to."""

_COMPOSED: Final = {_aten.mse_loss_backward.default}
"""Ops with an implementation for each device that nevertheless call other ops on all of them."""

_KEYS: Final = (
    torch._C.DispatchKey.CPU,
    torch._C.DispatchKey.CompositeExplicitAutograd,
    torch._C.DispatchKey.CompositeImplicitAutograd,
)

_NONE, _MEAN = 0, 1


class Kernels(TorchDispatchMode):
    """Adds the kernels behind every op of the block to a tally: run on CPU tensors, counted as on a GPU.

    An op that PyTorch composes of others costs what those cost. Any other is one kernel, which reads each tensor it is
    given once and writes each result once, unless it makes a view or allocates.
    """

    def __init__(self, tally: Tally) -> None:
        TorchDispatchMode.__init__(self)
        self.tally = tally

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.is_view:
            return func(*args, **kwargs)
        launches = self.tally.launches
        if _is_composed(func) or _sums_squares(func, args):
            outputs = self._composed(func, args, kwargs)
        else:
            outputs = func(*args, **kwargs)
        if self.tally.launches == launches and _touches_memory(func, args, kwargs, outputs):
            self.tally.bytes += _moved(func, args, kwargs, outputs)
            self.tally.launches += 1
        return outputs

    def _composed(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the implementation of `func`, whose own calls come back here."""
        with self:
            if _sums_squares(func, args):
                return _mse_loss(*args)
            return func._op_dk(_implementation(func), *args, **kwargs)


def _implementation(func: Any) -> torch._C.DispatchKey:
    """The dispatch key under which `func` does its work on CPU tensors."""
    return next(key for key in _KEYS if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key))


def _is_composed(func: Any) -> bool:
    """Whether the implementation of `func` calls other ops on every device."""
    return func in _COMPOSED or func.namespace != "aten" or _implementation(func) != torch._C.DispatchKey.CPU


def _sums_squares(func: Any, args: Any) -> bool:
    """Whether `func` is a reduced `mse_loss`, whose first kernel no op stands for."""
    return func is _aten.mse_loss.default and (*args, _MEAN)[2] != _NONE


def _mse_loss(input: Tensor, target: Tensor, reduction: int = _MEAN) -> Tensor:
    squares: Tensor = _aten.mse_loss(input, target, _NONE)
    return squares.mean() if reduction == _MEAN else squares.sum()


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _touches_memory(func: Any, args: Any, kwargs: Any, outputs: Any) -> bool:
    """Neither a view of an argument nor an allocation."""
    if func.overloadpacket in _ALLOCATES:
        return False
    given = {tensor.untyped_storage().data_ptr() for tensor in _tensors((args, kwargs))}
    fresh = any(tensor.untyped_storage().data_ptr() not in given for tensor in _tensors(outputs))
    return fresh or func._schema.is_mutable


def _moved(func: Any, args: Any, kwargs: Any, outputs: Any) -> int:
    arguments = [*zip(func._schema.arguments, args, strict=False)]
    arguments += [(argument, kwargs[argument.name]) for argument in func._schema.arguments if argument.name in kwargs]
    read = [
        tensor
        for argument, value in arguments
        if not (_is_written(argument) and (argument.kwarg_only or func.overloadpacket in _OVERWRITES))
        for tensor in _tensors(value)
    ]
    written = _tensors(outputs)
    if func is _aten.log_sigmoid_forward.default:
        written = written[:1]  # the second is a buffer of the CPU's kernel; a GPU's leaves it empty
    # A tensor given twice is read once.
    distinct = {(tensor.data_ptr(), tensor.shape, tensor.stride()): tensor for tensor in read}
    return sum(map(stored_bytes, (*distinct.values(), *written)))


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def stored_bytes(tensor: Tensor) -> int:
    """Bytes of memory behind a view: an expanded dimension is stored once."""
    sizes = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
    return math.prod(sizes) * tensor.element_size() if tensor.numel() else 0


@contextmanager
def counted() -> Iterator[Tally]:
    """Count the kernels of the block."""
    tally = Tally()
    with Kernels(tally):
        yield tally


def count(workload: Workload) -> tuple[Tally, Tally]:
    """Forward and backward of the plain PyTorch."""
    return counts.count(workload.peer, workload, counted)
