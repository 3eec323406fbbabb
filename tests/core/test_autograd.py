"""How the ops behave inside autograd: which gradients, how often, under which upstream."""

import itertools
import math
from contextlib import nullcontext

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import fastvae
import fastvae.functional as F
from tests.support.backends import on_each
from tests.support.ops import ALL_OPS, COUNT_LOSSES, LOSSES, OPS
from tests.support.oracle import evaluate, leaves, outputs_of
from tests.support.posteriors import PRIORS, posterior, prior_of

SHAPE = (6, 37)
SUBSETS = [
    (name, subset)
    for name, op in OPS.items()
    for size in range(1, len(op.wanted) + 1)
    for subset in itertools.combinations(op.wanted, size)
]


def options_of(name, reduction="batchmean"):
    return {"reduction": reduction} if ALL_OPS[name].reduces else {}


def loss_of(name, tensors, **options):
    """One scalar that depends on every output."""
    outputs = outputs_of(ALL_OPS[name].call, tensors, **(options or options_of(name)))
    return sum((1 + index) * output.float().sum() for index, output in enumerate(outputs))


def gradients(name, wanted=None, backend="auto"):
    op = ALL_OPS[name]
    tensors = leaves(op.operands(SHAPE, torch.float32), op.wanted if wanted is None else wanted)
    with fastvae.use_backend(backend):
        loss_of(name, tensors).backward()
    return {key: value.grad for key, value in tensors.items()}


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(SUBSETS, ["none", "mean"]),
        (((name, subset), "mean") for name, subset in SUBSETS if len(OPS[name].wanted) > 2),
    ),
    indirect=["backend"],
)
def test_every_subset_of_requires_grad(backend, case):
    """The gradients asked for, equal to those of the full set; None elsewhere."""
    (name, subset), reduction = case
    op = OPS[name]
    operands = op.operands(SHAPE, torch.float32)
    everything = evaluate(op.call, operands, op.wanted, **options_of(name, reduction))
    tensors = leaves(operands, subset)
    outputs = outputs_of(op.call, tensors, **options_of(name, reduction))
    assert all(output.requires_grad for output in outputs if output.numel())
    torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])
    for key, value in tensors.items():
        if key in subset:
            # The gradient written in the forward pass and the one of backward round the factor at different places.
            torch.testing.assert_close(value.grad, everything[f"gradient of {key}"], rtol=3e-7, atol=0)
        else:
            assert value.grad is None


@pytest.mark.parametrize("name", OPS)
def test_without_gradients(name):
    op = OPS[name]
    operands = op.operands(SHAPE, torch.float32)
    assert not any(output.requires_grad for output in outputs_of(op.call, operands))
    tensors = leaves(operands, op.wanted)
    with torch.no_grad():
        quiet = outputs_of(op.call, tensors)
    with torch.inference_mode():
        quieter = outputs_of(op.call, operands)
    for output, other in zip(quiet, quieter, strict=True):
        assert not output.requires_grad
        assert torch.equal(output, other)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("name", OPS)
@pytest.mark.usefixtures("kernels")
def test_a_retained_graph_gives_every_upstream_its_gradient(name, alone):
    """Also where the input alone requires grad, whose gradient the forward pass wrote: it is never scaled twice."""
    op = OPS[name]
    wanted = op.wanted[:1] if alone else op.wanted
    tensors = leaves(op.operands(SHAPE, torch.float32), wanted)
    sources = [tensors[key] for key in wanted]
    loss = loss_of(name, tensors)
    once = [gradient.clone() for gradient in torch.autograd.grad(loss, sources, retain_graph=True)]
    larger = torch.autograd.grad(loss, sources, torch.tensor(4.0), retain_graph=True)
    again = torch.autograd.grad(loss, sources)
    for first, quadruple, last in zip(once, larger, again, strict=True):
        torch.testing.assert_close(quadruple, 4 * first, rtol=3e-7, atol=0)
        torch.testing.assert_close(last, first, rtol=3e-7, atol=0)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, sources)


