"""Two copies of a small model through any order of what a training loop does: one fused, one on the reference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from torch import Tensor, nn

import fastvae
import fastvae.functional as F

BATCH, PIXELS, LATENT = 6, 12, 3


class Model(nn.Module):
    """An encoder of packed moments, a decoder, and a learned scale; `beta` may change at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(PIXELS, 2 * LATENT), nn.Linear(LATENT, PIXELS)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.beta = 1.0

    def forward(self, x: Tensor, seed: int, loss: str, inplace: bool, samples: int | None) -> tuple[Tensor, Tensor]:
        """The loss, and the latent that it was decoded from."""
        z, kl = F.reparameterize_kl_packed(self.encoder(x), seed=seed, num_samples=samples)
        prediction, target = self.decoder(z), x if samples is None else x.expand(samples, *x.shape)
        if loss == "gaussian_nll":
            nll = F.gaussian_nll(prediction, target, self.log_scale, reduction="sum")
        elif inplace:
            nll = getattr(F, loss)(prediction, target, reduction="sum", inplace=True)
        else:
            nll = getattr(F, loss)(prediction, target, reduction="sum")
        return nll / BATCH + self.beta * kl, z


class Side:
    """A model with its optimizer, on one backend, and the losses whose graphs are still there."""

    def __init__(self, backend: str) -> None:
        torch.manual_seed(0)
        self.backend, self.model = backend, Model().double()
        self.optimize()
        self.losses: list[Tensor] = []
        self.latents: list[Tensor] = []
        self.seen: list[Tensor] = []

    def optimize(self) -> None:
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def tensors(self) -> list[Tensor]:
        """All that the two sides must have in common."""
        gradients = [value.grad for value in self.model.parameters() if value.grad is not None]
        return [*self.model.parameters(), *gradients, *self.losses, *self.seen]


def _error(call: Callable[[], object]) -> type[Exception] | None:
    try:
        call()
    except RuntimeError as error:
        return type(error)
    return None


