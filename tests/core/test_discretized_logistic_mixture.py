"""The mixture of discretized logistics: against float64, the published formula and what a distribution must satisfy."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import fastvae
import fastvae.functional as F
from fastvae import reference
from tests.core.mixtures import as_floats, images, parameters

LEAST = -7.0


def component(mean: float, log_scale: float, *rest: float) -> Tensor:
    """The parameters of one pixel, in float64: logit, mean, log scale of one component."""
    return torch.tensor([0.0, mean, log_scale, *rest], dtype=torch.float64).reshape(1, -1, 1, 1)


def all_levels(bits: int) -> Tensor:
    return torch.arange(2**bits, dtype=torch.float64).reshape(-1, 1, 1, 1) / (2**bits - 1) * 2 - 1


MEANS = (-30.0, -1.0, -0.9999, 0.0, 0.123, 1.0, 30.0)
LOG_SCALES = (-9.0, -7.0, -3.0, 0.0, 10.0, 40.0)


@pytest.mark.parametrize("bits", [1, 5, 8])
@pytest.mark.usefixtures("backend")
def test_the_levels_of_a_channel_sum_to_one(bits: int) -> None:
    """For any parameters; those far out are a single edge's."""
    cases = list(itertools.product(MEANS, LOG_SCALES))
    levels = all_levels(bits).flatten().reshape(1, 1, -1)
    params = torch.tensor([[0.3, -1.0, *pair, *other] for pair, other in zip(cases, reversed(cases), strict=True)])
    params = params.double()[:, [0, 1, 2, 4, 3, 5]]  # two logits, two means, two log scales
    nll = F.discretized_logistic_mixture_nll(
        params[:, :, None].expand(-1, -1, levels.shape[-1]), levels.expand(len(cases), 1, -1),
        num_mixtures=2, bits=bits, reduction="none",
    )  # fmt: skip
    sums = (-nll).exp().sum(1)
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-13)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-3, 3), st.floats(-10, 10)), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_the_levels_sum_to_one_under_any_mixture(components: list[tuple[float, float, float]]) -> None:
    """256 levels, of bytes."""
    params = torch.tensor(components, dtype=torch.float64).T.reshape(1, -1, 1)
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 256)
    nll = F.discretized_logistic_mixture_nll(
        params.expand(1, -1, 256), levels, num_mixtures=len(components), reduction="none"
    )
    assert (-nll).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.usefixtures("backend")
def test_the_levels_of_all_channels_sum_to_one() -> None:
    bits, params = 3, parameters(3, 2, 1, 1, 1, dtype=torch.float64)
    levels = all_levels(bits).flatten().tolist()
    grid = torch.tensor(list(itertools.product(levels, repeat=3)), dtype=torch.float64)[..., None, None]
    nll = F.discretized_logistic_mixture_nll(
        params.expand(len(grid), -1, 1, 1), grid, num_mixtures=2, bits=bits, reduction="sample"
    )
    assert (-nll).exp().sum().item() == pytest.approx(1, abs=1e-13)


@pytest.mark.usefixtures("backend")
def test_the_last_channel_given_the_others_sums_to_one() -> None:
    params = parameters(3, 1, 1, 1, 1, dtype=torch.float64)
    last = all_levels(8)
    given = torch.tensor([-0.5, 1.0], dtype=torch.float64).reshape(1, 2, 1, 1).expand(256, 2, 1, 1)
    nll = F.discretized_logistic_mixture_nll(
        params.expand(256, -1, 1, 1), torch.cat([given, last], 1), num_mixtures=1, reduction="sample"
    )
    # The mass of the two that are given: that of two components of one channel, their means shifted.
    logit, means, log_scales, coefficient = (params[0, part] for part in (0, (1, 4), (2, 5), 3))
    means = means[:, 0, 0] + torch.stack([torch.zeros(()), coefficient[0, 0].tanh() * -0.5])
    first = torch.stack([logit.flatten().expand(2), means, log_scales[:, 0, 0]], 1)[..., None, None]
    of_given = F.discretized_logistic_mixture_nll(first, given[:1].reshape(2, 1, 1, 1), num_mixtures=1, reduction="sum")
    assert (-nll).exp().sum().log().item() == pytest.approx(-of_given.item(), abs=1e-12)


