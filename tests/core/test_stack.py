"""Every op, forward and backward, on a thread whose stack is as small as they come: 64 KiB."""

import pytest

from tests.core.units import run

CODE = """
import faulthandler, sys, threading
import torch
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate, outputs_of, upstreams_like

faulthandler.enable()
torch.set_num_threads({threads})

def work(call, operands, wanted, options):
    with torch.no_grad():
        upstreams = upstreams_like(outputs_of(call, operands, **options))
    evaluate(call, operands, wanted, upstreams, **options)

failed = []
threading.excepthook = lambda args: failed.append(args.exc_value)
cases = [
    (name, op, dtype, reduction)
    for name, op in ALL_OPS.items()
    for dtype in (torch.float32, torch.float64, torch.bfloat16)
    for reduction in (("none", "sample", "sum") if op.reduces else (None,))
]
for name, op, dtype, reduction in cases:
    print(name, dtype, reduction, flush=True)
    # Rows of half a tensor: nothing is read or written in place.
    operands = {{key: torch.stack([value, value], -1)[..., 0] for key, value in op.operands((40, 300), dtype).items()}}
    options = {{}} if reduction is None else {{"reduction": reduction}}
    # What is prepared once is prepared by a thread with room.
    work(op.call, operands, op.wanted, options)
    threading.stack_size(64 * 1024)
    thread = threading.Thread(target=work, args=(op.call, operands, op.wanted, options))
    thread.start()
    thread.join()
    threading.stack_size(0)
assert not failed, failed
print("all", len(cases))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_a_small_stack_is_enough(threads: int) -> None:
    """On one thread, and on OpenMP's, which are as small."""
    result = run(CODE.format(threads=threads), None, OMP_STACKSIZE="64K")
    assert result.returncode == 0, result.stdout[-200:] + result.stderr[-2000:]
    assert result.stdout.splitlines()[-1].startswith("all")
