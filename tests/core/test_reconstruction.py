"""Reconstruction losses: three ways, against torch.nn.functional, and `inplace=True`."""

import itertools

import pytest
import torch
import torch.nn.functional as torch_functional
from torch import Tensor

import fastvae
import fastvae.functional as F
from fastvae import _ops
from fastvae._options import REDUCTIONS
from tests.support.backends import on_each
from tests.support.covering import covering
from tests.support.ops import COUNT_LOSSES, LOSSES, OVERWRITING_LOSSES, RANGES, SCALED_LOSSES
from tests.support.oracle import Reduced, evaluate, three_way

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SHAPE = torch.Size((6, 3, 11, 13))
WEIGHTS = {"none": None, "batch": (6, 1, 1, 1), "element": SHAPE, "mask": (11, 13), "scalar": ()}
LOG_SCALES = {"scalar": (), "one": (1,), "channel": (3, 1, 1), "column": (13,), "element": SHAPE}


def random(shape, dtype=torch.float64, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inputs(loss, dtype, shape=SHAPE):
    low, high = RANGES.get(loss, (-3.0, 3.0))
    return (low + (high - low) * random(shape)).to(dtype)


def targets(dtype, shape=SHAPE):
    uniform = random(shape, seed=1)
    if dtype == torch.uint8:
        return (256 * uniform).to(torch.uint8)
    return uniform < 0.4 if dtype == torch.bool else uniform.to(dtype)


def weights(kind, dtype):
    if kind == "none":
        return None
    uniform = random(WEIGHTS[kind], seed=2)
    return uniform < 0.7 if kind == "mask" else (uniform + 0.5).to(dtype)


def operands_of(loss, dtype, target=torch.float32, weight="none", log_scale="scalar"):
    tensors: dict[str, Tensor] = {"input": inputs(loss, dtype), "target": targets(target)}
    if weight != "none":
        tensors["weight"] = weights(weight, dtype)
    if loss in SCALED_LOSSES:
        tensors["log_scale"] = (random(LOG_SCALES[log_scale], seed=3) - 0.5).to(dtype)
    return tensors


def caller(loss, **options):
    def call(tensors, reduction):
        positional = [tensors[name] for name in ("input", "target", "log_scale") if name in tensors]
        return getattr(F, loss)(*positional, weight=tensors.get("weight"), reduction=reduction, **options)

    return call


AXES = {
    "loss": LOSSES,
    "dtype": FLOATS,
    "target": (*FLOATS, torch.uint8, torch.bool),
    "weight": tuple(WEIGHTS),
    "log_scale": tuple(LOG_SCALES),
    "reduction": REDUCTIONS,
    "wanted": ("input", "target", "both"),
    "upstream": ("one", "any"),
}


def sensible(case):
    """Only some losses have a log_scale, only floating-point targets that are no counts have gradients."""
    if case.get("loss") in COUNT_LOSSES and case.get("wanted", "input") != "input":
        return False
    has_scale = case.get("loss", SCALED_LOSSES[0]) in SCALED_LOSSES or case.get("log_scale", "scalar") == "scalar"
    return has_scale and (case.get("target") not in (torch.uint8, torch.bool) or case.get("wanted", "input") == "input")


PAIRS = covering(2, AXES, sensible)


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(PAIRS + covering(3, AXES, sensible, seed=1)[::3], PAIRS + covering(2, AXES, sensible, seed=1)),
    indirect=["backend"],
)
def test_three_ways(backend, case):
    operands = operands_of(case["loss"], case["dtype"], case["target"], case["weight"], case["log_scale"])
    wanted = ("input", "target") if case["wanted"] == "both" else (case["wanted"],)
    if case["wanted"] == "both" and "log_scale" in operands:
        wanted += ("log_scale",)
    reduced = Reduced(SHAPE, case["reduction"])
    three_way(caller(case["loss"]), [operands], wanted, reduced, unit_upstream=case["upstream"] == "one")


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(itertools.product(LOG_SCALES, FLOATS, (False, True)), itertools.product(LOG_SCALES, FLOATS[::2], (True,))),
    indirect=["backend"],
)
def test_learned_scale(backend, case):
    log_scale, dtype, full = case
    operands = operands_of("gaussian_nll", dtype, torch.uint8, "batch", log_scale)
    three_way(caller("gaussian_nll", full=full), [operands], ("input", "log_scale"), Reduced(SHAPE, "batchmean"))


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(LOSSES, [torch.float32, torch.uint8, torch.bool], REDUCTIONS),
        itertools.product(LOSSES, [torch.float32], ["sample", "mean"]),
    ),
    indirect=["backend"],
)
def test_samples_share_an_expanded_target(backend, case):
    """[K, batch, ...] predictions against one batch of targets, two batch dimensions."""
    loss, target, reduction = case
    shape = torch.Size((3, *SHAPE))
    operands = {"input": inputs(loss, torch.float32, shape), "target": targets(target).expand(shape)}
    if loss in SCALED_LOSSES:
        operands["log_scale"] = random((3, 1, 1), torch.float32)
    three_way(caller(loss, batch_dims=2), [operands], ("input",), Reduced(shape, reduction, 2))