@pytest.mark.parametrize("name", OPS)
def test_gradients_accumulate(name):
    op = OPS[name]
    tensors = leaves(op.operands(SHAPE, torch.float32), op.wanted)
    for _ in range(2):
        loss_of(name, tensors).backward()
    for key, single in gradients(name).items():
        if single is not None:
            torch.testing.assert_close(tensors[key].grad, 2 * single, rtol=3e-7, atol=0)


@pytest.mark.parametrize("name", OPS)
def test_two_losses_share_an_input(name):
    op = OPS[name]
    tensors = leaves(op.operands(SHAPE, torch.float32), op.wanted)
    (loss_of(name, tensors) + 2 * loss_of(name, tensors)).backward()
    for key, single in gradients(name).items():
        if single is not None:
            torch.testing.assert_close(tensors[key].grad, 3 * single, rtol=5e-7, atol=0)


@pytest.mark.parametrize("name", OPS)
def test_hooks_see_and_replace_gradients(name):
    op = OPS[name]
    tensors = leaves(op.operands(SHAPE, torch.float32), op.wanted)
    seen = {}
    for key in op.wanted:
        tensors[key].register_hook(lambda grad, key=key: seen.setdefault(key, grad.clone()) * 0 + 7)
    loss_of(name, tensors).backward()
    for key, single in gradients(name).items():
        if single is not None:
            assert torch.equal(seen[key], single)
            assert torch.equal(tensors[key].grad, torch.full_like(single, 7))


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(["reparameterize_kl", "reparameterize_kl_packed"], PRIORS),
        itertools.product(["reparameterize_kl", "reparameterize_kl_packed"], ["none", "row"]),
    ),
    indirect=["backend"],
)
@pytest.mark.parametrize("unused", ["z", "kl"])
def test_an_unused_output_costs_nothing_and_changes_nothing(backend, case, unused):
    name, prior = case
    tensors = posterior("logvar", SHAPE, prior=prior)
    priors = prior_of(tensors)

    def run(z_weight, kl_weight):
        sources = [value.clone().requires_grad_() for value in tensors.values()]
        pair = tuple(sources[2:]) or None
        if name == "reparameterize_kl":
            z, kl = F.reparameterize_kl(sources[0], sources[1], pair, seed=1)
        else:
            z, kl = F.reparameterize_kl_packed(torch.cat(sources[:2], 1), pair, seed=1)
        loss = {(1, 0): lambda: z.sum(), (0, 1): lambda: kl, (1, 1): lambda: z.sum() + kl}[z_weight, kl_weight]()
        return [0 if g is None else g for g in torch.autograd.grad(loss, sources, allow_unused=True)]

    assert priors is None or len(priors) == 2
    one = run(0, 1) if unused == "z" else run(1, 0)
    other = run(1, 0) if unused == "z" else run(0, 1)
    for alone, rest, both in zip(one, other, run(1, 1), strict=True):
        torch.testing.assert_close(alone + rest, both, rtol=1e-6, atol=1e-6)


