"""Where the usual formulas lose digits: near the prior, and in sums of many terms."""

import math

import pytest
import torch

import fastvae
import fastvae.functional as F
from fastvae._options import PARAMETERIZATIONS
from tests.support.backends import BACKENDS, on
from tests.support.ops import OPS
from tests.support.oracle import evaluate
from tests.support.posteriors import posterior, prior_of, unit_scale

MANY = 2**26


def near_prior(parameterization, mean, offset, dtype=torch.float32):
    """A posterior whose log-variance is about `offset`, as raw scales that the dtype holds."""
    slope = {"logvar": 1.0, "log_std": 0.5, "std": 0.5, "softplus": 0.5 / 0.4180232931, "variance": 1.0}[
        parameterization
    ]
    raw = unit_scale(parameterization) + slope * offset * torch.linspace(0.5, 1.5, 257, dtype=torch.float64)
    return {"mu": torch.full((257,), mean, dtype=dtype), "scale": raw.to(dtype)}


def exact_kl(tensors, parameterization, options=()):
    """The KL and its gradients from the float64 reference, for the raw values that were rounded already."""
    wide = {name: value.double() for name, value in tensors.items()}
    with fastvae.use_backend("reference"):
        return evaluate(lambda t: kl(t, parameterization, **dict(options)), wide, tuple(wide))


def kl(tensors, parameterization, **options):
    return F.gaussian_kl(
        tensors["mu"],
        tensors["scale"],
        prior_of(tensors),
        parameterization=parameterization,
        reduction="none",
        **options,
    )


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("mean", [1e-4, 0.0])
@pytest.mark.parametrize("offset", [2e-4, -2e-4, 1e-2, -1e-2, 0.1, -0.1])
@pytest.mark.parametrize("parameterization", ["logvar", "log_std", "std", "variance"])
def test_the_kl_near_the_standard_normal(parameterization, mean, offset):
    """The textbook form is off by 9e-4 here. Gradients too: expm1(logvar) / 2, not exp(logvar) - 1."""
    tensors = near_prior(parameterization, mean, offset)
    expected = exact_kl(tensors, parameterization)
    for name, value in evaluate(lambda t: kl(t, parameterization), tensors, ("mu", "scale")).items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=0)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("offset", [2e-4, -2e-4, 1e-2, -1e-2, 0.1, -0.1])
def test_the_kl_of_a_softplus_is_as_good_as_its_sigma(offset):
    """sigma = softplus(raw) is itself rounded near 1: the KL may be off by what one unit of sigma changes it."""
    tensors = near_prior("softplus", 1e-4, offset)
    expected = exact_kl(tensors, "softplus")
    found = evaluate(lambda t: kl(t, "softplus"), tensors, ("mu", "scale"))
    unit, excess = torch.finfo(torch.float32).eps, abs(offset)
    for name, value in found.items():
        order = 2 if name == "output 0" else 0 if name == "gradient of mu" else 1
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6 + order * 4 * unit / excess, atol=0)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("offset", [2e-4, -1e-2])
@pytest.mark.parametrize("parameterization", ["logvar", "log_std", "std", "variance"])
def test_the_kl_near_a_learned_prior(parameterization, offset):
    """Posterior and prior far from N(0, I) but close to each other."""
    base = posterior(parameterization, (257,), torch.float32)
    tensors = {
        "mu": base["mu"] + 1e-3,
        "scale": base["scale"] * (1 + offset) if parameterization in ("std", "variance") else base["scale"] + offset,
        "prior_mu": base["mu"],
        "prior_scale": base["scale"],
    }
    expected = exact_kl(tensors, parameterization)
    for name, value in evaluate(lambda t: kl(t, parameterization), tensors, tuple(tensors)).items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=0)


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_the_kl_to_itself_is_exactly_0(parameterization, dtype):
    base = posterior(parameterization, (257,), dtype)
    tensors = {**base, "prior_mu": base["mu"].clone(), "prior_scale": base["scale"].clone()}
    for value in evaluate(lambda t: kl(t, parameterization), tensors, tuple(tensors)).values():
        assert torch.equal(value, torch.zeros_like(value))