def theirs(loss, x, t, weight, log_scale, reduction):
    if loss == "gaussian_nll":
        var = (2 * log_scale).exp().expand_as(x)
        value = torch_functional.gaussian_nll_loss(x, t, var, reduction="none")
    elif loss in COUNT_LOSSES:
        value = torch_functional.poisson_nll_loss(x, t, log_input=loss == "poisson_nll", reduction="none")
        value = value + torch.lgamma(t + 1)
    elif loss.startswith("binary"):
        return getattr(torch_functional, loss)(x, t, weight, reduction=reduction)
    else:
        value = getattr(torch_functional, loss)(x, t, reduction="none")
    value = value if weight is None else value * weight
    return value if reduction == "none" else getattr(value, reduction)()


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("backend")
def test_values_and_gradients_are_torchs(loss, weighted, reduction):
    tensors = operands_of(loss, torch.float64, torch.float64, "element" if weighted else "none")
    x, log_scale = tensors["input"].requires_grad_(), tensors.get("log_scale")
    mine = caller(loss)(tensors, reduction)
    other = theirs(loss, x, tensors["target"], tensors.get("weight"), log_scale, reduction)
    torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-14)
    (gradient,), (expected,) = (torch.autograd.grad(value.sum(), x) for value in (mine, other))
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("backend")
def test_bytes_are_pixels_or_counts_and_bools_are_bits(loss):
    x = {"input": inputs(loss, torch.float32)}
    if loss in SCALED_LOSSES:
        x["log_scale"] = torch.tensor(0.3)
    pixels, bits = targets(torch.uint8), targets(torch.bool)
    call = caller(loss)
    values = pixels.float() if loss in COUNT_LOSSES else pixels / 255
    assert torch.equal(call({**x, "target": pixels}, "none"), call({**x, "target": values}, "none"))
    assert torch.equal(call({**x, "target": bits}, "none"), call({**x, "target": bits.float()}, "none"))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("kernels")
def test_losses_are_wide_and_gradients_are_not(loss, dtype):
    tensors = operands_of(loss, dtype)
    x = tensors["input"].requires_grad_()
    value = caller(loss)(tensors, "sample")
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert value.shape == SHAPE[:1]
    value.sum().backward()
    assert x.grad.dtype == dtype


MANY = torch.Size((2, 5, 33, 31))  # of which a sum takes several blocks, and several programs


@pytest.mark.parametrize("shape", [(), (1,), (31,), (5, 1, 1), MANY], ids=str)
@pytest.mark.parametrize("learned", [(True, True), (True, False), (False, True)])
@pytest.mark.usefixtures("kernels")
def test_backward_of_a_learned_scale_reads_nothing_again(shape, learned, monkeypatch):
    x, log_scale = inputs("gaussian_nll", torch.float32, MANY), random(shape, torch.float32, 4)
    leaves = [leaf.requires_grad_(needed) for leaf, needed in zip((x, log_scale), learned, strict=True)]
    t = targets(torch.float32, MANY)
    needed = [leaf for leaf in leaves if leaf.requires_grad]
    with fastvae.use_backend("reference"):
        expected = torch.autograd.grad(3 * F.gaussian_nll(x.double(), t.double(), log_scale.double()), needed)
    loss = 3 * F.gaussian_nll(x, t, log_scale)
    monkeypatch.setattr(_ops, "reconstruction_backward", None)
    for got, exact in zip(torch.autograd.grad(loss, needed), expected, strict=True):
        torch.testing.assert_close(got, exact.float(), rtol=1e-5, atol=1e-7)


def hidden(loss, dtype, layout="dense"):
    """A leaf and a copy of it that may be overwritten."""
    leaf = inputs(loss, dtype).requires_grad_()
    if layout == "strided":
        return leaf, torch.stack((leaf, leaf), -1).transpose(0, 2)[..., 0].transpose(0, 2)
    return leaf, leaf * 1


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(OVERWRITING_LOSSES, FLOATS, ["sum", "mean", "batchmean"], ["dense", "strided"]),
        itertools.product(OVERWRITING_LOSSES, FLOATS[::2], ["sum", "mean", "batchmean"], ["strided"]),
    ),
    indirect=["backend"],
)
def test_inplace_changes_nothing_but_the_memory(backend, case):
    loss, dtype, reduction, layout = case
    tensors = operands_of(loss, dtype, weight="batch")
    leaf, x = hidden(loss, dtype, layout)
    address, version = x.data_ptr(), x._version
    value = caller(loss, inplace=True)({**tensors, "input": x}, reduction)
    assert x._version > version
    value.backward()
    expected = evaluate(lambda t: caller(loss)(t, reduction), tensors, ("input",))
    assert torch.equal(value.detach(), expected["output 0"])
    assert torch.equal(leaf.grad, expected["gradient of input"])
    assert x.data_ptr() == address
    assert torch.equal(x.detach(), leaf.grad)