UPSTREAMS = [1.0, 3.0, 0.0, -2.5, math.inf, math.nan]


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(LOSSES, [torch.float32, torch.float64, torch.bfloat16, torch.float16], UPSTREAMS),
        itertools.product(LOSSES, [torch.float32], UPSTREAMS),
    ),
    indirect=["backend"],
)
def test_a_gradient_written_early_is_scaled_by_its_upstream(backend, case):
    loss, dtype, upstream = case
    op = OPS[loss]
    operands = op.operands(SHAPE, dtype)
    if "log_scale" in operands:
        operands["log_scale"] = operands["log_scale"].detach()
    x = operands["input"].requires_grad_()
    value = op.call(operands, reduction="sum")
    (gradient,) = torch.autograd.grad(value, x, torch.tensor(upstream, dtype=value.dtype))
    with fastvae.use_backend("reference"):
        one = loss in COUNT_LOSSES and math.isinf(upstream)  # plain autograd sends it to two terms, which cancel
        sent = torch.tensor(1.0 if one else upstream, dtype=value.dtype)
        expected = torch.autograd.grad(op.call(operands, reduction="sum"), x, sent)
        expected = (expected[0] * upstream,) if one else expected
    # Two roundings to the gradient's dtype where torch has one.
    unit = 2 * torch.finfo(dtype).eps
    scale = expected[0].float().abs().nan_to_num(0, 0, 0).max().item()
    torch.testing.assert_close(gradient, expected[0], rtol=4 * unit, atol=unit * scale, equal_nan=True)


@pytest.mark.parametrize("loss", LOSSES)
def test_float16_gradients_survive_a_loss_scale(loss):
    """1 / 2**20 of an average is below float16; a loss scale of 2**16 brings it back."""
    op = OPS[loss]
    operands = op.operands((1024, 1024), torch.float16)
    x = operands["input"].requires_grad_()
    (gradient,) = torch.autograd.grad(op.call(operands, reduction="mean") * 2**16, x)
    with fastvae.use_backend("reference"):
        (expected,) = torch.autograd.grad(op.call(operands, reduction="mean") * 2**16, x)
    torch.testing.assert_close(gradient, expected, rtol=2e-3, atol=1e-7)


def test_an_input_changed_after_the_forward_pass_is_noticed():
    for name, op in OPS.items():
        operands = op.operands(SHAPE, torch.float32)
        tensors = {key: value.clone() for key, value in leaves(operands, op.wanted).items()}
        outputs = outputs_of(op.call, tensors, **options_of(name, "sample"))
        with torch.no_grad():
            tensors[op.wanted[0]].add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            sum(output.sum() for output in outputs).backward()


@pytest.mark.parametrize("name", OPS)
@pytest.mark.usefixtures("kernels")
def test_gradients_are_those_of_the_reference_through_a_network(name):
    """Operands that are not leaves, a sum of losses on top."""
    op = OPS[name]
    operands = op.operands(SHAPE, torch.float64)
    found = []
    for reference in (False, True):
        factor = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
        tensors = {key: value * factor if key in op.wanted else value for key, value in operands.items()}
        with fastvae.use_backend("reference") if reference else nullcontext():
            loss_of(name, tensors).tanh().backward()
        found.append(factor.grad)
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", OPS)
def test_nothing_is_kept_for_backward_but_the_inputs(name):
    """No eps, no sigma: views of the inputs, a seed, and the bound of importance weights."""
    op = OPS[name]
    tensors = leaves(op.operands((50, 40), torch.float32), op.wanted)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        outputs = outputs_of(op.call, tensors, **options_of(name))
    addresses = {value.untyped_storage().data_ptr() for value in tensors.values()}
    for tensor in kept:
        is_bound = name == "importance_weighted_bound" and tensor.data_ptr() == outputs[0].data_ptr()
        assert tensor.untyped_storage().data_ptr() in addresses or tensor.dtype == torch.int64 or is_bound


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_checkpointed(name, create_graph):
    """A checkpoint unpacks the saved tensors a single time, in the first derivative and on the way to the second."""
    op = OPS[name]
    tensors = leaves(op.operands(SHAPE, torch.float32), op.wanted)
    loss = checkpoint(lambda: loss_of(name, tensors), use_reentrant=False)
    found = torch.autograd.grad(loss, [tensors[key] for key in op.wanted], create_graph=create_graph)
    for gradient, expected in zip(found, (g for g in gradients(name).values() if g is not None), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=3e-7, atol=0)
    if create_graph:
        with pytest.raises(RuntimeError, match=r"use_backend\('reference'\)"):
            found[0].sum().backward()