class TrainingLoop(RuleBasedStateMachine):
    """What the fused side does must be what the other does, but for rounding."""

    @initialize()
    def begin(self) -> None:
        self.sides = [Side("fused"), Side("reference")]
        self.count = 0
        self.overwritten = False

    def both(self, call: Callable[[Side], Any]) -> list[Any]:
        results = []
        for side in self.sides:
            with fastvae.use_backend(side.backend):  # type: ignore[arg-type]
                results.append(call(side))
        return results

    def batch(self) -> Tensor:
        self.count += 1
        generator = torch.Generator().manual_seed(self.count)
        return torch.rand((BATCH, PIXELS), generator=generator, dtype=torch.float64)

    @rule(
        loss=st.sampled_from(["mse_loss", "l1_loss", "binary_cross_entropy_with_logits", "gaussian_nll"]),
        inplace=st.booleans(),
        samples=st.sampled_from([None, 1, 2]),
        seed=st.integers(0, 5),
        hook=st.booleans(),
    )
    def forward(self, loss: str, inplace: bool, samples: int | None, seed: int, hook: bool) -> None:
        x = self.batch()

        def run(side: Side) -> None:
            value, z = side.model(x, seed, loss, inplace, samples)
            if hook:
                z.register_hook(lambda gradient: side.seen.append(gradient.clone()) or 2 * gradient)
            side.losses, side.latents = [value], [z]

        self.both(run)
        self.overwritten = inplace and loss != "gaussian_nll"

    @precondition(lambda self: self.sides[0].losses)
    @rule(factor=st.sampled_from([1.0, -2.0, 0.0]))
    def backward_and_keep(self, factor: float) -> None:
        """A gradient written over the input has one backward pass, which is said; all others have as many as wanted."""
        if self.overwritten:
            self.backward(factor)
            return
        self.both(lambda side: (factor * side.losses[0]).backward(retain_graph=True))

    @precondition(lambda self: self.sides[0].losses)
    @rule(factor=st.sampled_from([1.0, 3.0]))
    def backward(self, factor: float) -> None:
        self.both(lambda side: (factor * side.losses.pop()).backward())

    @precondition(lambda self: self.sides[0].losses)
    @rule()
    def backward_twice_through_a_freed_graph(self) -> None:
        def run(side: Side) -> tuple[type[Exception] | None, ...]:
            loss = side.losses.pop()
            loss.backward()
            return (_error(loss.backward),)

        assert self.both(run) == [(RuntimeError,)] * 2

    @precondition(lambda self: self.sides[0].losses)
    @rule()
    def change_the_latent_after_forward(self) -> None:
        """The decoder needs it: a version counter tells, on both sides."""

        def run(side: Side) -> type[Exception] | None:
            side.latents[0].detach().add_(1.0)
            error = _error(side.losses.pop().backward)
            side.model.zero_grad()
            side.seen.clear()
            return error

        assert self.both(run) == [RuntimeError] * 2

    @precondition(lambda self: any(value.grad is not None for value in self.sides[0].model.parameters()))
    @rule(clear=st.booleans())
    def step(self, clear: bool) -> None:
        def run(side: Side) -> None:
            nn.utils.clip_grad_norm_(side.model.parameters(), 1.0)
            side.optimizer.step()
            if clear:
                side.optimizer.zero_grad(set_to_none=True)
            side.losses.clear()  # the step changed what its graph needs
            side.seen.clear()

        self.both(run)

    @rule(mode=st.sampled_from([torch.no_grad, torch.inference_mode]), inplace=st.booleans(), seed=st.integers(0, 5))
    def evaluate(self, mode: Callable[[], Any], inplace: bool, seed: int) -> None:
        x = self.batch()

        def run(side: Side) -> Tensor:
            with mode():
                loss, _ = side.model(x, seed, "mse_loss", inplace, None)
            return loss

        fused, reference = self.both(run)
        torch.testing.assert_close(fused, reference)
        assert not fused.requires_grad

    @rule(seed=st.integers(0, 2**31 - 1), share=st.booleans())
    def draw(self, seed: int, share: bool) -> None:
        """torch's generator is drawn from alike, and left alike."""
        mu = torch.zeros(BATCH, LATENT)

        def run(side: Side) -> tuple[Tensor, Tensor]:
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(seed) if share else None
            return F.reparameterize(mu, mu, generator=generator), torch.rand(3)

        fused, reference = self.both(run)
        for one, other in zip(fused, reference, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)

    @rule(beta=st.sampled_from([0.0, 0.5, 4.0]))
    def change_beta(self, beta: float) -> None:
        self.both(lambda side: setattr(side.model, "beta", beta))

    @rule(threads=st.sampled_from([1, 2]))
    def change_threads(self, threads: int) -> None:
        torch.set_num_threads(threads)

    @rule(how=st.sampled_from(["deepcopy", "state_dict"]))
    def replace_the_model(self, how: str) -> None:
        def run(side: Side) -> None:
            model = copy.deepcopy(side.model) if how == "deepcopy" else Model().double()
            model.load_state_dict(side.model.state_dict())
            model.beta = side.model.beta
            side.model = model
            side.optimize()
            side.losses.clear()

        self.both(run)

    @invariant()
    def they_agree(self) -> None:
        if not hasattr(self, "sides"):
            return
        fused, reference = (side.tensors() for side in self.sides)
        for one, other in zip(fused, reference, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def _try(examples: int, steps: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        TrainingLoop,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
            phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.usefixtures("one_thread")
def test_a_training_loop_is_the_same_on_the_reference() -> None:
    _try(examples=15, steps=25)


@pytest.mark.nightly
@pytest.mark.usefixtures("one_thread")
def test_long_training_loops_are_the_same_on_the_reference() -> None:
    _try(examples=200, steps=60)


@pytest.mark.usefixtures("one_thread")
def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    mse_loss = F.mse_loss

    def faulty(input: Tensor, target: Tensor, **options: Any) -> Tensor:
        value = mse_loss(input, target, **options)
        return value + 1e-6 * (input - input.detach()).sum() if fastvae._backend.requested() == "fused" else value

    monkeypatch.setattr(F, "mse_loss", faulty)
    with pytest.raises(AssertionError, match="not close"):
        _try(examples=15, steps=25)
