"""Launches of kernels: planned and compiled once for the sizes, strides and alignments of the operands, then cached.

Triton's own launcher inspects its arguments at every call, which takes longer than a small kernel runs. Here one C++
call makes the key of the cache; on a hit only addresses change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.driver import driver

from fastvae._extension import _C
from fastvae._outputs import compute_dtype
from fastvae._triton import _layout
from fastvae._triton._layout import LANES, Operand, Plan, Steps

INTERPRETED: Final = bool(triton.knobs.runtime.interpret)
"""Whether the kernels were built for Triton's interpreter, which pays for programs rather than elements."""

_ALIGNMENT: Final = 16
_MAX_LAUNCHES: Final = 4096


class Blocking(NamedTuple):
    """The elements that one program covers, and the threads that share them."""

    elements: int
    threads: int


_INTERPRETED: Final = Blocking(4096, 128)
# A vector load an operand and thread.
_SMALL: Final = Blocking(256, 64)
# By the size of an element: two vector loads of float32 or float64, four of a half, and registers to spare.
_LARGE: Final = {8: Blocking(512, 128), 4: Blocking(1024, 128), 2: Blocking(2048, 128)}
# From so many elements on, blocks of `_LARGE` leave no multiprocessor of a large device idle.
_FULL_DEVICE: Final = 2**17


def blocking(like: Tensor) -> Blocking:
    """How programs cover tensors of this size and dtype: a table, not a search at run time."""
    if INTERPRETED:
        return _INTERPRETED
    return _SMALL if like.numel() < _FULL_DEVICE else _LARGE[like.element_size()]


def check_device(like: Tensor) -> None:
    """CPU tensors need the interpreter.

    Raises:
        RuntimeError: a CPU tensor without it.
    """
    if like.device.type == "cpu" and not INTERPRETED:
        raise RuntimeError(
            "backend: got 'triton' for a CPU tensor; takes TRITON_INTERPRET=1 in the environment, set before triton is "
            "first imported, or a CUDA tensor"
        )


