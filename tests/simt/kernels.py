"""Small kernels in PTX, written down for a test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.simt.approximate import Approximations
from tests.simt.formats import FORMATS
from tests.simt.machine import Executed, Machine
from tests.simt.memory import Memory

_TEXT = """
.version 8.7
.target sm_90a
.address_size 64
.extern .shared .align 16 .b8 dynamic[];
.visible .entry kernel(
    {parameters}
)
.reqntid {threads}
{{
    .reg .pred %p<8>;
    .reg .b16 %rs<16>;
    .reg .b32 %r<32>;
    .reg .b64 %rd<32>;
{body}
    ret;
}}
"""


def ptx(body: str, arguments: int, threads: int = 32) -> str:
    """A kernel of arguments that are 64-bit addresses, `a0` and so on, in registers %rd0 and so on."""
    parameters = ",\n    ".join(f".param .u64 .ptr .global .align 1 a{number}" for number in range(arguments))
    loads = "\n".join(f"    ld.param.b64 %rd{number}, [a{number}];" for number in range(arguments))
    return _TEXT.format(parameters=parameters, threads=threads, body=f"{loads}\n{body}")


def run(
    body: str,
    *tensors: Tensor,
    threads: int = 32,
    blocks: int = 1,
    shared: int = 0,
    memory: Memory | None = None,
    arrival: Sequence[int] | None = None,
    lanes: int = 8192,
) -> Executed:
    """Run a body on tensors, all of whose elements may be touched and have been written."""
    memory = memory or Memory()
    for number, tensor in enumerate(tensors):
        memory.give(tensor, f"a{number}")
    kernel = Machine(ptx(body, len(tensors), threads))
    addresses = [tensor.data_ptr() for tensor in tensors]
    return kernel.launch(blocks, addresses, memory, shared=shared, arrival=arrival, lanes=lanes)


MINE = """
    mov.u32 %r0, %tid.x;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mad.lo.s32 %r3, %r1, %r2, %r0;
"""
"""The thread in %r0 and in the grid in %r3, the block in %r1."""


def each(number: int, register: int, size: int = 4) -> str:
    """The address of this thread's element of argument `number`, in %rd<register>."""
    return f"    mad.wide.u32 %rd{register}, %r3, {size}, %rd{number};\n"


_REGISTER = {1: "%p", 16: "%rs", 32: "%r", 64: "%rd"}


def evaluate(
    instruction: str,
    operands: Sequence[NDArray[np.generic]],
    result: str,
    which: Approximations = Approximations.NEAREST,
) -> NDArray[np.generic]:
    """What an instruction gives for arrays of 32 operands or one; `result` is the type of what comes out.

    In the instruction, ``{d}`` is where the result goes, and ``{0}`` and so on are the operands.
    """
    sizes = [8 * operand.dtype.itemsize for operand in operands]
    bits = max(FORMATS[result].bits, 16)
    names = [f"{_REGISTER[max(size, 16)]}{10 + number}" for number, size in enumerate(sizes)]
    loads = "".join(
        each(number, 20, size // 8) + f"    ld.global.b{size} {name}, [%rd20];\n"
        for number, (name, size) in enumerate(zip(names, sizes, strict=True))
    )
    target = f"{_REGISTER[bits]}15"
    text = instruction.format(*names, d=target)
    size = FORMATS[result].bits // 8
    body = f"{MINE}{loads}    {text}\n{each(len(operands), 20, size)}    st.global.b{8 * size} [%rd20], {target};\n"
    tensors = [torch.from_numpy(np.resize(operand, 32).view(np.uint8)) for operand in operands]
    out = torch.zeros(32 * size, dtype=torch.uint8)
    memory = Memory()
    for tensor in (*tensors, out):
        memory.give(tensor, "operand")
    kernel = Machine(ptx(body, len(tensors) + 1), which)
    kernel.launch(1, [tensor.data_ptr() for tensor in (*tensors, out)], memory)
    return out.numpy().view({"f": "f", "s": "i", "u": "u", "b": "u"}[FORMATS[result].kind] + str(size))
