"""The ops under torch.func.vmap: every row as if it were alone, all rows in one call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

import fastvae.functional as F
from fastvae.functional._elbo import with_samples
from tests.support.backends import on
from tests.support.ops import LOSSES, OPS
from tests.support.oracle import outputs_of
from tests.support.posteriors import FORMS, PRIORS, posterior, prior_of, scale_options

ROWS, SHAPE = 4, (3, 10)
REDUCTIONS = ["none", "sample", "sum", "mean", "batchmean"]
CALLS = [(name, {"reduction": each}) for name, op in OPS.items() if op.reduces for each in REDUCTIONS] + [
    (name, {}) for name, op in OPS.items() if not op.reduces
]


@pytest.fixture(autouse=True)
def _without_fallback() -> Iterator[None]:
    """torch's loop over the rows of an op without a rule, a drop of performance that it warns of, is an error here."""
    torch._C._functorch._set_vmap_fallback_enabled(False)
    yield
    torch._C._functorch._set_vmap_fallback_enabled(True)


def assert_rounded(found: Any, expected: Any) -> None:
    """Equal but for rounding: a scalar of a row is its sum, rounded, times the reduction's factor, where alone it is
    rounded once; what that multiplies may be a difference of terms as large as the largest."""
    pairs = zip(*(torch.utils._pytree.tree_leaves(each) for each in (found, expected)), strict=True)
    for one, other in pairs:
        largest = max(1.0, other.abs().nan_to_num(0, 0, 0).max().item()) if other.numel() else 1.0
        torch.testing.assert_close(one, other, rtol=4e-7, atol=1e-7 * largest, equal_nan=True)


