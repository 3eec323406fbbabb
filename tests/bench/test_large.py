"""The check of large tensors, at a size that is none: it passes, and sees what it is for."""

from __future__ import annotations

import pytest

from tools.checks import large

TIMES = 3


@pytest.mark.parametrize("name", large.calls())
def test_every_op_passes(name: str) -> None:
    assert not list(large.differences(large.calls()[name], TIMES))


@pytest.mark.parametrize("name", ["mse_loss", "reparameterize_kl", "log_normal_mixture"])
def test_a_gradient_that_goes_wrong_behind_some_element_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = large.evaluate

    def wrong(call, operands, **options):
        *outputs, gradient = evaluate(call, operands, **options)
        changed = gradient.clone()
        if not options:
            changed.view(-1)[-1] += 1
        return [*outputs, changed]

    monkeypatch.setattr(large, "evaluate", wrong)
    call = large.calls()[name]
    if call.seeded or name == "log_normal_mixture":
        assert list(large.differences(call, TIMES))
    else:
        # The period has the same fault at its own end; the whole has it once.
        assert list(large.differences(call, TIMES)) == ["result 1: differs in a period from 0 on"]
