"""No kernel reads past an operand: each lies at the end of a page, with one that may not be touched behind it."""

from __future__ import annotations

import pytest

from tests.core.units import run
from tests.support.backends import KERNELS

CODE = """
import ctypes, itertools, mmap
import torch
from tests.support.backends import on
from tests.support.ops import ALL_OPS, PAIRED
from tests.support.oracle import evaluate

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
PAGE = mmap.PAGESIZE
kept = []

def at_the_edge(tensor):
    size = tensor.numel() * tensor.element_size()
    pages = -(-size // PAGE)
    memory = mmap.mmap(-1, (pages + 16) * PAGE)
    kept.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(address + pages * PAGE, 16 * PAGE, 0) == 0
    view = torch.frombuffer(memory, dtype=tensor.dtype, count=tensor.numel(), offset=pages * PAGE - size)
    return view.view(tensor.shape).copy_(tensor)

with on({backend!r}):
    for (name, op), dtype in itertools.product(ALL_OPS.items(), (torch.float32, torch.bfloat16)):
        for shape in ((3, 5), (3, 8), (2, 300 if name in PAIRED else 2049)):
            operands = {{key: at_the_edge(value) for key, value in op.operands(shape, dtype).items()}}
            evaluate(op.call, operands, op.wanted)
"""


@pytest.mark.parametrize("backend", KERNELS)
def test_nothing_is_read_behind_an_operand(backend: str) -> None:
    result = run(CODE.format(backend=backend), None, TRITON_INTERPRET="1")
    assert result.returncode == 0, result.stderr[-2000:]
