"""The negative binomial: against mpmath, scvi-tools' formula and torch's Poisson loss, and its special values."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastvae.functional as F
from fastvae._options import REDUCTIONS
from tests.support.backends import on, on_each
from tests.support.covering import covering
from tests.support.negative_binomials import COUNTS, DISPERSIONS, LOG_MEANS, LOGITS, MEANS, exact, operands
from tests.support.oracle import Reduced, three_way
from tests.support.posteriors import FLOATS

SHAPE = torch.Size((37, 61))
INF = math.inf


def nll(mean, target, t, logits=None, **options):
    return F.negative_binomial_nll(mean, target, t, zero_inflation_logits=logits, **options)


def loss_and_gradients(mean, target, t, logits=None, **options):
    leaves = [None if value is None else value.detach().clone().requires_grad_() for value in (mean, t, logits)]
    loss = nll(leaves[0], target, leaves[1], leaves[2], **{"reduction": "none", **options})
    return loss.detach(), *torch.autograd.grad(loss.sum(), [leaf for leaf in leaves if leaf is not None])


def natural_size(name, value, case, logit, log_input):
    """What a result is judged relative to: its own size, or that of the terms it is a difference of."""
    mean, count, t = case
    if name == "inverse dispersion" and count:
        return abs(value) + count / (2 * t * (t + count))
    if name == "mean" and count and not log_input:
        return abs(value) + 0.1 * count / (mean + 1e-8)
    if logit is not None and not count:  # an exponential of as much
        mean = math.exp(mean) if log_input else mean
        return abs(value) * max(1, (t * math.log1p(mean / t) + abs(logit)) / 4)
    return abs(value)


# In units of the last place of that size.
BOUNDS = {"loss": 6, "mean": 8, "inverse dispersion": 8, "logit": 8}


@pytest.mark.parametrize("log_input", [False, True])
@pytest.mark.parametrize("logit", [None, *LOGITS])
def test_it_is_exact_to_a_few_units(backend, logit, log_input):
    means = [value for value in (LOG_MEANS if log_input else MEANS) if -30 < value < 1e7]
    cases = list(itertools.product(means, COUNTS, DISPERSIONS))
    mean, target, t = (torch.tensor(column, dtype=torch.float32) for column in zip(*cases, strict=True))
    logits = None if logit is None else torch.full_like(mean, logit)
    mine = loss_and_gradients(mean, target, t, logits, log_input=log_input)
    number = None if logits is None else logits[0].item()
    numbers = [(m, c, d) for m, (_, c, _), d in zip(mean.tolist(), cases, t.tolist(), strict=True)]
    expected = [exact(*case, number, log_input) for case in numbers]
    for name, got, values in zip(BOUNDS, mine, zip(*expected, strict=True), strict=False):
        # The reference is differentiated by autograd, which keeps less of what is nearly 0.
        if backend == "reference" and name != "loss":
            continue
        sizes = [natural_size(name, *each, number, log_input) for each in zip(values, numbers, strict=True)]
        error = (got.double() - torch.tensor(values, dtype=torch.float64)).abs()
        units = error / (torch.tensor(sizes, dtype=torch.float64) + 2.0**-100) * 2.0**23
        worst = int(units.argmax())
        assert units[worst] <= BOUNDS[name], (name, numbers[worst], number, got[worst].item(), values[worst])


AXES = {
    "dtype": FLOATS,
    "reduction": REDUCTIONS,
    "dispersion": (tuple(SHAPE), (61,), (37, 1)),
    "logits": (None, tuple(SHAPE), (61,)),
    "log_input": (False, True),
}


@pytest.mark.parametrize(("backend", "case"), on_each(covering(2, AXES), covering(2, AXES)[::3]), indirect=["backend"])
def test_three_ways(backend, case):
    shapes = {"dispersion": case["dispersion"], "logits": case["logits"]}
    # Where nothing is more exact, several draws: the unit in which float64 is judged is torch's luck in float32.
    count = 6 if case["dtype"] == torch.float64 and backend == "cpp" else 1
    draws = [operands(SHAPE, case["dtype"], seed, **shapes) for seed in range(count)]
    if case["log_input"]:
        draws = [{**draw, "mean": draw["mean"].double().log().to(case["dtype"])} for draw in draws]

    def call(tensors, reduction):
        return nll(*tensors.values(), log_input=case["log_input"], reduction=reduction)

    wanted = tuple(name for name in draws[0] if name != "target")
    three_way(call, draws, wanted, Reduced(SHAPE, case["reduction"]))


@pytest.mark.parametrize("logits", [None, (), (37, 1)])
@pytest.mark.usefixtures("kernels")
def test_one_dispersion_for_all(logits):
    tensors = operands(SHAPE, torch.float32, dispersion=(), logits=logits)
    mine = loss_and_gradients(*tensors.values(), reduction="sum")
    with on("reference"):
        expected = loss_and_gradients(*(value.double() for value in tensors.values()), reduction="sum")
    for one, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-6, atol=1e-6)


def scvi(x, mu, theta, pi=None, eps=1e-8):
    """``log_nb_positive`` and ``log_zinb_positive`` of scvi-tools."""
    log_theta, log_sum = torch.log(theta + eps), torch.log(theta + mu + eps)
    counts = x * (torch.log(mu + eps) - log_sum) + torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
    zero = theta * (log_theta - log_sum)
    if pi is None:
        return zero + counts
    softplus = torch.nn.functional.softplus
    return torch.where(x < eps, softplus(zero - pi), zero - pi + counts) - softplus(-pi)


@pytest.mark.parametrize("inflated", [False, True])
@pytest.mark.usefixtures("backend")
def test_it_is_that_of_scvi_tools(inflated):
    tensors = operands(SHAPE, torch.float64, dispersion=(61,), logits=tuple(SHAPE) if inflated else None)
    mean, target, t, *logits = tensors.values()
    expected = -scvi(target, mean, t, *logits).sum() / len(mean)
    torch.testing.assert_close(nll(mean, target, t, *logits), expected, rtol=1e-7, atol=0)


@pytest.mark.usefixtures("backend")
def test_a_large_dispersion_is_exact_where_the_usual_formula_is_not():
    mean, target, t = torch.tensor([1.5]), torch.tensor([1.0]), torch.tensor([1e6])
    loss, by_mean, by_t = loss_and_gradients(mean, target, t)
    expected = exact(1.5, 1, 1e6)
    assert (loss.item(), by_mean.item(), by_t.item()) == pytest.approx(expected, rel=1e-6)
    assert abs(-scvi(target, mean, t).item() - expected[0]) > 0.1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int16, torch.int32])
@pytest.mark.usefixtures("backend")
def test_integers_are_read_as_they_are(dtype):
    tensors = operands((5, 70), torch.float32, dispersion=(70,), zeros=0.3)
    mean, target, t = tensors.values()
    target[0, :3] = torch.tensor([0, 1, torch.iinfo(dtype).max if dtype != torch.int32 else 2**24])
    of_float, of_integer = (loss_and_gradients(mean, counts, t) for counts in (target, target.to(dtype)))
    for one, other in zip(of_float, of_integer, strict=True):
        assert torch.equal(one, other)
    strided = target.to(dtype).t().contiguous().t()
    assert torch.equal(loss_and_gradients(mean, strided, t)[0], of_float[0])


@pytest.mark.usefixtures("backend")
def test_special_values():
    one, zero = torch.ones(1), torch.zeros(1)

    def values(*arguments, **options):
        return [value.item() for value in loss_and_gradients(*arguments, **options)]

    assert values(zero, zero, one) == [0, 1, 0]
    loss, by_mean, by_t = values(zero, one, 2 * one)
    assert loss == pytest.approx(-math.log(1e-8), rel=1e-6)
    assert by_mean == pytest.approx(-1e8, rel=1e-6)
    assert by_t == pytest.approx(0, abs=1e-6)
    # A logit of infinity says that a zero is certain, or that none is added.
    assert values(one, zero, one, INF * one) == [0, 0, 0, 0]
    assert values(one, one, one, INF * one)[0] == INF
    for count in (zero, one):
        plain = values(one, count, one)
        assert values(one, count, one, -INF * one) == pytest.approx([*plain, 0], rel=1e-6)
    # As logarithms of means: where their exponentials are 0 and infinite.
    assert values(-INF * one, zero, one, log_input=True) == [0, 0, 0]
    assert values(-INF * one, one, one, log_input=True)[0] == INF
    assert values(INF * one, zero, one, log_input=True)[0] == INF
    assert values(1e4 * one, zero, 2 * one, log_input=True)[:2] == pytest.approx([2 * (1e4 - math.log(2)), 2])
    assert values(-1e4 * one, one, 2 * one, log_input=True)[:2] == pytest.approx([1e4, -1])
    for arguments in itertools.product(*[[1.0, math.nan]] * 4):
        if any(math.isnan(each) for each in arguments):
            assert math.isnan(values(*(torch.tensor([each]) for each in arguments))[0])
    assert math.isnan(values(one, zero, one, math.nan * one)[0])


@pytest.mark.usefixtures("backend")
def test_counts_need_not_be_whole():
    mean, target, t = torch.tensor([0.3, 2.0, 1.0]), torch.tensor([0.01, 0.7, 3.5]), torch.tensor([0.2, 1.0, 50.0])
    expected = -scvi(target.double(), mean.double(), t.double())
    torch.testing.assert_close(nll(mean, target, t, reduction="none").double(), expected, rtol=2e-6, atol=2e-7)


@pytest.mark.usefixtures("kernels")
def test_no_counts_and_nothing_but_counts():
    mean, _, t = operands((3, 700), torch.float32, dispersion=(700,)).values()
    for target in (torch.zeros(3, 700), torch.ones(3, 700)):
        mine = loss_and_gradients(mean, target, t, reduction="sum")
        with on("reference"):
            expected = loss_and_gradients(mean, target, t, reduction="sum")
        for one, other in zip(mine, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 3000), (64, 100), (9, 2048), (3, 2, 1300)])
@pytest.mark.usefixtures("kernels")
def test_the_gradient_of_a_gene_is_the_sum_over_cells(shape):
    """With rows of one stretch and of several, and one gradient a gene or an element."""
    tensors = operands(shape, torch.float32, dispersion=shape[1:], logits=shape[1:])
    mean, target, *genes = tensors.values()
    summed = loss_and_gradients(mean, target, *genes, reduction="sum")[2:]
    terms = loss_and_gradients(mean, target, *(each.expand(shape) for each in genes), reduction="sum")[2:]
    for gradient, term in zip(summed, terms, strict=True):
        expected = term.double().sum(0)
        assert ((gradient - expected).abs() <= 4e-7 * term.double().abs().sum(0)).all()


@pytest.mark.parametrize("dispersion", [(3000,), (1, 1), (16, 1), (16, 3000)])
def test_the_bits_do_not_depend_on_threads(dispersion):
    tensors = operands((16, 3000), torch.float32, dispersion=dispersion, logits=(3000,))
    results = []
    before = torch.get_num_threads()
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        results.append(loss_and_gradients(*tensors.values(), reduction="mean"))
    torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(result, results[0], strict=True))


@pytest.mark.usefixtures("backend")
def test_a_target_that_requires_grad_is_refused():
    mean, target, t = operands((2, 3), torch.float32).values()
    with pytest.raises(ValueError, match="target: got a tensor that requires grad"):
        nll(mean, target.requires_grad_(), t)


@pytest.mark.parametrize("log_input", [False, True])
def test_gradcheck(log_input):
    tensors = operands((3, 2), torch.float64, dispersion=(2,), logits=(3, 2), zeros=0.4)
    mean, target, *rest = tensors.values()
    leaves = [each.requires_grad_() for each in (mean.log() if log_input else mean, *rest)]

    def call(mean, t, logits):
        return nll(mean, target, t, logits, log_input=log_input)

    assert torch.autograd.gradcheck(call, leaves)
    with on("reference"):
        assert torch.autograd.gradgradcheck(call, leaves)


@settings(deadline=None)
@given(st.floats(-3, 4), st.integers(0, 200), st.floats(8, 14))
def test_it_tends_to_poisson_as_the_dispersion_grows(log_mean, count, log_t):
    mean, t = math.exp(log_mean), math.exp(log_t)
    mine = nll(torch.tensor([mean]), torch.tensor([float(count)]), torch.tensor([t])).item()
    poisson = mean - count * math.log(mean) + math.lgamma(count + 1)
    # The next term of the expansion in 1 / t is ((count - mean)^2 - count) / (2 t).
    assert mine == pytest.approx(poisson, abs=((count - mean) ** 2 + count + 1) / t + 1e-5 * max(1, poisson))


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-2, 5), st.one_of(st.none(), st.floats(-4, 4)))
def test_probabilities_sum_to_1(log_mean, log_t, logit):
    mean, t = math.exp(log_mean), math.exp(log_t)
    counts = torch.arange(60_000, dtype=torch.int32)
    full = torch.full((len(counts),), mean)
    logits = None if logit is None else torch.tensor(logit)
    loss = nll(full, counts, torch.tensor(t), logits, reduction="none")
    assert (-loss.double()).exp().sum().item() == pytest.approx(1, abs=2e-6)
