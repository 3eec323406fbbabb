"""The negative binomial: against mpmath, scvi-tools' formula and torch's Poisson loss, and its special values."""

import itertools
import math

import pytest
import torch

import fastvae
import fastvae.functional as F
from tests.support.negative_binomials import COUNTS, DISPERSIONS, LOG_MEANS, LOGITS, MEANS, exact


def loss_and_gradients(mean, target, t, logits=None, **options):
    leaves = [None if value is None else value.detach().clone().requires_grad_() for value in (mean, t, logits)]
    mean, t, logits = leaves
    loss = F.negative_binomial_nll(mean, target, t, zero_inflation_logits=logits, reduction="none", **options)
    wanted = [leaf for leaf in leaves if leaf is not None]
    return loss.detach(), *torch.autograd.grad(loss.sum(), wanted)


@pytest.mark.parametrize("log_input", [False, True])
@pytest.mark.parametrize("logit", [None, *LOGITS])
def test_the_loss_is_exact_to_a_few_units(logit, log_input):
    means = [value for value in (LOG_MEANS if log_input else MEANS) if math.isfinite(value)]
    cases = list(itertools.product(means, COUNTS, DISPERSIONS))
    mean, target, t = (torch.tensor(column, dtype=torch.float32) for column in zip(*cases, strict=True))
    logits = None if logit is None else torch.full_like(mean, logit)
    with fastvae.use_backend("reference"):
        loss, *_ = loss_and_gradients(mean, target, t, logits, log_input=log_input)
    given = zip(mean.tolist(), (count for _, count, _ in cases), t.tolist(), strict=True)
    number = None if logits is None else logits[0].item()
    expected = torch.tensor([exact(*each, number, log_input)[0] for each in given], dtype=torch.float64)
    units = (loss.double() - expected).abs() / (expected.abs() + 1e-35) * 2.0**23
    assert units.max() <= 4