def published(params: Tensor, x: Tensor, mixtures: int) -> Tensor:
    """The usual formula, without its replacement for small probabilities: one value a pixel of three channels."""
    logits, rest = params[:, :mixtures], params[:, mixtures:].unflatten(1, (3, 3 * mixtures))
    means, log_scales, raw = rest.split(mixtures, 2)
    coefficients, log_scales, x = torch.tanh(raw), log_scales.clamp(min=LEAST), x.unsqueeze(2)
    second = means[:, 1] + coefficients[:, 0] * x[:, 0]
    third = means[:, 2] + coefficients[:, 1] * x[:, 0] + coefficients[:, 2] * x[:, 1]
    centered, inverse = x - torch.stack([means[:, 0], second, third], 1), torch.exp(-log_scales)
    upper, lower = inverse * (centered + 1 / 255), inverse * (centered - 1 / 255)
    middle = (torch.sigmoid(upper) - torch.sigmoid(lower)).clamp(min=1e-300).log()
    below, above = torch.nn.functional.logsigmoid(upper), torch.nn.functional.logsigmoid(-lower)
    bins = torch.where(x < -0.999, below, torch.where(x > 0.999, above, middle))
    return -torch.logsumexp(bins.sum(1) + torch.log_softmax(logits, 1), 1)


