"""Infinities, NaN, ties, bounds and denormals: torch's values and gradients."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as torch_functional

import fastvae
import fastvae.functional as F
import fastvae.reference
from fastvae._options import PARAMETERIZATIONS
from tests.support.oracle import evaluate
from tests.support.posteriors import unit_scale

INF, NAN = math.inf, math.nan
DTYPES = [torch.float32, torch.float64]
DENORMAL = 1e-40


def compare(mine, theirs, operands, wanted, rtol=2e-6, atol=0.0):
    """Equal values and gradients, infinities and NaN included."""
    results, expected = evaluate(mine, operands, wanted), evaluate(theirs, operands, wanted)
    for name, value in expected.items():
        torch.testing.assert_close(
            results[name], value, rtol=rtol, atol=atol, equal_nan=True, msg=lambda m, n=name: n + m
        )


def grid(xs, ts, dtype):
    pairs = torch.tensor(list(itertools.product(xs, ts)), dtype=dtype)
    return {"input": pairs[:, 0].clone(), "target": pairs[:, 1].clone()}


SPECIAL = (
    -INF,
    INF,
    NAN,
    0.0,
    -0.0,
    1.0,
    -1.0,
    20.0,
    -20.0,
    88.0,
    -88.0,
    104.0,
    -104.0,
    1e4,
    -1e4,
    3e38,
    -3e38,
    DENORMAL,
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.usefixtures("kernels")
def test_logits(dtype):
    operands = grid(SPECIAL, (0.0, 1.0, 0.5), dtype)
    compare(
        lambda t: F.binary_cross_entropy_with_logits(t["input"], t["target"], reduction="none"),
        lambda t: torch_functional.binary_cross_entropy_with_logits(t["input"], t["target"], reduction="none"),
        operands,
        ("input",),
        atol=1e-37 if dtype == torch.float32 else 0.0,  # where exp would be denormal it is 0
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.usefixtures("kernels")
def test_probabilities(dtype):
    eps = torch.finfo(dtype).eps
    probabilities = (0.0, 1.0, 0.5, eps, 1 - eps, 1e-12, 1e-13, 1e-30, 1e-37, DENORMAL)
    compare(
        lambda t: F.binary_cross_entropy(t["input"], t["target"], reduction="none"),
        lambda t: torch_functional.binary_cross_entropy(t["input"], t["target"], reduction="none"),
        grid(probabilities, (0.0, 1.0, 0.5, 0.25), dtype),
        ("input",),
    )


@pytest.mark.parametrize("probability", [-0.1, 1.1, NAN, INF, -INF])
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.usefixtures("kernels")
def test_what_is_no_probability_gives_nan(probability, target):
    x, t = torch.tensor([probability], requires_grad=True), torch.tensor([target])
    for reduction in ("none", "sum"):  # the gradient by the backward pass, and by the forward
        loss = F.binary_cross_entropy(x, t, reduction=reduction)
        assert loss.isnan().all()
        assert torch.autograd.grad(loss.sum(), x)[0].isnan()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss"])
@pytest.mark.usefixtures("kernels")
def test_differences(loss, dtype):
    operands = grid(SPECIAL, (-INF, INF, NAN, 0.0, 1.0, DENORMAL), dtype)
    if loss == "l1_loss":  # torch's gradient of |NaN| is 0, this one's is NaN: see test_nan_reaches_the_gradient
        known = ~(operands["input"] - operands["target"]).isnan()
        operands = {key: value[known] for key, value in operands.items()}
    compare(
        lambda t: getattr(F, loss)(t["input"], t["target"], reduction="none"),
        lambda t: getattr(torch_functional, loss)(t["input"], t["target"], reduction="none"),
        operands,
        ("input", "target"),
        rtol=0,
    )


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.usefixtures("kernels")
def test_the_gradient_of_l1_is_0_at_a_tie(dtype):
    x = torch.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
    F.l1_loss(x, torch.tensor([2.0, 2.0, 2.0], dtype=dtype), reduction="sum").backward()
    assert x.grad.tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("loss", ["binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss", "l1_loss"])
@pytest.mark.usefixtures("kernels")
def test_every_byte_is_its_pixel(loss):
    pixels = torch.arange(256, dtype=torch.uint8)
    x = torch.full((256,), 0.25)
    exact = (pixels.double() / 255).float()
    assert torch.equal(getattr(F, loss)(x, pixels, reduction="none"), getattr(F, loss)(x, exact, reduction="none"))
    assert (exact[0], exact[255]) == (0, 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("raw", [INF, -INF, NAN, 100.0, -100.0, 1000.0, -1000.0, 88.5, -87.0, -104.0])
@pytest.mark.parametrize("mean", [0.0, 1.5])
@pytest.mark.usefixtures("kernels")
def test_log_variances(raw, mean, dtype):
    """The textbook formula where it does not cancel; its infinities, and its NaN."""
    operands = {"mu": torch.tensor([mean], dtype=dtype), "scale": torch.tensor([raw], dtype=dtype)}
    compare(
        lambda t: F.gaussian_kl(t["mu"], t["scale"]),
        lambda t: 0.5 * (t["mu"] ** 2 + torch.expm1(t["scale"]) - t["scale"]).sum(),
        operands,
        ("mu", "scale"),
    )
    one = torch.ones(1, dtype=dtype)
    compare(
        lambda t: F.reparameterize(t["mu"], t["scale"], eps=one),
        lambda t: t["mu"] + torch.exp(0.5 * t["scale"]) * one,
        operands,
        ("mu", "scale"),
        atol=1e-37 if dtype == torch.float32 else 0.0,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("raw", [INF, NAN, 100.0, 30.0, 0.0, -30.0, -80.0])
@pytest.mark.usefixtures("kernels")
def test_softplus_far_out(raw, dtype):
    operands = {"mu": torch.zeros(1, dtype=dtype), "scale": torch.tensor([raw], dtype=dtype)}
    one = torch.ones(1, dtype=dtype)
    compare(
        lambda t: F.reparameterize(t["mu"], t["scale"], parameterization="softplus", eps=one),
        lambda t: t["mu"] + torch.logaddexp(t["scale"], torch.zeros_like(t["scale"])) * one,
        operands,
        ("mu", "scale") if math.isfinite(raw) else ("mu",),
    )


@pytest.mark.parametrize("parameterization", ["std", "variance"])
@pytest.mark.usefixtures("kernels")
def test_a_collapsed_posterior_has_an_infinite_kl(parameterization):
    kl = F.gaussian_kl(torch.zeros(1), torch.zeros(1), parameterization=parameterization)
    assert kl.item() == INF
    z = F.reparameterize(torch.ones(3), torch.zeros(3), parameterization=parameterization)
    assert torch.equal(z, torch.ones(3))


@pytest.mark.usefixtures("kernels")
def test_a_negative_variance_is_nan():
    assert F.gaussian_kl(torch.zeros(1), torch.full((1,), -0.5), parameterization="variance").isnan()


@pytest.mark.parametrize("clamp", [(-200.0, -90.0), (-90.0, -45.0), (45.0, 60.0), (85.0, 86.0), (100.0, 120.0)])
@pytest.mark.parametrize("rate", [1, 2], ids=["logvar", "log_std"])
@pytest.mark.usefixtures("kernels")
def test_a_clamp_may_lie_anywhere(clamp, rate):
    """The scales are of a common size, what the clamp makes of them is not."""
    form = {"parameterization": "logvar" if rate == 1 else "log_std", "clamp": (clamp[0] / rate, clamp[1] / rate)}
    mu, scale, eps = torch.zeros(3, 40), torch.linspace(-5, 5, 120).view(3, 40), torch.ones(3, 40)
    results = []
    for module in (F, fastvae.reference):
        raw = scale.clone().requires_grad_()
        results.append((*module.reparameterize_kl(mu, raw, eps=eps, reduction="none", **form),))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.usefixtures("kernels")
def test_denormal_means_are_means(parameterization):
    mu = torch.full((5,), DENORMAL)
    raw = torch.full((5,), unit_scale(parameterization))
    z, kl = F.reparameterize_kl(mu, raw, parameterization=parameterization, eps=torch.zeros(5), reduction="none")
    assert torch.equal(z, mu)
    assert kl.abs().max() < 1e-14


@pytest.mark.parametrize("raw", [-87.5, -90.0, -100.0, -103.0, -150.0, -200.0])
@pytest.mark.parametrize("parameterization", ["logvar", "log_std", "softplus"])
def test_no_denormal_leaves_an_exponential(parameterization, raw):
    """A sigma, variance or sigmoid that underflows is 0, not a denormal that slows down what comes next on a CPU."""
    smallest = torch.finfo(torch.float32).tiny
    scale = torch.full((4,), raw, requires_grad=True)
    z = F.reparameterize(torch.zeros(4), scale, parameterization=parameterization, eps=torch.ones(4))
    z.sum().backward()
    for value in (z.detach(), scale.grad):
        assert ((value == 0) | (value >= smallest)).all()


@pytest.mark.parametrize("x", [-87.5, -95.0, -103.0, 88.0, 103.0])
def test_no_denormal_leaves_the_logits(x):
    logits = torch.full((4,), x, requires_grad=True)
    value = F.binary_cross_entropy_with_logits(logits, (torch.full((4,), x) > 0).float(), reduction="none")
    value.sum().backward()
    assert value.tolist() == logits.grad.tolist() == [0.0] * 4


@pytest.mark.usefixtures("kernels")
def test_exp_overflows_in_float16_only_where_the_result_does():
    """sigma = exp(10) fits float16, its variance exp(20) would not: the arithmetic is float32 inside."""
    scale = torch.full((3,), 20.0, dtype=torch.float16)
    z, kl = F.reparameterize_kl(torch.zeros_like(scale), scale, eps=torch.ones_like(scale), reduction="none")
    assert z.tolist() == [22032.0] * 3
    torch.testing.assert_close(kl, torch.full((3,), 0.5 * (math.exp(20) - 21)))


@pytest.mark.usefixtures("kernels")
def test_cross_entropy_has_torchs_target_gradient_at_certainty() -> None:
    """The logarithms of the loss are bounded; those of the target's gradient are not, in torch either."""
    probability, target = torch.tensor([0.0, 1.0, 0.3]), torch.tensor([0.25, 0.25, 0.25], requires_grad=True)
    gradients = [
        torch.autograd.grad(loss(probability, target, reduction="sum"), target)[0]
        for loss in (F.binary_cross_entropy, torch_functional.binary_cross_entropy)
    ]
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0].isinf().tolist() == [True, True, False]


@pytest.mark.usefixtures("kernels")
def test_points_far_out_are_those_of_the_reference():
    kl = (
        lambda t: F.gaussian_kl(t["mu"], t["scale"], reduction="none"),
        (0.0, 1e30, INF, NAN),
        (-INF, -200.0, -90.0, -30.0, 30.0, 80.0, 89.0, 200.0, INF, NAN),
    )
    density = (
        lambda t: F.log_normal(t["mu"], torch.ones_like(t["mu"]), t["scale"], reduction="none"),
        (0.0, INF, -INF, NAN),
        (-80.0, 0.0, 80.0, NAN),
    )
    for call, means, scales in (kl, density):
        operands = dict(
            zip(("mu", "scale"), torch.tensor(list(itertools.product(means, scales))).unbind(1), strict=True)
        )
        found = evaluate(call, operands, ("mu", "scale"))
        with fastvae.use_backend("reference"):
            expected = evaluate(call, operands, ("mu", "scale"))
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-6, atol=2e-38, equal_nan=True)
