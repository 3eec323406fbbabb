"""Adam as a run asks for it, and its learning rate from step to step."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, SequentialLR

from fastvae.train.errors import UserError
from fastvae.train.loop import optimizer
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config
from tests.train.trainers import TINY, fitted, saved, trainer


def config(**changes):
    return Config(**resolve.resolve({**TINY, **changes}))


STEPS = {"lr": 0.5, "lr_schedule": "steps", "lr_milestones": (1, 3), "lr_decay": 0.1}


def rates(asked, steps, count=None):
    """Of the steps of a run of so many an epoch."""
    count = asked.epochs * steps if count is None else count
    return [optimizer.learning_rate(asked, step, steps) for step in range(count)]


def of_epochs(asked, epochs):
    """The rate of whole epochs, of two steps each."""
    first, second = rates(asked, 2, 2 * epochs)[::2], rates(asked, 2, 2 * epochs)[1::2]
    assert first == second
    return first


def test_the_rate_is_constant_by_default():
    assert rates(config(lr=0.25), 4) == [0.25] * 12


def test_the_rate_falls_after_each_milestone():
    assert of_epochs(config(**STEPS), 5) == pytest.approx([0.5, 0.05, 0.05, 0.005, 0.005])


def test_rates_are_those_of_torch_s_schedulers():
    for ours, theirs in (
        (config(**STEPS), partial(MultiStepLR, milestones=[4, 12], gamma=0.1)),
        (config(lr=0.5, lr_schedule="cosine"), partial(CosineAnnealingLR, T_max=12)),
        (config(lr=0.5, warmup=5), partial(LinearLR, start_factor=0.2, total_iters=4)),
        (config(lr=0.5, warmup=4, lr_schedule="cosine"), warmed_up_cosine),
    ):
        sgd = torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.5)
        scheduler, found = theirs(sgd), []
        for _ in range(12):
            found += scheduler.get_last_lr()
            sgd.step()
            scheduler.step()
        assert rates(ours, 4) == pytest.approx(found, rel=1e-12)


def warmed_up_cosine(sgd):
    warmup = LinearLR(sgd, start_factor=0.25, total_iters=3)
    return SequentialLR(sgd, [warmup, CosineAnnealingLR(sgd, T_max=8)], [4])


def test_a_cosine_ends_one_step_after_the_last():
    assert optimizer.learning_rate(config(lr=0.5, lr_schedule="cosine"), 12, 4) == 0
    assert rates(config(lr=0.5, lr_schedule="cosine"), 4)[6] == pytest.approx(0.25)


def test_a_warm_up_rises_in_a_line_on_top_of_the_schedule():
    assert rates(config(**STEPS, warmup=6), 4, 8) == pytest.approx(
        [0.5 / 6, 1 / 6, 0.25, 1 / 3, 0.05 * 5 / 6, 0.05, 0.05, 0.05]
    )


def test_the_preset_has_the_rates_of_the_paper():
    """Burda et al. 2016, section 5: stage i of 3^i epochs has the rate 0.001 * 10^(-i / 7)."""
    stages = Config(**resolve.resolve({"preset": "iwae", "data_dir": ".", "device": "cpu", "threads": 1}))
    expected = [1e-3 * 10 ** (-stage / 7) for stage in range(5) for _ in range(3**stage)]
    assert of_epochs(stages, stages.epochs) == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0.25, torch.tensor(0.25)], ids=["number", "tensor"])
def test_every_group_gets_the_rate_in_the_form_it_has(rate):
    weights = [nn.Parameter(torch.ones(3)) for _ in range(2)]
    capturable = isinstance(rate, torch.Tensor)
    adam = torch.optim.Adam([{"params": [weight]} for weight in weights], lr=rate, capturable=capturable, fused=True)
    scheduled = optimizer.LearningRate(adam, config(lr=0.25, warmup=2), 4)
    # What a checkpoint brings is not the tensor that a captured step reads.
    adam.load_state_dict(copy.deepcopy(adam.state_dict()))
    assert scheduled.set(0) == scheduled.last == 0.125
    for group in adam.param_groups:
        assert type(group["lr"]) is type(rate)
        assert group["lr"] is rate or not capturable
    sum(weight.sum() for weight in weights).backward()
    adam.step()
    for weight in weights:
        torch.testing.assert_close(weight.detach(), torch.full((3,), 0.875))
    assert scheduled.set(1) == 0.25
    assert all(float(group["lr"]) == 0.25 for group in adam.param_groups)


def test_matrices_decay_and_vectors_do_not():
    """Without a gradient, a step of Adam is that of the decay alone: 1 - lr * decay."""
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    adamw = optimizer.create(model, config(lr=0.25, weight_decay=0.5), torch.device("cpu"))
    assert isinstance(adamw, torch.optim.AdamW)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    adamw.step()
    for name, parameter in model.named_parameters():
        factor = 0.875 if name == "0.weight" else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])
    assert not isinstance(optimizer.create(model, config(), torch.device("cpu")), torch.optim.AdamW)


def test_epsilon_is_the_one_asked_for():
    linear = nn.Linear(1, 1)
    assert optimizer.create(linear, config(), torch.device("cpu")).defaults["eps"] == 1e-8
    assert optimizer.create(linear, config(adam_eps=0.5), torch.device("cpu")).defaults["eps"] == 0.5


def test_what_is_not_learned_is_left_out():
    linear = nn.Linear(1, 1)
    linear.bias.requires_grad_(False)
    (group,) = optimizer.create(linear, config(), torch.device("cpu")).param_groups
    assert len(group["params"]) == 1


def test_a_decayed_run_stops_moving(tmp_path, digits):
    """With a rate that falls to nothing after the first epoch, the second and third change nothing."""
    short = fitted(tmp_path / "short", digits, epochs=1, **(STEPS | {"lr": 1e-3, "lr_decay": 1e-30}))
    long = fitted(tmp_path / "long", digits, epochs=3, **(STEPS | {"lr": 1e-3, "lr_decay": 1e-30}))
    assert saved(short.folder.path) == saved(long.folder.path)


def test_a_resumed_run_goes_on_at_the_rate_of_its_epoch(tmp_path, digits):
    changes = STEPS | {"lr": 1e-2}
    whole = fitted(tmp_path / "whole", digits, epochs=3, **changes)
    fitted(tmp_path / "parts", digits, epochs=2, **changes)
    trainer(tmp_path / "parts", digits, epochs=3, **changes).fit()
    assert saved(whole.folder.path) == saved(tmp_path / "parts")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr_schedule": "steps"}, "takes at least one epoch with lr_schedule 'steps'"),
        ({"lr_milestones": (3,)}, "takes () with lr_schedule 'constant'"),
        ({"lr_decay": 0.5}, "takes 0.1 with lr_schedule 'constant'"),
        ({"lr_schedule": "steps", "lr_milestones": (3, 1)}, "takes epochs in their order, each once"),
        ({"lr_schedule": "steps", "lr_milestones": (3, 3)}, "takes epochs in their order, each once"),
        ({"lr_schedule": "steps", "lr_milestones": (0,)}, "--lr-milestones"),
        ({"adam_eps": 0.0}, "--adam-eps"),
        ({"lr_schedule": "cosine", "lr_milestones": (3,)}, "takes () with lr_schedule 'cosine'"),
        ({"warmup": -1}, "--warmup"),
        ({"weight_decay": -0.1}, "--weight-decay"),
    ],
)
def test_contradictions_are_refused(changes, said):
    with pytest.raises(UserError) as caught:
        resolve.new({**TINY, **changes})
    assert said in str(caught.value)