def rows_of(name: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Operands of every row, stacked."""
    return OPS[name].operands((ROWS, *SHAPE), dtype)


def mapped(function: Callable[..., Any], operands: dict[str, Tensor], dims: dict[str, int | None]) -> Any:
    """`function(operands)` of all rows at once, under vmap."""
    moved = {key: value if dims[key] is None else value.movedim(0, dims[key]) for key, value in operands.items()}
    return vmap(function, in_dims=(dims,))(moved)


def looped(function: Callable[..., Any], operands: dict[str, Tensor], dims: dict[str, int | None]) -> Any:
    """The same, a row at a time."""
    rows = [
        function({key: value if dims[key] is None else value[row] for key, value in operands.items()})
        for row in range(ROWS)
    ]
    return torch.utils._pytree.tree_map(lambda *values: torch.stack(values), rows[0], *rows[1:])


def results_of(name: str, options: dict[str, Any]) -> Callable[[dict[str, Tensor]], Any]:
    """Outputs and gradients of one row, under upstream gradients that differ."""
    op = OPS[name]

    def function(operands: dict[str, Tensor]) -> Any:
        def total(wanted: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
            outputs = outputs_of(op.call, {**operands, **wanted}, **options)
            return sum(output.double().square().sum() for output in outputs), outputs

        wanted = {key: operands[key] for key in op.wanted}
        gradients, outputs = torch.func.grad(total, has_aux=True)(wanted)
        return outputs, gradients

    return function


@pytest.mark.parametrize(("name", "options"), CALLS)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_rows_along_any_dimension(name: str, options: dict[str, Any], dim: int) -> None:
    operands = rows_of(name)
    dims = dict.fromkeys(operands, dim)
    function = results_of(name, options)
    assert_rounded(mapped(function, operands, dims), looped(function, operands, dims))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (name, keys)
        for name in OPS
        for size in (1, 2)
        for keys in itertools.combinations(OPS[name].operands(SHAPE, torch.float32), size)
    ],
)
@pytest.mark.parametrize("reduction", ["sample", "mean"])
def test_what_is_not_batched_is_shared(name: str, keys: tuple[str, ...], reduction: str) -> None:
    """Each row has a gradient of its own for it, too."""
    batched, single = rows_of(name), OPS[name].operands(SHAPE, torch.float32)
    operands = {key: batched[key] if key in keys else value for key, value in single.items()}
    dims = {key: 0 if key in keys else None for key in operands}
    function = results_of(name, {"reduction": reduction} if OPS[name].reduces else {})
    assert_rounded(mapped(function, operands, dims), looped(function, operands, dims))


@pytest.mark.parametrize(("name", "options"), CALLS)
def test_the_gradient_of_a_mapped_op(name: str, options: dict[str, Any]) -> None:
    """The transforms the other way about."""
    op, operands = OPS[name], rows_of(name)
    dims = dict.fromkeys(operands, 0)

    def loss(over: Callable[..., Any]) -> Callable[[dict[str, Tensor]], Tensor]:
        def total(wanted: dict[str, Tensor]) -> Tensor:
            outputs = over(lambda row: outputs_of(op.call, row, **options), {**operands, **wanted}, dims)
            return sum(output.square().sum() for output in outputs)

        return total

    wanted = {key: operands[key] for key in op.wanted}
    assert_rounded(grad(loss(mapped))(wanted), grad(loss(looped))(wanted))


@pytest.mark.parametrize("name", OPS)
def test_rows_of_rows(name: str) -> None:
    op = OPS[name]
    options = {"reduction": "mean"} if op.reduces else {}
    operands = op.operands((2, ROWS, *SHAPE), torch.float32)
    function = results_of(name, options)
    found = vmap(vmap(function))(operands)
    expected = vmap(function)({key: value.flatten(0, 1) for key, value in operands.items()})
    assert_rounded(torch.utils._pytree.tree_map(lambda value: value.flatten(0, 1), found), expected)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("shared", [False, True])
def test_a_prior_that_broadcasts(prior: str, shared: bool) -> None:
    rows = [posterior("logvar", SHAPE, prior=prior, seed=seed) for seed in range(ROWS)]
    operands = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
    dims: dict[str, int | None] = dict.fromkeys(operands, 0)
    if shared:
        operands |= {key: rows[0][key] for key in operands if key.startswith("prior")}
        dims |= {key: None for key in operands if key.startswith("prior")}

    def function(row: dict[str, Tensor]) -> Any:
        def total(row: dict[str, Tensor]) -> Tensor:
            z, kl = F.reparameterize_kl(row["mu"], row["scale"], prior_of(row), seed=2, num_samples=3)
            return z.square().sum() + kl.square()

        return grad(total)(row)

    torch.testing.assert_close(mapped(function, operands, dims), looped(function, operands, dims), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (1,), (10,), (3, 1), SHAPE], ids=str)
def test_a_learned_scale_that_broadcasts(shape: tuple[int, ...]) -> None:
    operands = rows_of("gaussian_nll") | {"log_scale": torch.linspace(-1, 1, ROWS).view(-1, *[1] * len(shape))}
    operands["log_scale"] = operands["log_scale"].expand(ROWS, *shape)
    dims = dict.fromkeys(operands, 0)
    function = results_of("gaussian_nll", {"reduction": "mean"})
    assert_rounded(mapped(function, operands, dims), looped(function, operands, dims))


@pytest.mark.parametrize(("parameterization", "modifier"), FORMS)
def test_every_scale(parameterization: str, modifier: str) -> None:
    options = scale_options(parameterization, modifier)
    operands = posterior(parameterization, (ROWS, *SHAPE))
    dims = dict.fromkeys(operands, 0)

    def function(row: dict[str, Tensor]) -> Any:
        return F.reparameterize_kl(row["mu"], row["scale"], seed=2, reduction="none", **options)

    torch.testing.assert_close(mapped(function, operands, dims), looped(function, operands, dims), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["reparameterize_kl", "reparameterize_kl_packed", "mse_loss", "log_normal"])
def test_every_dtype(name: str, dtype: torch.dtype) -> None:
    """Noise has all its digits, however few the posterior has."""
    operands = rows_of(name, dtype)
    dims = dict.fromkeys(operands, 0)
    function = results_of(name, {"reduction": "sample"})
    torch.testing.assert_close(mapped(function, operands, dims), looped(function, operands, dims), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["reparameterize_kl", "reparameterize_kl_packed", "gaussian_nll", "log_normal"])
def test_the_triton_kernels(name: str) -> None:
    operands = rows_of(name)
    dims = dict.fromkeys(operands, 0)
    function = results_of(name, {"reduction": "mean"})
    with on("triton"):
        assert_rounded(mapped(function, operands, dims), looped(function, operands, dims))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_samples_beside_a_loss(loss: str, reduction: str) -> None:
    operands = rows_of(loss)
    dims = dict.fromkeys(operands, 0)

    def function(row: dict[str, Tensor]) -> Any:
        return with_samples(loss, row["input"], row["target"], row["weight"], row.get("log_scale"), reduction, 1)

    assert_rounded(mapped(function, operands, dims), looped(function, operands, dims))


def test_nothing_to_reduce() -> None:
    x = torch.zeros(ROWS, 3, 0)
    assert vmap(lambda x: F.mse_loss(x, x))(x).isnan().all()
    assert vmap(lambda x: F.mse_loss(x, x, reduction="batchmean"))(x).tolist() == [0.0] * ROWS


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_of_upstream_gradients(loss: str) -> None:
    """For the one gradient that the forward pass wrote."""
    op = OPS[loss]
    operands = op.operands(SHAPE, torch.float32)
    x = operands["input"].requires_grad_()
    upstreams = torch.tensor([1.0, -2.0, 0.5])
    for name in ("torch.autograd.grad", "torch.func.vmap"):
        value = op.call(operands, reduction="mean")

        def gradient(upstream: Tensor, value: Tensor = value, batched: bool = False) -> Tensor:
            return torch.autograd.grad(value, x, upstream, retain_graph=True, is_grads_batched=batched)[0]

        found = vmap(gradient)(upstreams) if name == "torch.func.vmap" else gradient(upstreams, batched=True)
        expected = torch.stack([gradient(upstream) for upstream in upstreams])
        assert_rounded(found, expected)


@pytest.mark.parametrize("name", OPS)
def test_a_jacobian(name: str) -> None:
    """vmap over the upstream gradients."""
    op = OPS[name]
    operands = op.operands((2, 3), torch.float64)
    options = {"reduction": "sample"} if op.reduces else {}
    key = op.wanted[0]

    def function(value: Tensor) -> Tensor:
        return outputs_of(op.call, {**operands, key: value}, **options)[-1]

    expected = torch.autograd.functional.jacobian(function, operands[key])
    torch.testing.assert_close(jacrev(function)(operands[key]), expected)
    torch.testing.assert_close(torch.autograd.functional.jacobian(function, operands[key], vectorize=True), expected)


def test_every_op_that_a_transform_meets_has_a_rule() -> None:
    names = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("fastvae::")}
    without = {name for name in names if not torch._C._dispatch_has_kernel_for_dispatch_key(name, "FuncTorchBatched")}
    assert without == {"fastvae::seed", "fastvae::reconstruction_inplace", "fastvae::scale_gradients"}