def test_the_reference_itself_near_the_prior():
    """Against the Taylor series of the KL, in float64."""
    logvar = torch.linspace(-1e-3, 1e-3, 101, dtype=torch.float64)
    series = 0.5 * (logvar**2 / 2 + logvar**3 / 6 + logvar**4 / 24 + logvar**5 / 120)
    for backend in BACKENDS:
        with on(backend):
            value = F.gaussian_kl(torch.zeros_like(logvar), logvar, reduction="none")
        torch.testing.assert_close(value, series, rtol=1e-9 if backend == "reference" else 1e-12, atol=1e-19)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("kernels")
def test_sums_of_several_blocks_and_programs():
    mu = torch.randn(2**16, generator=torch.Generator().manual_seed(0))
    wide = mu.double()
    exact = 0.5 * (wide.square() + wide.expm1() - wide).sum()
    assert F.gaussian_kl(mu, mu, reduction="sum").item() == pytest.approx(exact.item(), rel=1e-7)


@pytest.mark.usefixtures("two_threads")
def test_a_sum_of_many_squares():
    """2^26 float32 terms right to 1e-7: the same few values over and over, so that the exact sum is known."""
    period = torch.rand(2**16, generator=torch.Generator().manual_seed(0))
    x = period.repeat(MANY // len(period))
    target = torch.zeros(1).expand_as(x)
    exact = math.fsum((period.double() ** 2).tolist()) * (MANY // len(period))
    for reduction, expected in (("sum", exact), ("mean", exact / MANY)):
        assert F.mse_loss(x, target, reduction=reduction).item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.usefixtures("two_threads")
def test_a_sum_of_many_divergences():
    generator = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(2, 2**13, generator=generator)
    rows = MANY // len(mu)
    wide = 0.5 * (mu.double() ** 2 + torch.expm1(logvar.double()) - logvar.double())
    exact = math.fsum(wide.tolist())
    mu, logvar = mu.repeat(rows, 1), logvar.expand(rows, -1)
    assert F.gaussian_kl(mu, logvar).item() == pytest.approx(exact, rel=1e-7)
    assert F.gaussian_kl(mu, logvar, reduction="sum").item() == pytest.approx(exact * rows, rel=1e-7)


@pytest.mark.parametrize("batch", [1, 4096])
def test_the_gradient_of_a_broadcast_operand_is_summed_in_double(batch):
    """2^20 gradients of a learned global scale, all near -1 or +1, that nearly cancel."""
    x = torch.randn(batch, 2**20 // batch, generator=torch.Generator().manual_seed(0))
    log_scale = torch.zeros((), requires_grad=True)
    F.gaussian_nll(x, torch.zeros(1, 1).expand_as(x), log_scale, reduction="sum").backward()
    exact = math.fsum((1 - x.double() ** 2).flatten().tolist())
    terms = math.fsum((1 - x.double() ** 2).abs().flatten().tolist())
    assert abs(log_scale.grad.item() - exact) <= torch.finfo(torch.float32).eps * (abs(exact) + terms / 100)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", OPS)
def test_half_precision_is_float32_rounded_once(name, dtype, alone):
    """Upcast at load, round to nearest at store: the bits of the float32 run, rounded by torch."""
    op = OPS[name]
    wanted = op.wanted[:1] if alone else op.wanted
    operands = op.operands((7, 331), dtype)
    results = evaluate(op.call, operands, wanted)
    for key, value in evaluate(op.call, {key: value.float() for key, value in operands.items()}, wanted).items():
        assert torch.equal(results[key], value.to(results[key].dtype)), key


@pytest.mark.usefixtures("kernels")
def test_partial_sums_of_half_precision_are_float32():
    """The gradient of a learned global scale is float32's, rounded once, however many blocks add to it."""
    x = (0.3 * torch.randn(8, 4099, generator=torch.Generator().manual_seed(0))).half()

    def gradient(dtype):
        log_scale = torch.zeros((), dtype=dtype, requires_grad=True)
        F.gaussian_nll(x.to(dtype), torch.zeros_like(x, dtype=dtype), log_scale, reduction="batchmean").backward()
        return log_scale.grad

    assert torch.equal(gradient(torch.float16), gradient(torch.float32).half())