@pytest.mark.usefixtures("backend")
def test_it_is_the_published_formula() -> None:
    params = parameters(3, 4, 3, 5, 6, dtype=torch.float64).clamp(min=-1)  # wide scales: that one cancels
    target = as_floats(images(3, 3, 5, 6), torch.float64)
    mine = F.discretized_logistic_mixture_nll(params, target, num_mixtures=4, reduction="none")
    torch.testing.assert_close(mine, published(params, target, 4), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.usefixtures("backend")
def test_bytes_are_levels(channels: int) -> None:
    """The same bits as the floats they stand for."""
    params, image = parameters(channels, 3, 2, 5, 7), images(channels, 2, 5, 7)
    of_bytes = F.discretized_logistic_mixture_nll(params, image, num_mixtures=3, reduction="none")
    of_floats = F.discretized_logistic_mixture_nll(params, as_floats(image), num_mixtures=3, reduction="none")
    assert torch.equal(of_bytes, of_floats)
    coarse = image >> 3
    of_bytes = F.discretized_logistic_mixture_nll(params, coarse, num_mixtures=3, bits=5, reduction="none")
    floats = as_floats(coarse, bits=5)
    of_floats = F.discretized_logistic_mixture_nll(params, floats, num_mixtures=3, bits=5, reduction="none")
    assert torch.equal(of_bytes, of_floats)


def derivatives(mean: float, log_scale: float, level: float) -> tuple[float, float, float]:
    """The loss of one pixel and its derivatives with respect to the mean and the log scale."""
    params = component(mean, log_scale).requires_grad_()
    target = torch.full((1, 1, 1, 1), level, dtype=torch.float64)
    loss = F.discretized_logistic_mixture_nll(params, target, num_mixtures=1)
    (gradient,) = torch.autograd.grad(loss, params)
    return loss.item(), gradient[0, 1].item(), gradient[0, 2].item()


@pytest.mark.usefixtures("backend")
def test_the_far_tails_are_exact() -> None:
    """Where the probability is no float: -log p is the distance to the bin's near side, less what the bin holds."""
    h, scale = 1 / 255, math.exp(-6)
    loss, of_mean, of_log_scale = derivatives(30.0, -6.0, 0.0)
    assert loss == pytest.approx((30 - h) / scale - math.log1p(-math.exp(-2 * h / scale)), rel=1e-14)
    assert of_mean == pytest.approx(1 / scale, rel=1e-14)
    inside = 2 * h / scale / math.expm1(2 * h / scale)
    assert of_log_scale == pytest.approx(-(30 - h) / scale + inside, rel=1e-14)


@pytest.mark.usefixtures("backend")
def test_the_edges_hold_what_lies_beyond() -> None:
    loss, of_mean, _ = derivatives(-1.5, -6.0, -1.0)
    assert loss == pytest.approx(math.log1p(math.exp(-(0.5 + 1 / 255) * math.exp(6))), abs=1e-15)
    assert 0 < of_mean < 1e-80
    loss, of_mean, of_log_scale = derivatives(1.25, -6.0, -1.0)
    distance = (2.25 - 1 / 255) * math.exp(6)
    assert loss == pytest.approx(distance, rel=1e-14)
    assert of_mean == pytest.approx(math.exp(6), rel=1e-14)
    assert of_log_scale == pytest.approx(-distance, rel=1e-14)
    mirrored = derivatives(-1.25, -6.0, 1.0)
    assert mirrored == pytest.approx((distance, -math.exp(6), -distance), rel=1e-14)


@pytest.mark.usefixtures("backend")
def test_small_log_scales_are_clamped() -> None:
    at, below = derivatives(0.001, -7.0, 0.0), derivatives(0.001, -9.0, 0.0)
    assert below[:2] == at[:2]
    assert (at[2] != 0, below[2]) == (True, 0)


@pytest.mark.usefixtures("backend")
def test_a_component_of_weight_zero_is_not_there() -> None:
    params = parameters(3, 2, 1, 1, 1, dtype=torch.float64)
    params[:, 1] = -math.inf
    alone = params[:, ::2]
    target = as_floats(images(3, 1, 1, 1), torch.float64)
    of_both = F.discretized_logistic_mixture_nll(params, target, num_mixtures=2)
    assert of_both.item() == pytest.approx(
        F.discretized_logistic_mixture_nll(alone, target, num_mixtures=1).item(), rel=1e-14
    )


def test_its_gradient_is_that_of_finite_differences() -> None:
    params = parameters(3, 2, 2, 3, dtype=torch.float64).requires_grad_()
    target = images(3, 2, 3)
    with fastvae.use_backend("reference"):
        for reduction in ("none", "batchmean"):
            assert torch.autograd.gradcheck(
                lambda p, r=reduction: reference.discretized_logistic_mixture_nll(
                    p, target, num_mixtures=2, reduction=r
                ),
                params,
            )


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"params": torch.zeros(2, 19, 4, 4)}, ValueError, "params: got size 19 along dim 1; takes 20, 10 for each of"),
        ({"target": torch.zeros(2, 1, 4, 4)}, ValueError, "params: got size 20 along dim 1; takes 6, 3 for each of"),
        (
            {"target": torch.zeros(2, 2, 4, 4)},
            ValueError,
            r"target: got shape \[2, 2, 4, 4\]; takes .* 1 or 3",
        ),
        ({"target": torch.zeros(2, 3, 4, 5)}, ValueError, r"target: got shape \[2, 3, 4, 5\]"),
        ({"target": torch.zeros(2, 3, 4)}, ValueError, r"target: got shape \[2, 3, 4\]"),
        (
            {"target": torch.zeros(2, 3, 4, 4, requires_grad=True)},
            ValueError,
            "target: got a tensor that requires",
        ),
        ({"target": torch.zeros(2, 3, 4, 4, dtype=torch.int32)}, TypeError, "target: got dtype int32"),
        ({"target": torch.zeros(2, 3, 4, 4, device="meta")}, ValueError, "target: got device meta"),
        ({"params": torch.zeros(2, 20, 4, 4).int()}, TypeError, "params: got dtype int32"),
        ({"num_mixtures": 0}, ValueError, "num_mixtures: got 0"),
        ({"num_mixtures": 2.0}, ValueError, "num_mixtures: got 2.0"),
        ({"bits": 17}, ValueError, "bits: got 17"),
        (
            {"bits": 10, "target": torch.zeros(2, 3, 4, 4, dtype=torch.uint8)},
            ValueError,
            "target: got dtype uint8",
        ),
        ({"dim": 0}, ValueError, "dim: got 0"),
        ({"dim": 4}, ValueError, "dim: got 4"),
        ({"reduction": "average"}, ValueError, "reduction: got 'average'"),
    ],
)
def test_bad_arguments_are_named(changed: dict[str, object], error: type[Exception], message: str) -> None:
    arguments = {"params": torch.zeros(2, 20, 4, 4), "target": torch.zeros(2, 3, 4, 4), "num_mixtures": 2} | changed
    with pytest.raises(error, match=message):
        F.discretized_logistic_mixture_nll(**arguments)
