"""What a step does with gradients: parts that add up, clipping, averages and scaled losses, plain and replayed."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fastvae import VAE, LinearWarmup
from fastvae.train.loop.optimizer import Average, Update
from fastvae.train.loop.step import Step
from fastvae.train.runs.metrics import Sums
from tests.support.training_steps import OPTIONS, Run, same_bits
from tests.train.test_step import Idle, Rerun

pytestmark = pytest.mark.usefixtures("one_thread")

options = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


class Noiseless(nn.Module):
    """A VAE whose latent is the posterior's mean, with the sizes of the batches that it was given."""

    def __init__(self, beta=1.0):
        super().__init__()
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 8))
        decoder = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 64))
        self.model = VAE(encoder, decoder, latent_shape=4, beta=beta).double()
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        return self.model(x, sample=False)


def gradients(parts, count=11):
    """Of the whole batch, by a descent of rate 1; and what was measured."""
    model, sums = Noiseless(), Sums(torch.device("cpu"), 0.0)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    images = torch.rand((count, 64), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    update = Update(model, torch.optim.SGD(model.parameters(), 1.0))
    Step(model, update, sums, accumulate=parts)(images)
    return [old - new.detach() for old, new in zip(before, model.parameters(), strict=True)], sums.means(), model.sizes


@pytest.mark.parametrize(
    ("parts", "sizes"), [(2, [6, 5]), (3, [4, 4, 3]), (4, [3, 3, 3, 2]), (11, [1] * 11), (20, [1] * 11)]
)
def test_parts_add_up_to_the_batch(parts, sizes):
    """In float64: what is left is the order of 11 terms."""
    whole, means, _ = gradients(1)
    found, found_means, found_sizes = gradients(parts)
    assert found_sizes == sizes
    for one, other in zip(found, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13 * other.abs().max().item() + 1e-15)
    assert found_means[:4] == pytest.approx(means[:4], rel=1e-13)


def test_a_schedule_counts_batches_and_not_their_parts():
    model = Noiseless(LinearWarmup(0.0, 1.0, 10))
    step = Step(
        model, Update(model, torch.optim.SGD(model.parameters(), 0.1)), Sums(torch.device("cpu"), 0.0), accumulate=4
    )
    for _ in range(3):
        step(torch.rand((8, 64), dtype=torch.float64))
    assert model.model.elbo.beta.count == 3


def loop(run, batches, amp=None, clip=None, decay=None):
    """A step as everybody writes it, with what torch has for each option; returns the norms and the averages."""
    scaler = torch.amp.GradScaler("cpu", enabled=amp == torch.float16)
    average = AveragedModel(run.model, multi_avg_fn=get_ema_multi_avg_fn(decay or 0.5))
    # An average from the first weights on, and not from those after the first step.
    average.n_averaged.fill_(1)
    norms = []
    for batch in batches:
        with torch.autocast("cpu", amp, enabled=amp is not None):
            output = run.model(batch)
        run.optimizer.zero_grad()
        scaler.scale(output.loss).backward()
        scaler.unscale_(run.optimizer)
        if clip is not None:
            norms.append(nn.utils.clip_grad_norm_(run.model.parameters(), clip).item())
        scaler.step(run.optimizer)
        scaler.update()
        average.update_parameters(run.model)
    return norms, average.module, scaler


@options
def test_an_update_is_what_torch_does_bit_for_bit(options):
    options = {name: value for name, value in options.items() if name != "accumulate"}
    run, other = Run("cpu", **options), Run("cpu")
    torch.manual_seed(5)
    run.train([1, 2])
    torch.manual_seed(5)
    norms, average, scaler = loop(other, [*other.batches(1), *other.batches(2)], **options)
    assert same_bits(run.learned(), other.learned())
    # The sums began anew in the second epoch.
    expected = sum(norms[3:]) / 3 if norms else None
    assert run.sums.means().grad_norm == (expected and pytest.approx(expected, rel=1e-6))
    assert not norms or min(norms) < 2.9 < max(norms)
    if run.average is not None:
        assert same_bits(list(run.average.model.parameters()), list(average.parameters()))
        assert not any(parameter.requires_grad for parameter in run.average.model.parameters())
    assert run.scaler.state_dict() == scaler.state_dict()


@options
def test_replays_are_steps_bit_for_bit(options):
    plain = Run("cpu", **options).train([1, 2]).state()
    assert same_bits(Run("cpu", Rerun, **options).train([1, 2]).state(), plain)
    assert not same_bits(Run("cpu").train([1, 2]).learned(), Run("cpu", **options).train([1, 2]).learned()) or (
        set(options) == {"decay"}
    )


@options
def test_a_run_resumed_has_the_same_bits(options):
    whole = Run("cpu", Rerun, **options).train([1, 2, 3]).state()
    saved = Run("cpu", Rerun, **options).train([1]).saved()
    torch.manual_seed(99)
    assert same_bits(Run("cpu", Rerun, **options).resume(saved).train([2, 3]).state(), whole)


def test_capturing_leaves_averages_and_scales_alone():
    run = Run("cpu", Idle, **OPTIONS["all"])
    first = [parameter.detach().clone() for parameter in run.model.parameters()]
    run.step(next(run.batches(1)))
    assert same_bits([parameter.detach() for parameter in run.model.parameters()], first)
    assert same_bits(list(run.average.model.parameters()), first)
    assert run.scaler.state_dict() == torch.amp.GradScaler("cpu").state_dict()


@pytest.mark.parametrize("graph", [None, Rerun])
def test_a_step_whose_scaled_gradient_overflows_is_skipped(graph):
    run = Run("cpu", graph, amp=torch.float16, clip=1.0)
    before = [parameter.detach().clone() for parameter in run.model.parameters()]
    # Beyond the greatest float16, 65504, divided by what the gradients are.
    run.scaler.load_state_dict(run.scaler.state_dict() | {"scale": 2.0**40})
    batch = next(run.batches(1))
    run.step(batch)
    assert same_bits([parameter.detach() for parameter in run.model.parameters()], before)
    assert run.scaler.get_scale() == 2.0**39
    assert {float(values["step"]) for values in run.optimizer.state.values()} == {0.0}
    assert math.isnan(run.sums.means().grad_norm)
    for _ in range(40):
        run.step(batch)
    assert run.scaler.get_scale() < 2.0**25
    assert not same_bits([parameter.detach() for parameter in run.model.parameters()], before)
    assert math.isfinite(run.sums.means().grad_norm)


def test_an_average_follows_weights_slowly_and_buffers_at_once():
    model = Noiseless(LinearWarmup(0.0, 1.0, 10))
    average = Average(model, copy.deepcopy(model), 0.75)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(4.0)
    before = [parameter.clone() for parameter in average.model.parameters()]
    model.model.elbo.beta.step()
    average.update()
    for old, new in zip(before, average.model.parameters(), strict=True):
        torch.testing.assert_close(new, old + 1.0, rtol=0, atol=1e-15 * (4 + old.abs().max().item()))
    assert average.model.model.elbo.beta.count == 1
