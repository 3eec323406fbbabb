"""NaN in is NaN out: in the loss and the gradients of its own element, and nowhere else."""

import itertools

import pytest
import torch

import fastvae.functional as F
from fastvae._options import PARAMETERIZATIONS
from tests.core.test_special_values import NAN
from tests.support.backends import on_each
from tests.support.ops import OPS
from tests.support.oracle import evaluate

PLACES = [(name, key) for name, op in OPS.items() for key in op.operands((3, 17), torch.float32)]


@pytest.mark.parametrize(
    ("backend", "case"),
    on_each(
        itertools.product(PLACES, [torch.float32, torch.float64, torch.bfloat16, torch.float16]),
        itertools.product(PLACES, [torch.float32]),
    ),
    indirect=["backend"],
)
def test_nan_in_gives_nan_out(backend, case):
    """One NaN operand: NaN in the loss of its own element, in the reduced loss and in its gradient, nowhere else."""
    (name, key), dtype = case
    op = OPS[name]
    operands = op.operands((3, 17), dtype)
    operands[key][1, 5] = NAN
    results = evaluate(op.call, operands, op.wanted, **({"reduction": "none"} if op.reduces else {}))
    touched = [value for label, value in results.items() if label.startswith("output")]
    assert any(value.isnan().any() for value in touched)
    for value in touched:
        assert value.isnan().sum() <= 2
    # mu meets the prior's scale only through delta; the linear losses pass NaN through their signs and differences.
    # The samples of a bound share their sum, the parameters of a pixel its probability.
    shared = {"importance_weighted_bound": 3, "discretized_logistic_mixture_nll": 6}
    for label in (f"gradient of {wanted}" for wanted in op.wanted):
        assert results[label].isnan().sum() <= shared.get(name, 1)
    if op.reduces:
        with torch.no_grad():
            total = op.call(operands, reduction="sum")
        assert (total[-1] if isinstance(total, tuple) else total).isnan() or key == "eps"


@pytest.mark.parametrize("loss", ["binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss", "l1_loss"])
@pytest.mark.parametrize("key", ["input", "target", "weight"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.usefixtures("kernels")
def test_nan_reaches_the_gradient(loss, key, reduction):
    op = OPS[loss]
    operands = op.operands((3, 17), torch.float32)
    operands[key][1, 5] = NAN
    gradient = evaluate(op.call, operands, ("input",), reduction=reduction)["gradient of input"]
    assert gradient[1, 5].isnan()
    assert gradient.isnan().sum() == 1


@pytest.mark.parametrize("key", ["mu", "scale", "prior_mu", "prior_scale"])
@pytest.mark.usefixtures("kernels")
def test_nan_reaches_the_gradients_of_the_kl(key):
    op = OPS["gaussian_kl"]
    operands = op.operands((3, 17), torch.float32)
    operands[key][1, 5] = NAN
    results = evaluate(op.call, operands, op.wanted)
    for wanted in op.wanted:
        # The gradient by the posterior's scale is (r - 1) / 2: it sees no means, and theirs sees no posterior scale.
        blind = {"mu": ("scale",), "prior_mu": ("scale",), "scale": ("mu", "prior_mu")}
        assert results[f"gradient of {wanted}"][1, 5].isnan() or wanted in blind.get(key, ())


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.usefixtures("kernels")
def test_a_floor_of_the_variance_passes_nan(parameterization):
    """Found by fuzzing: the derivative of a "std" that is NaN was 1."""
    raw = torch.ones(9)
    raw[4] = NAN
    raw.requires_grad_()
    z = F.reparameterize(torch.zeros(9), raw, parameterization=parameterization, min_var=0.5, eps=torch.ones(9))
    (gradient,) = torch.autograd.grad(z.sum(), raw)
    assert gradient.isnan().tolist() == z.isnan().tolist() == raw.isnan().tolist()


@pytest.mark.usefixtures("kernels")
def test_clamped_scales_pass_nan():
    """In the gradient too, where torch.clamp's is 0."""
    raw = torch.tensor([NAN, 9.0], requires_grad=True)
    F.gaussian_kl(torch.zeros(2), raw, clamp=(-1.0, 1.0)).backward()
    assert raw.grad.isnan().tolist() == [True, False]
    z, kl = F.reparameterize_kl(torch.zeros(2), torch.tensor([NAN, 9.0]), clamp=(-1.0, 1.0), seed=1, reduction="none")
    assert z.isnan().tolist() == kl.isnan().tolist() == [True, False]
