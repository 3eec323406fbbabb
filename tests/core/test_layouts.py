"""Any strided view in, any strided gradient in: the same results, without a copy and without stale memory."""

import itertools
from contextlib import contextmanager

import pytest
import torch

import fastvae
import fastvae.functional as F
from fastvae._options import REDUCTIONS
from tests.support.backends import on_each
from tests.support.layouts import LAYOUTS, expand_first
from tests.support.ops import LOSSES, OPS
from tests.support.oracle import Reduced, evaluate, three_way

SHAPES = [(2049,), (41, 53), (5, 7, 67), (3, 4, 5, 37), (2, 3, 4, 5, 19)]
UPSTREAMS = {**LAYOUTS, "expanded": expand_first, "all one": lambda value: torch.ones(()).expand(value.shape)}
# Sums run in the order of memory: their last places may depend on it.
SUMS = {"rtol": 1e-6, "atol": 1e-6}


# Packed moments have a dimension beside the batch.
RANK_ONE = [name for name in OPS if name not in ("reparameterize_kl_packed", "reparameterize_kl_interleaved")]
CASES = [(name, shape) for shape in SHAPES for name in (RANK_ONE if len(shape) == 1 else OPS)]


# One of each Triton kernel: the others of `OPS` read and write by the same code.
OF_A_KIND = ["reparameterize_kl", "reparameterize_kl_packed", "reparameterize_kl_interleaved", "log_normal"]
OF_A_KIND += ["importance_weighted_bound", "mse_loss", "gaussian_nll"]
REDUCING = [name for name in OPS if OPS[name].reduces]


def unreduced(name):
    return {"reduction": "none"} if OPS[name].reduces else {}


def assert_same(results, expected):
    for name, value in expected.items():
        assert torch.equal(results[name], value), name


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        ((name, shape, layout) for (name, shape), layout in itertools.product(CASES, LAYOUTS)),
        itertools.product(OF_A_KIND, [(2, 4, 3, 8)], LAYOUTS),
    ),
    indirect=["backend"],
)
def test_inputs(backend, case):
    """Every operand in the layout, then only every other one: the same bits as contiguous."""
    name, shape, layout = case
    op, options = OPS[name], unreduced(name)
    operands = op.operands(shape, torch.float32)
    expected = evaluate(op.call, operands, op.wanted, **options)
    moved = {key: LAYOUTS[layout](value) for key, value in operands.items()}
    assert_same(evaluate(op.call, moved, op.wanted, **options), expected)
    mixed = {key: (moved if i % 2 else operands)[key] for i, key in enumerate(operands)}
    assert_same(evaluate(op.call, mixed, op.wanted, **options), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OPS)
def test_inputs_of_other_dtypes(name, layout, dtype):
    op, options = OPS[name], unreduced(name)
    operands = op.operands((5, 7, 67), dtype)
    moved = {key: LAYOUTS[layout](value) for key, value in operands.items()}
    assert_same(evaluate(op.call, moved, op.wanted, **options), evaluate(op.call, operands, op.wanted, **options))


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(REDUCING, ["sample", "sum", "mean", "batchmean"], LAYOUTS),
        zip(itertools.cycle(REDUCING), ["sample", "mean"] * 2 * len(LAYOUTS), itertools.cycle(LAYOUTS), strict=False),
    ),
    indirect=["backend"],
)
def test_sums(backend, case):
    name, reduction, layout = case
    op = OPS[name]
    operands = op.operands((5, 7, 67), torch.float32)
    moved = {key: LAYOUTS[layout](value) for key, value in operands.items()}
    results = evaluate(op.call, moved, op.wanted, reduction=reduction)
    for key, value in evaluate(op.call, operands, op.wanted, reduction=reduction).items():
        torch.testing.assert_close(results[key], value, **SUMS)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.usefixtures("kernels")
def test_expanded_inputs(name):
    op, options = OPS[name], unreduced(name)
    operands = {key: expand_first(value) for key, value in op.operands((6, 5, 67), torch.float32).items()}
    dense = {key: value.contiguous() for key, value in operands.items()}
    assert_same(evaluate(op.call, operands, op.wanted, **options), evaluate(op.call, dense, op.wanted, **options))


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(OPS, UPSTREAMS, [(41, 53), (3, 4, 5, 37)]),
        itertools.product(OF_A_KIND, ["transposed", "columns", "every other", "all one"], [(2, 4, 3, 8)]),
    ),
    indirect=["backend"],
)
def test_upstream_gradients(backend, case):
    name, layout, shape = case
    op, options = OPS[name], unreduced(name)
    operands = op.operands(shape, torch.float32)
    generator = torch.Generator().manual_seed(1)
    outputs = evaluate(op.call, operands, (), **options).values()
    moved = tuple(UPSTREAMS[layout](torch.rand(output.shape, generator=generator)) for output in outputs)
    dense = tuple(upstream.contiguous() for upstream in moved)
    assert_same(
        evaluate(op.call, operands, op.wanted, moved, **options),
        evaluate(op.call, operands, op.wanted, dense, **options),
    )


@pytest.mark.parametrize("layout", ["contiguous", "every other", "expanded", "all one"])
@pytest.mark.parametrize("name", [name for name in OPS if OPS[name].reduces])
def test_upstream_gradients_of_samples(name, layout):
    op = OPS[name]
    operands = op.operands((31, 73), torch.float32)
    generator = torch.Generator().manual_seed(1)
    outputs = evaluate(op.call, operands, (), reduction="sample").values()
    moved = tuple(UPSTREAMS[layout](torch.rand(output.shape, generator=generator)) for output in outputs)
    dense = tuple(upstream.contiguous() for upstream in moved)
    assert_same(
        evaluate(op.call, operands, op.wanted, moved, reduction="sample"),
        evaluate(op.call, operands, op.wanted, dense, reduction="sample"),
    )


