"""Where there is no memory an op raises, whatever it was allocating, and works again once there is some.

A limit of the address space lets so many bytes more be allocated and then none. Each try is a process forked from one
that has not called an op, so that what is allocated once is allocated there, too.
"""

from __future__ import annotations

import sys

import pytest

from tests.core.units import run
from tests.support.ops import ALL_OPS

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space")

CODE = """
import collections, ctypes, os, resource, threading
import fastvae._C
import torch
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate

names, shape, dtype = {names}, (96, 2100), torch.{dtype}
torch.set_num_threads(1)
_, HARD = resource.getrlimit(resource.RLIMIT_AS)
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

def call(name, operands):
    op = ALL_OPS[name]
    return evaluate(op.call, operands, op.wanted)

def operands_of(name):
    op = ALL_OPS[name]
    operands = op.operands(shape, dtype)
    for key in operands.keys() & {{"prior_mu", "prior_scale", "log_scale", "inverse_dispersion"}}:
        operands[key] = operands[key][:1].clone()  # a gradient that is summed
    return operands

def used():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()

def limit(slack):
    # What the heap has free counts for nothing: all of it is taken first.
    before = used()
    resource.setrlimit(resource.RLIMIT_AS, (before, HARD))
    for size in (1 << 20, 1 << 16, 1 << 12):
        while libc.malloc(size):
            pass
    resource.setrlimit(resource.RLIMIT_AS, (before + slack, HARD))

def outcome(name, slack, in_thread):
    operands = operands_of(name)
    found, raised = [], []
    ready, go = threading.Event(), threading.Event()
    def begin():
        # Thread-local storage of torch and of pybind11, without which the C library ends the process.
        torch.ones(3, requires_grad=True).exp().sum().backward()
        fastvae._C.capability()
    def attempt():
        try:
            found.append(call(name, operands))
        except (MemoryError, RuntimeError) as error:
            raised.append(error)
    def body():
        begin()
        ready.set()
        go.wait()
        attempt()
    if in_thread:
        thread = threading.Thread(target=body)
        thread.start()
        ready.wait()
        limit(slack)
        go.set()
        thread.join()
    else:
        begin()
        limit(slack)
        attempt()
    resource.setrlimit(resource.RLIMIT_AS, (HARD, HARD))
    assert len(found) + len(raised) == 1
    for error in raised:
        text = str(error)
        # torch's own text may be cut after fifteen characters, for which it needs no memory
        cut = len(text) == 15 and "[enforce fail at alloc_cpu.cpp".startswith(text)
        assert isinstance(error, MemoryError) or "memory" in text or "alloc" in text or cut, repr(error)
    return bool(raised), found or [call(name, operands)], operands

x = torch.ones(3, requires_grad=True)
torch.autograd.grad(x.exp(), x, torch.ones(3))  # imports sympy, for a second
counts = collections.Counter()
for name in names:
    for slack in {slacks}:
        for in_thread in (False, True):
            child = os.fork()
            if child == 0:
                failed, (results,), operands = outcome(name, slack, in_thread)
                for key, value in call(name, operands).items():
                    assert torch.equal(results[key], value), (name, key)
                os._exit(2 if failed else 3)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) in (2, 3), (name, slack, in_thread, status)
            counts[name, os.waitstatus_to_exitcode(status)] += 1
for name in names:
    assert counts[name, 2] and counts[name, 3], (name, counts)
"""
# Every allocation over 64 KiB is a mapping of its own, which the limit counts.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0", "MALLOC_ARENA_MAX": "1"}


def check(names: list[str], dtype: str, slacks: list[int]) -> None:
    result = run(CODE.format(names=names, dtype=dtype, slacks=slacks), None, **ENVIRONMENT)
    assert result.returncode == 0, result.stderr[-3000:]


FEW = ["reparameterize_kl", "mse_loss", "discretized_logistic_mixture_nll", "log_normal_mixture"]


def test_an_op_without_memory_raises() -> None:
    check(FEW, "float32", [0, 1 << 18, 1 << 20, 1 << 26])


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "float32") for name in ALL_OPS), *((name, "bfloat16") for name in FEW)]
)
def test_at_every_allocation(name: str, dtype: str) -> None:
    check([name], dtype, [*range(0, 1 << 20, 1 << 16), *range(1 << 20, 12 << 20, 1 << 19), 1 << 26])