COUNTS = torch.tensor([0.0, 1.0, 2.0, 3.0, 7.0, 40.0, 255.0, 4096.0, 65535.0])


@pytest.mark.parametrize("log_input", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.usefixtures("backend")
def test_poisson_is_the_distribution_of_counts(dtype, log_input):
    rates = torch.tensor([1e-3, 0.5, 1.0, 30.0, 7e4])
    exact = -torch.distributions.Poisson(rates.double()).log_prob(COUNTS.double()[:, None])
    rate = rates.to(dtype).expand(exact.shape)
    found = F.poisson_nll(
        rate.log() if log_input else rate, COUNTS[:, None].expand(exact.shape), log_input=log_input, reduction="none"
    )
    # The terms that are subtracted: rate, target * log(rate) and log(target!).
    terms = rates.double() + COUNTS[:, None] * rates.double().log().abs() + torch.lgamma(COUNTS.double() + 1)[:, None]
    error = (found.double() - exact).abs() / (terms + 1)
    # A rate of 1e-3 is raised by 1e-8, and logarithms up to 11 are rounded.
    assert error.max() < (8 * torch.finfo(dtype).eps if log_input else 8 * torch.finfo(dtype).eps + 1.5e-6)


@pytest.mark.usefixtures("backend")
def test_probabilities_of_a_poisson_count_sum_to_1():
    counts = torch.arange(200, dtype=torch.float64)
    for rate in (0.1, 3.0, 70.0):
        total = (-F.poisson_nll(torch.full((200,), rate).log().double(), counts, reduction="none")).exp().sum()
        torch.testing.assert_close(total, torch.ones((), dtype=torch.float64), rtol=1e-6, atol=0)


def test_counts_are_constants():
    with pytest.raises(ValueError, match="target: "):
        F.poisson_nll(torch.zeros(3), torch.zeros(3, requires_grad=True))


@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
@pytest.mark.parametrize("upstream", [3.0, -0.5])
@pytest.mark.usefixtures("kernels")
def test_inplace_under_an_upstream_gradient(loss, upstream):
    tensors = operands_of(loss, torch.float32)
    leaf, x = hidden(loss, torch.float32)
    (upstream * caller(loss, inplace=True)({**tensors, "input": x}, "mean")).backward()
    expected = evaluate(lambda t: caller(loss)(t, "mean"), tensors, ("input",))["gradient of input"]
    torch.testing.assert_close(leaf.grad, upstream * expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
def test_inplace_without_a_gradient_writes_nothing(loss):
    tensors = operands_of(loss, torch.float32)
    before, version = tensors["input"].clone(), tensors["input"]._version
    caller(loss, inplace=True)(tensors, "mean")
    with torch.no_grad():
        caller(loss, inplace=True)({**tensors, "input": tensors["input"].requires_grad_()}, "mean")
    assert torch.equal(tensors["input"].detach(), before)
    assert tensors["input"]._version == version


@pytest.mark.parametrize("loss", OVERWRITING_LOSSES)
def test_inplace_second_backward_raises(loss):
    _, x = hidden(loss, torch.float32)
    value = caller(loss, inplace=True)({**operands_of(loss, torch.float32), "input": x}, "mean")
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=r"inplace=True.*takes inplace=False"):
        value.backward()


def test_inplace_over_values_another_op_saved_raises():
    x = inputs("mse_loss", torch.float32).requires_grad_().exp()
    loss = F.mse_loss(x, targets(torch.float32), inplace=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inplace_misuse_raises():
    leaf, x = hidden("mse_loss", torch.float32)
    t = targets(torch.float32)
    with pytest.raises(ValueError, match=r"inplace: got True with reduction='sample'; takes"):
        F.mse_loss(x, t, inplace=True, reduction="sample")
    with pytest.raises(ValueError, match=r"inplace: got True with a leaf input that requires grad; takes"):
        F.mse_loss(leaf, t, inplace=True)
    with pytest.raises(ValueError, match=r"inplace: got True with another tensor that requires grad; takes"):
        F.mse_loss(x, t.requires_grad_(), inplace=True)
    with pytest.raises(
        ValueError, match=r"inplace: got True with an input whose elements share memory; takes a dense one"
    ):
        F.mse_loss((leaf[:1] * 1).expand(SHAPE), t.detach(), inplace=True)