def compile_options(threads: int) -> dict[str, Any]:
    """Triton's, for programs of so many threads.

    ptxas would rather compute values twice, or spill a register or two, than have one program less at a time. Told how
    many registers there are for these threads, it does not.
    """
    if INTERPRETED:
        return {"num_warps": 1}
    target = driver.active.get_current_target()
    options = {"num_warps": threads // target.warp_size}
    if target.backend == "cuda":
        options["maxnreg"] = min(255, 2**16 // threads)
    return options


class _Place(NamedTuple):
    """The layout of an operand: its steps, and the aligned address they start from, so many groups and bytes before its
    first element."""

    steps: Steps
    groups: int
    bytes: int

    def view(self, tensor: Tensor) -> Operand:
        """The operand for a kernel that is to be compiled, or interpreted."""
        if self.groups:
            tensor = tensor.as_strided((1,), (1,), tensor.storage_offset() - self.groups * self.steps.unit.value)
        return Operand(tensor, self.groups, self.steps)

    def address(self, tensor: Tensor) -> tuple[int, int, Steps]:
        """The operand for a compiled kernel."""
        return tensor.data_ptr() - self.bytes, self.groups, self.steps


def _place(operand: Tensor, steps: Steps, lanes: int) -> _Place:
    """Triton compiles for pointers that are multiples of 16 bytes, or for any: groups elsewhere count from such one."""
    group = lanes * operand.element_size()
    beyond = operand.data_ptr() % _ALIGNMENT
    begins = operand.storage_offset() * operand.element_size() >= beyond
    if steps.unit.value == lanes and beyond % group == 0 and begins:
        further = tl.constexpr(beyond > 0)
        return _Place(steps._replace(further=further), beyond // group, beyond)
    return _Place(steps, 0, 0)


def _lanes(present: Sequence[Tensor], per_thread: int) -> int:
    """Elements of a group, where strides allow as many: a vector load of the first operand, if a thread has so many
    elements and every operand begins on a boundary of such groups."""
    lanes = max(LANES, min(_ALIGNMENT // present[0].element_size(), per_thread))
    aligned = all(each.data_ptr() % min(_ALIGNMENT, lanes * each.element_size()) == 0 for each in present)
    return lanes if aligned else LANES


def _hooked() -> bool:
    """Does a profiler want to hear of launches?"""
    runtime = triton.knobs.runtime
    return bool(getattr(runtime.launch_enter_hook, "calls", True) or getattr(runtime.launch_exit_hook, "calls", True))


class Launch:
    """A kernel with all its arguments but the tensors, and the numbers that change from call to call.

    Args:
        function: the jitted function, whose first parameters are the tensors, then those numbers.
        programs: how many run.
        places: of each tensor, or None for one that the kernel takes as a pointer.
        rest: what the function takes behind those.
        options: Triton's, such as num_warps.
    """

    def __init__(
        self, function: Any, programs: int, places: Sequence[_Place | None], rest: tuple[Any, ...], **options: Any
    ) -> None:
        self._function = function
        self._programs = programs
        self._places = places
        self._rest = rest
        self._options = options
        self._compiled: Any = None

    def __call__(self, *tensors: Tensor | None, numbers: tuple[int, ...] = ()) -> None:
        """Run on tensors with the layouts of `places`, the first of them present; None where the kernel takes none."""
        like = tensors[0]
        assert like is not None
        device = like.get_device()
        if device < 0 or device == driver.active.get_current_device():
            self._run(device, tensors, numbers)
        else:
            with torch.cuda.device(device):
                self._run(device, tensors, numbers)

    def _run(self, device: int, tensors: tuple[Tensor | None, ...], numbers: tuple[int, ...]) -> None:
        pairs = zip(tensors, self._places, strict=True)
        kernel, grid = self._compiled, (self._programs, 1, 1)
        if kernel is None:
            views = [tensor if tensor is None or place is None else place.view(tensor) for tensor, place in pairs]
            compiled = self._function[grid](*views, *numbers, *self._rest, **self._options)
            if not INTERPRETED:
                self._compiled = compiled
            return
        addresses = [
            None if tensor is None else tensor.data_ptr() if place is None else place.address(tensor)
            for tensor, place in pairs
        ]
        stream = driver.active.get_current_stream(device)
        if _hooked():
            kernel[grid](*addresses, *numbers, *self._rest, stream=stream)
        else:
            # What `kernel[grid]` ends in: 3 us less, without a description of the launch for hooks.
            of_launch = stream, kernel.function, kernel.packed_metadata, None, None, None
            kernel.run(*grid, *of_launch, *addresses, *numbers, *self._rest)


class Kernel:
    """A kernel over operands of one shape, and its launches.

    Its function takes the operands, other pointers, the numbers of one call, the tiling, the steps of the row-major
    index where it is `logical`, further arguments, and the dtype of its arithmetic.

    Args:
        function: the jitted function.
        pointers: how many other pointers there are.
        logical: does it want the row-major index of its elements?
        derived: from the first operand and the further arguments, which are hashed, to what the function takes of them.
        programs: how many share a plan.
        covering: the elements of a program, by the first operand.
        per_thread: the most bytes of elements, in the dtype of the arithmetic, that a thread has registers for; None
            where that is no question. With float64, which takes two for each value, it always is.
    """

    def __init__(
        self,
        function: Any,
        *,
        pointers: int = 0,
        logical: bool = False,
        derived: Callable[..., tuple[Any, ...]] = lambda like, *arguments: arguments,
        programs: Callable[[Plan], int] = lambda plan: plan.programs,
        covering: Callable[[Tensor], Blocking] = blocking,
        per_thread: int | None = None,
    ) -> None:
        self._function = function
        self._pointers = pointers
        self._logical = logical
        self._derived = derived
        self._programs = programs
        self._covering = covering
        self._per_thread = per_thread
        self._launches: dict[tuple[Any, ...], tuple[Plan, Launch]] = {}

    def over(
        self,
        operands: Sequence[Tensor | None],
        row_dims: int,
        *arguments: Any,
        beside: Sequence[Tensor | None] = (),
        widest: int | None = None,
        paired: tuple[int, ...] = (),
    ) -> tuple[Plan, Launch]:
        """How programs share the elements, and the launch for operands of these sizes, strides and alignments.

        Args:
            operands: the first one present.
            row_dims: the leading dimensions that are rows; 0 for one row.
            arguments: the further ones, hashable.
            beside: tensors, or None, that are no operands but whose presence, dtype or alignment the compiled kernel
                depends on: a pointer itself, or the result that its values are reduced to.
            widest: columns a program covers at most.
            paired: the operands whose elements alternate with those of the next one.
        """
        if INTERPRETED:
            return self._planned(operands, row_dims, arguments, widest, paired)
        key = (_C.layout_key((*operands, *beside)), row_dims, arguments, widest, paired)
        planned = self._launches.get(key)
        if planned is None:
            if len(self._launches) == _MAX_LAUNCHES:
                self._launches.clear()
            planned = self._launches[key] = self._planned(operands, row_dims, arguments, widest, paired)
        return planned

    def _planned(
        self,
        operands: Sequence[Tensor | None],
        row_dims: int,
        arguments: tuple[Any, ...],
        widest: int | None,
        paired: tuple[int, ...],
    ) -> tuple[Plan, Launch]:
        like = operands[0]
        assert like is not None
        check_device(like)
        block, threads = self._covering(like)
        if self._per_thread is not None and not INTERPRETED:
            block = min(block, threads * self._per_thread // compute_dtype(like).itemsize)
        present = [operand for operand in operands if operand is not None]
        strides = [operand.stride() for operand in present]
        if self._logical:
            strides.append(_layout.contiguous_strides(like.shape))
        plan = _layout.plan(
            tuple(like.shape),
            tuple(strides),
            row_dims,
            block,
            widest,
            foldable=self._logical,
            paired=tuple(sum(each is not None for each in operands[:index]) for index in paired),
            lanes=_lanes(present, block // threads),
        )
        steps, lanes = iter(plan.steps), plan.tiling.lanes.value
        places = [None if operand is None else _place(operand, next(steps), lanes) for operand in operands]
        rest = (
            plan.tiling,
            *steps,
            *self._derived(like, *arguments),
            tl.float64 if compute_dtype(like) == torch.float64 else tl.float32,
        )
        launch = Launch(
            self._function,
            self._programs(plan),
            [*places, *(None,) * self._pointers],
            rest,
            **compile_options(threads),
        )
        return plan, launch
