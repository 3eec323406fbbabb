"""The launches of the product on the machine: its ops run on CPU tensors with the code that an sm_90 would load."""

from __future__ import annotations

import inspect
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from triton.backends.nvidia.compiler import CUDABackend
from triton.language import constexpr

import fastvae
from bench.proofs.compiled.driver import TARGETS, Launched, OfflineDriver, offline
from fastvae import _library
from fastvae._triton import _launch
from tests.simt.approximate import Approximations
from tests.simt.machine import machine
from tests.simt.memory import KernelError, Memory

_ALLOCATING = {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"}


class Device(OfflineDriver):
    """Executes what is launched.

    Args:
        which: the results that approximate instructions give.
        backwards: let the last block arrive first.
        contract: let ptxas contract what it may.
    """

    def __init__(
        self,
        which: Approximations = Approximations.NEAREST,
        *,
        backwards: bool = False,
        contract: bool = False,
    ) -> None:
        super().__init__(TARGETS["sm_90"])
        self.memory = Memory()
        self.in_op = False
        self.launches = 0
        self.instructions = 0
        self.kernels: Counter[str] = Counter()
        self.reached: dict[str, set[int]] = {}
        self.written: dict[str, int] = {}
        self._which = which
        self._backwards = backwards
        self._contract = contract

    def launch(self, launched: Launched) -> None:
        """Run it; outside of an op, on the tensors that it is given."""
        kernel = launched.kernel
        values = []
        for path, kind, value in _leaves(kernel.src.signature, launched.arguments):
            if isinstance(value, Tensor) and not self.in_op:
                self.memory.give(value, f"argument {'.'.join(map(str, path))}")
            _check_promises(kernel, path, value)
            if kind != "constexpr":
                values.append(_bits(kind, value))
        text = kernel.asm["ptx"]
        contract = self._contract and kernel.metadata.enable_fp_fusion
        ran = machine(text, self._which, contract=contract).launch(
            launched.programs,
            values,
            self.memory,
            shared=kernel.metadata.shared,
            arrival=range(launched.programs)[::-1] if self._backwards else None,
        )
        self.launches += 1
        self.instructions += ran.instructions
        self.kernels[f"{kernel.src.fn.module}.{kernel.name}"] += text not in self.reached
        self.reached.setdefault(text, set()).update(ran.reached)
        self.written[text] = ran.written
        if not self.in_op:
            self.memory.take_back()


def _leaves(kinds: Any, values: Any, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], str, Any]]:
    """The arguments that are no tuples, their types and the way to them."""
    for number, (kind, value) in enumerate(
        zip(kinds.values() if isinstance(kinds, dict) else kinds, values, strict=True)
    ):
        if isinstance(kind, str):
            yield (*path, number), kind, value
        else:
            yield from _leaves(kind, value, (*path, number))


def _bits(kind: str, value: Any) -> int:
    if isinstance(value, Tensor):
        return value.data_ptr()
    if kind in ("fp32", "fp64"):
        return int.from_bytes(struct.pack("<f" if kind == "fp32" else "<d", value), "little")
    return int(value or 0)


def _check_promises(kernel: Any, path: tuple[int, ...], value: Any) -> None:
    """What a kernel was compiled for must hold for every later launch of it."""
    found = value.data_ptr() if isinstance(value, Tensor) else value
    compiled = kernel.src.constants.get(path)
    compiled = compiled.value if isinstance(compiled, constexpr) else compiled
    if isinstance(compiled, int) and found != compiled:
        raise KernelError(f"{kernel.name}: argument {path} is {found}; compiled for {compiled}")
    for name, multiple in kernel.src.attrs.get(path, ()):
        if name == "tt.divisibility" and isinstance(found, int) and found % multiple:
            raise KernelError(f"{kernel.name}: argument {path} is {found}; compiled for a multiple of {multiple}")


class _Allocations(TorchFunctionMode):
    """Tells memory what PyTorch allocates and writes inside of an op."""

    def __init__(self, memory: Memory, op: str) -> None:
        super().__init__()
        self._memory = memory
        self._op = op

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if isinstance(result, Tensor) and not self._memory.knows(result):
            self._memory.give(result, f"memory of {self._op}", written=name not in _ALLOCATING)
        in_place = name.endswith("_") and not name.endswith("__")
        for written in (args[0] if in_place else None, kwargs.get("out")):
            if isinstance(written, Tensor):
                self._memory.wrote(written)
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for one in value:
            yield from _tensors(one)


def _on(device: Device, name: str, implementation: Callable[..., Any]) -> Callable[..., Any]:
    """An op whose kernels may touch its arguments and what it allocates, and which writes all that it returns."""
    names = [*inspect.signature(implementation).parameters]
    schema = getattr(torch.ops.fastvae, name).default._schema.arguments
    mutated = {argument.name for argument in schema if argument.alias_info and argument.alias_info.is_write}

    def run(*arguments: Any) -> Any:
        for parameter, argument in zip(names, arguments, strict=False):
            for tensor in _tensors(argument):
                device.memory.give(tensor, f"{parameter} of {name}", writable=parameter in mutated)
        device.in_op = True
        try:
            with _Allocations(device.memory, name):
                results = implementation(*arguments)
        finally:
            device.in_op = False
        for number, tensor in enumerate(_tensors(results)):
            if unwritten := device.memory.unwritten(tensor):
                raise KernelError(
                    f"{name}: {unwritten} of the {tensor.numel()} elements of result {number} were never written"
                )
        device.memory.take_back()
        return results

    return run


def _giving(device: Device, call: Callable[..., None]) -> Callable[..., None]:
    """A launch that may touch its tensors, too, such as counters that are there from earlier on."""

    def launch(self: _launch.Launch, *given: Any, numbers: tuple[int, ...] = ()) -> None:
        for number, tensor in enumerate(given):
            if isinstance(tensor, Tensor) and not device.memory.knows(tensor):
                device.memory.give(tensor, f"operand {number}")
        call(self, *given, numbers=numbers)

    return launch


@contextmanager
def executing(device: Device) -> Iterator[Device]:
    """Run the Triton kernels on a device, in a process without Triton's interpreter; what is compiled is PTX alone."""
    find = _library._in_triton
    with (
        mock.patch.object(_library, "_in_triton", lambda name: _on(device, name, find(name))),
        mock.patch.object(_launch.Launch, "__call__", _giving(device, _launch.Launch.__call__)),
        mock.patch.object(CUDABackend, "make_cubin", return_value=b""),
        offline("sm_90", device),
        fastvae.use_backend("triton"),
    ):
        yield device
