"""Ops called from many Python threads, forked under, and interrupted: the same bits, and a process that goes on."""

from __future__ import annotations

import sys

import pytest

from tests.core.units import run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and sets timers")

COMMON = """
import faulthandler, os, random, signal, sys, threading
import torch
import fastvae
import fastvae.functional as F
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate

SHAPE = (24, 2100)
OPERANDS = {name: op.operands(SHAPE, torch.float32) for name, op in ALL_OPS.items()}

def results(name):
    op = ALL_OPS[name]
    return evaluate(op.call, OPERANDS[name], op.wanted)

def same(one, other):
    return all(torch.equal(one[key], value) for key, value in other.items())

def in_threads(count, body):
    failures, barrier = [], threading.Barrier(count)
    def run(index):
        try:
            barrier.wait()
            body(index)
        except BaseException as error:
            failures.append(repr(error))
    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]

faulthandler.dump_traceback_later(120, exit=True)  # of a process that hangs
sys.setswitchinterval(1e-6)
"""

FIRST_CALLS = """
import sys, threading
sys.setswitchinterval(1e-6)
barrier, failures = threading.Barrier(8), []
def body(index):
    try:
        barrier.wait()
        import fastvae.functional as F
        import torch
        x = torch.ones(64, 2100, requires_grad=True)
        z, kl = F.reparameterize_kl(x, x, seed=1)
        (z.sum() + kl + F.mse_loss(x, x.detach())).backward()
        assert torch.isfinite(x.grad).all()
    except BaseException as error:
        failures.append(repr(error))
threads = [threading.Thread(target=body, args=(index,)) for index in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(100)
assert not failures and not any(thread.is_alive() for thread in threads), failures
"""

MANY_THREADS = """
expected = {name: results(name) for name in ALL_OPS}
with fastvae.use_backend("reference"):
    plain = {name: results(name) for name in ALL_OPS}

def body(index):
    order = random.Random(index).sample(list(ALL_OPS), len(ALL_OPS))
    for name in order * 2:
        if index % 4 == 1:
            torch.set_num_threads(1 + index % 3)  # of this thread
        if index % 4 == 2:
            with fastvae.use_backend("reference"):
                found = results(name)
            for key, value in plain[name].items():  # torch's sums depend on the number of threads
                torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-4)
            continue
        assert same(expected[name], results(name)), name

in_threads(COUNT, body)
"""

FORKS = """
expected = {name: results(name) for name in ALL_OPS}
stop = threading.Event()

def busy():
    while not stop.is_set():
        for name in ALL_OPS:
            results(name)

def child_of(depth):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends it; a fork would wait for faulthandler's thread, which only the parent has
        torch.set_num_threads(1)  # for torch's own ops
        right = all(same(expected[name], results(name)) for name in ALL_OPS)
        if depth:
            right &= child_of(depth - 1)
        os._exit(0 if right else 1)
    return os.waitpid(child, 0)[1] == 0

faulthandler.cancel_dump_traceback_later()
signal.alarm(120)
torch.set_num_threads(2)
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()
try:
    for _ in range(TIMES):
        assert child_of(1)
    in_a_thread = []
    forking = threading.Thread(target=lambda: in_a_thread.append(child_of(0)))
    forking.start()
    forking.join()
    assert in_a_thread == [True]
finally:
    stop.set()
    for thread in threads:
        thread.join()
assert all(same(expected[name], results(name)) for name in ALL_OPS)
"""

INTERRUPTS = """
torch.set_num_threads(2)
expected = {name: results(name) for name in ALL_OPS}
x = torch.linspace(-1, 1, 24 * 2100).view(SHAPE).requires_grad_()
once = torch.autograd.grad(F.mse_loss(x, x.detach() + 1, reduction="sum") * 3, x)[0]

def twice():
    # The gradient that forward wrote is scaled by the first backward, whole or in part.
    loss = F.mse_loss(x, x.detach() + 1, reduction="sum") * 3
    for _ in range(2):
        try:
            gradient = torch.autograd.grad(loss, x, retain_graph=True)[0]
        except KeyboardInterrupt:
            again.append(loss)
            raise
        assert torch.equal(gradient, once)

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
order, again, interrupted = random.Random(0), [], 0
names = list(ALL_OPS)
for round in range(TIMES):
    try:
        signal.setitimer(signal.ITIMER_REAL, order.uniform(1e-4, 2e-2))
        while True:
            name = order.choice(names)
            with fastvae.use_backend(order.choice(("auto", "reference"))):
                backend = fastvae._backend.requested()
                found = results(name)
            if backend == "auto":
                assert same(expected[name], found), name
            twice()
    except KeyboardInterrupt:
        interrupted += 1
    assert fastvae._backend.requested() == "auto"
    assert torch.is_grad_enabled()
    for loss in again:
        assert torch.equal(torch.autograd.grad(loss, x)[0], once)
    again.clear()
assert interrupted == TIMES
assert all(same(expected[name], results(name)) for name in ALL_OPS)
"""


def check(code: str, **constants: int) -> None:
    values = "".join(f"{name} = {value}\n" for name, value in constants.items())
    result = run(COMMON + values + code, None)
    assert result.returncode == 0, result.stderr[-3000:]


def test_the_first_calls_may_come_from_several_threads_at_once() -> None:
    """Of a process that has imported nothing."""
    result = run(FIRST_CALLS, None)
    assert result.returncode == 0, result.stderr[-3000:]


def test_many_python_threads_call_the_ops_at_once() -> None:
    check(MANY_THREADS, COUNT=6)


@pytest.mark.nightly
def test_more_python_threads_than_anybody_has() -> None:
    check(MANY_THREADS, COUNT=64)


def test_a_process_that_is_forked_while_other_threads_are_in_ops() -> None:
    """The child, its own child, and one forked by a thread get the same bits, and so does the parent after."""
    check(FORKS, TIMES=2)


@pytest.mark.nightly
def test_a_process_that_is_forked_often() -> None:
    check(FORKS, TIMES=40)


def test_interrupts_anywhere_leave_ops_and_gradients_right() -> None:
    check(INTERRUPTS, TIMES=30)


@pytest.mark.nightly
def test_many_interrupts() -> None:
    check(INTERRUPTS, TIMES=600)
