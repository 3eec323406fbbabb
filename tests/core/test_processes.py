"""Forked and spawned processes, Python threads beside a long op, and how many threads there are."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import fastvae.functional as F
from tests.core.units import run
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate

SHAPE = (64, 2100)  # enough blocks that both threads get some
SECONDS = 60  # a process that takes longer hangs
LONG = 2**27

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, and reads /proc/self/task"),
    # Python 3.12 warns of what these tests are about.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def fingerprint(name: str) -> str:
    """A digest of every bit that an op and its gradients give."""
    op = ALL_OPS[name]
    options = {"reduction": "sample"} if op.reduces else {}
    results = evaluate(op.call, op.operands(SHAPE, torch.float32), op.wanted, **options)
    return hashlib.sha256(b"".join(results[key].numpy().tobytes() for key in sorted(results))).hexdigest()


def fingerprints() -> dict[str, str]:
    return {name: fingerprint(name) for name in ALL_OPS}


class Fingerprints(Dataset[tuple[int, str]]):
    """One op an item, run by the worker that loads it."""

    def __len__(self) -> int:
        return len(ALL_OPS)

    def __getitem__(self, index: int) -> tuple[int, str]:
        return torch.get_num_threads(), fingerprint(list(ALL_OPS)[index])


def report(connection: Connection, threads: int | None) -> None:
    """The body of a process. One that inherits OpenMP's threads by fork has them no more: it must ask for one."""
    if threads is not None:
        torch.set_num_threads(threads)
    connection.send(fingerprints())


@pytest.fixture
def expected() -> Iterator[dict[str, str]]:
    """What this process gets on two threads, which are running by then."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield fingerprints()
    torch.set_num_threads(before)


def results_of_a_process(method: str, threads: int | None) -> dict[str, str]:
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=report, args=(sender, threads))
    process.start()
    sender.close()
    try:
        assert receiver.poll(SECONDS), f"the {method} process hangs"
        return receiver.recv()
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize(("method", "threads"), [("fork", 1), ("spawn", None), ("spawn", 2)])
def test_a_process_gets_the_same_bits(method: str, threads: int | None, expected: dict[str, str]) -> None:
    """A fork asks for one thread: torch's own ops hang without that, in the OpenMP they share with these."""
    assert results_of_a_process(method, threads) == expected


def sample(connection: Connection, mu: Tensor) -> None:
    """The body of a process that runs one op, and no other that might use threads."""
    with torch.no_grad():
        z, kl = F.reparameterize_kl(mu, mu, seed=7)
    connection.send(hashlib.sha256(z.numpy().tobytes() + kl.numpy().tobytes()).hexdigest())


def test_a_fork_that_still_asks_for_two_threads_gets_the_same_bits() -> None:
    """Where torch's own parallel ops would wait for threads that only the parent has."""
    before, mu = torch.get_num_threads(), torch.linspace(-1, 1, 64 * 2100).view(SHAPE)
    torch.set_num_threads(2)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    sample(sender, mu)
    expected = receiver.recv()
    process = multiprocessing.get_context("fork").Process(target=sample, args=(sender, mu))
    process.start()
    try:
        assert receiver.poll(SECONDS), "the fork hangs"
        assert receiver.recv() == expected
    finally:
        process.kill()
        process.join()
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_workers_of_a_data_loader_get_the_same_bits(method: str, expected: dict[str, str]) -> None:
    workers = min(2, len(os.sched_getaffinity(0)))  # torch warns of more workers than cores
    loader = DataLoader(
        Fingerprints(), batch_size=None, num_workers=workers, timeout=SECONDS, multiprocessing_context=method
    )
    results = list(loader)
    assert [threads for threads, _ in results] == [1] * len(ALL_OPS)
    assert dict(zip(ALL_OPS, (digest for _, digest in results), strict=True)) == expected


