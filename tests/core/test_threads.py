"""The same bits from any number of threads, forward and backward."""

import pytest
import torch

from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate

THREADS = (1, 2, 3, 5)
# Enough blocks of 2,048 that every thread gets some.
SHAPES = [(64, 2100), (5, 40_000)]


@pytest.fixture(autouse=True)
def _restore():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def same_bits(run):
    results = []
    for threads in THREADS:
        torch.set_num_threads(threads)
        results.append(run())
    for other in results[1:]:
        for key, value in results[0].items():
            assert torch.equal(other[key], value), key


@pytest.mark.parametrize("reduction", ["sample", "batchmean"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ALL_OPS)
def test_values_and_gradients(name, shape, reduction):
    op = ALL_OPS[name]
    operands = op.operands(shape, torch.float32)
    options = {"reduction": reduction} if op.reduces else {}
    same_bits(lambda: evaluate(op.call, operands, op.wanted, **options))


@pytest.mark.parametrize("narrow", [(1, 1), (1, -1), (-1, 1)], ids=["one", "row", "column"])
@pytest.mark.parametrize("name", ["gaussian_kl", "reparameterize_kl", "log_normal", "gaussian_nll"])
def test_gradients_of_broadcast_operands(name, narrow):
    op = ALL_OPS[name]
    operands = op.operands((96, 2100), torch.float32)
    for key in operands.keys() & {"prior_mu", "prior_scale", "log_scale"} | (
        {"mu", "scale"} if name == "log_normal" else set()
    ):
        operands[key] = operands[key][: narrow[0] % 97, : narrow[1] % 2101].clone()
    same_bits(lambda: evaluate(op.call, operands, op.wanted))


@pytest.mark.parametrize("name", ALL_OPS)
def test_two_runs(name):
    op = ALL_OPS[name]
    operands = op.operands((64, 2100), torch.bfloat16)
    torch.set_num_threads(2)
    first, second = (evaluate(op.call, operands, op.wanted) for _ in range(2))
    for key, value in first.items():
        assert torch.equal(second[key], value)


def test_the_ops_run_in_several_python_threads_at_once():
    from concurrent.futures import ThreadPoolExecutor

    op = ALL_OPS["reparameterize_kl"]
    operands = op.operands((64, 2100), torch.float32)
    expected = evaluate(op.call, operands, op.wanted)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: evaluate(op.call, operands, op.wanted), range(16)):
            for key, value in expected.items():
                assert torch.equal(result[key], value)