@pytest.mark.parametrize("name", OPS)
@pytest.mark.usefixtures("kernels")
def test_gradients_are_dense_in_the_order_of_their_operand(name):
    op = OPS[name]
    operands = {key: LAYOUTS["transposed"](value) for key, value in op.operands((5, 7, 11), torch.float32).items()}
    results = evaluate(op.call, operands, op.wanted)
    for key in op.wanted:
        assert results[f"gradient of {key}"].stride() == operands[key].stride()


SIZES = [
    (1,), (1, 1), (2, 1), (3, 5), (2047,), (2048,), (2049,), (1, 4097), (3, 2047), (3, 2048), (2, 2049), (683, 3),
    (1, 2, 1, 1025), (4096, 1),
]  # fmt: skip


# Rows of several programs, of one and of a part of one, and sums of many programs.
PROGRAMS = [(1,), (1, 1), (2, 9001), (3, 4099), (4097, 1), (20, 500)]


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        ((name, size) for size in SIZES for name in (RANK_ONE if len(size) == 1 else OPS)),
        (
            (name, size)
            for size in PROGRAMS
            for name in OF_A_KIND
            if name != "importance_weighted_bound" and (len(size) > 1 or name in RANK_ONE)
        ),
    ),
    indirect=["backend"],
)
def test_sizes(backend, case):
    name, size = case
    op = OPS[name]
    operands = op.operands(size, torch.float32)
    reduced = Reduced(torch.Size(size), "batchmean" if op.reduces else None)
    with fastvae.use_backend("reference"):
        expected = evaluate(op.call, operands, op.wanted, **reduced.options())
    results = evaluate(op.call, operands, op.wanted, **reduced.options())
    for key, value in expected.items():
        torch.testing.assert_close(results[key], value, rtol=1e-5, atol=1e-6)
    if len(operands[op.wanted[0]].flatten()) > 2000:
        three_way(op.call, [operands], op.wanted, reduced)


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(REDUCING, [(0,), (0, 5), (5, 0), (0, 0), (3, 0, 4), (0, 2049)], REDUCTIONS),
        itertools.product(REDUCING, [(0, 5), (5, 0)], ["none", "sample", "mean"]),
    ),
    indirect=["backend"],
)
def test_empty(backend, case):
    name, size, reduction = case
    op = OPS[name]
    size = size if len(size) > 1 or name in RANK_ONE else (*size, 5)
    operands = op.operands(size, torch.float32)
    results = evaluate(op.call, operands, op.wanted, reduction=reduction)
    with fastvae.use_backend("reference"):
        expected = evaluate(op.call, operands, op.wanted, reduction=reduction)
    for key, value in expected.items():
        torch.testing.assert_close(results[key], value, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(3, 0), (3, 0, 4)], ids=str)
@pytest.mark.usefixtures("kernels")
def test_an_empty_batch_of_bounds(size):
    log_w = torch.zeros(size, requires_grad=True)
    bound = F.importance_weighted_bound(log_w)
    bound.sum().backward()
    assert bound.shape == size[1:]
    assert log_w.grad.shape == size


@contextmanager
def torch_fills_fresh_memory():
    """With NaN: a part of torch's deterministic mode."""
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(OPS, ["none", "sample", "batchmean"], ["contiguous", "transposed", "every other"]),
        itertools.product(OF_A_KIND, ["sample", "batchmean"], ["every other"]),
    ),
    indirect=["backend"],
)
def test_poisoned_allocations_change_nothing(backend, case):
    """Fresh memory full of NaN: every element of every output is written, and none is read first."""
    name, reduction, layout = case
    op, options = OPS[name], {"reduction": reduction} if OPS[name].reduces else {}
    operands = {key: LAYOUTS[layout](value) for key, value in op.operands((5, 7, 67), torch.float32).items()}
    for key in operands.keys() & {"prior_mu", "log_scale"}:
        operands[key] = operands[key][:1, :, :1].clone()
    expected = evaluate(op.call, operands, op.wanted, **options)
    with torch_fills_fresh_memory():
        assert torch.empty_like(next(iter(operands.values()))).isnan().all()
        results = evaluate(op.call, operands, op.wanted, **options)
    assert_same(results, expected)


def allocated_bytes(run):
    with torch.profiler.profile(profile_memory=True, acc_events=True) as profile:
        kept = run()
    del kept
    return sum(max(event.self_cpu_memory_usage, 0) for event in profile.events())


@pytest.mark.parametrize("loss", LOSSES)
def test_samples_against_one_batch_of_bytes_copy_nothing(loss):
    shape = (8, 16, 3, 32, 32)
    tensors = OPS[loss].operands(shape, torch.float32)
    tensors["target"] = torch.randint(256, shape[1:], dtype=torch.uint8).expand(shape)
    if "log_scale" in tensors:
        tensors["log_scale"] = torch.zeros(())
    x = tensors["input"].requires_grad_()
    call = OPS[loss].call
    call(tensors, reduction="sum", batch_dims=2).backward()

    def run():
        value = call(tensors, reduction="sum", batch_dims=2)
        return value, torch.autograd.grad(value, x)

    gradient = x.numel() * x.element_size()
    assert gradient <= allocated_bytes(run) < gradient + 4096


@pytest.mark.parametrize("layout", LAYOUTS)
def test_posteriors_copy_nothing(layout):
    operands = OPS["reparameterize_kl"].operands((64, 500), torch.float32)
    operands = {key: LAYOUTS[layout](value) for key, value in operands.items()}
    with torch.no_grad():
        used = allocated_bytes(lambda: OPS["reparameterize_kl"].call(operands))
    z = 2 * 64 * 500 * 4
    assert z <= used < z + 4096