def test_a_process_can_be_forked_between_two_calls(expected: dict[str, str]) -> None:
    """The parent's threads are as good after a fork as before it."""
    for _ in range(3):
        assert results_of_a_process("fork", 1) == fingerprints() == expected


def longest_silence(call: Callable[[], object]) -> tuple[float, float]:
    """For how long at most another Python thread stood still during `call`, and how long `call` took."""
    ticks: list[float] = []
    started, stop = threading.Event(), threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            started.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=tick)
    thread.start()
    try:
        started.wait()
        begin = time.perf_counter()
        call()
        end = time.perf_counter()
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    inside = [begin, *(moment for moment in ticks if begin < moment < end), end]
    return max(after - before for before, after in itertools.pairwise(inside)), end - begin


def lets_others_run(call: Callable[[], object]) -> bool:
    """Whether another thread ever ran all through `call`. Several tries: a busy machine may stop it, too."""
    for _ in range(5):
        silence, duration = longest_silence(call)
        if silence < duration / 2:
            return True
    return False


def broadcast(*shape: int) -> Tensor:
    """Many elements in no memory."""
    return torch.full((), 0.5).expand(*shape)


def long_backward() -> Callable[[], object]:
    mu = torch.zeros(LONG // 8, requires_grad=True)
    z = F.reparameterize(mu, broadcast(LONG // 8), seed=0)
    return lambda: torch.autograd.grad(z, mu, broadcast(LONG // 8), retain_graph=True)


LONG_CALLS: dict[str, Callable[[], Callable[[], object]]] = {
    "binary_cross_entropy_with_logits": lambda: (
        lambda: F.binary_cross_entropy_with_logits(broadcast(8, LONG // 8), broadcast(8, LONG // 8))
    ),
    "gaussian_kl": lambda: lambda: F.gaussian_kl(broadcast(8, LONG // 8), broadcast(8, LONG // 8)),
    "log_normal": lambda: lambda: F.log_normal(*[broadcast(8, LONG // 8)] * 3),
    "importance_weighted_bound": lambda: lambda: F.importance_weighted_bound(broadcast(LONG // 64, 64)),
    "reparameterize": lambda: lambda: F.reparameterize(broadcast(LONG // 8), broadcast(LONG // 8)),
    "backward": long_backward,
}


@pytest.mark.parametrize("name", LONG_CALLS)
def test_a_long_op_lets_other_python_threads_run(name: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the other core is the other thread's
    try:
        assert lets_others_run(LONG_CALLS[name]())
    finally:
        torch.set_num_threads(before)


def test_the_probe_sees_a_call_that_keeps_the_lock() -> None:
    """ctypes.PyDLL calls with the interpreter's lock held."""
    assert not lets_others_run(lambda: ctypes.PyDLL(None).usleep(100_000))


COUNT = """
import json, os, torch, fastvae.functional as F
x = torch.randn(64, 2100, requires_grad=True)
def ours():
    torch.autograd.grad(F.reparameterize_kl(x, x, seed=1)[1] + F.mse_loss(x, x.detach()), x)
def plain():
    torch.autograd.grad((x * 2 + 1).square().sum(), x)
counts = []
for threads, call in [(1, plain), (1, ours), (3, ours), (3, plain), (3, ours), (2, ours), (3, plain)]:
    torch.set_num_threads(threads)
    for _ in range(3):
        call()
    counts.append(len(os.listdir("/proc/self/task")))
print(json.dumps(counts))
"""


@pytest.mark.parametrize("environment", ["1", "4"])
def test_there_are_as_many_threads_as_torch_asks_for(environment: str) -> None:
    """One needs no other thread; three are the caller and two more, which torch's own ops use, too."""
    result = run(COUNT, None, OMP_NUM_THREADS=environment)
    assert result.returncode == 0, result.stderr
    alone, one, three, shared, again, two, last = json.loads(result.stdout)
    assert one == alone
    assert three == shared == again == last == alone + 2
    assert two <= three
