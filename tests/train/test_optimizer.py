"""Adam as a run asks for it, and its learning rate from epoch to epoch."""

import pytest
import torch
from torch import nn

from fastvae.train.errors import UserError
from fastvae.train.loop import optimizer
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config
from tests.train.trainers import TINY, fitted, saved, trainer


def config(**changes):
    return Config(**resolve.resolve({**TINY, **changes}))


STEPS = {"lr": 0.5, "lr_schedule": "steps", "lr_milestones": (1, 3), "lr_decay": 0.1}


def test_the_rate_is_constant_by_default():
    assert [optimizer.learning_rate(config(lr=0.25), epoch) for epoch in (1, 2, 1000)] == [0.25] * 3


def test_the_rate_falls_after_each_milestone():
    rates = [optimizer.learning_rate(config(**STEPS), epoch) for epoch in (1, 2, 3, 4, 5)]
    assert rates == pytest.approx([0.5, 0.05, 0.05, 0.005, 0.005])


def test_rates_are_those_of_torch_s_scheduler():
    ours, model = config(**STEPS), nn.Linear(2, 2)
    theirs = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD(model.parameters(), 0.5), [1, 3], 0.1)
    for epoch in range(1, 6):
        assert optimizer.learning_rate(ours, epoch) == pytest.approx(theirs.get_last_lr()[0])
        theirs.optimizer.step()
        theirs.step()


def test_the_preset_has_the_rates_of_the_paper():
    """Burda et al. 2016, section 5: stage i of 3^i epochs has the rate 0.001 * 10^(-i / 7)."""
    stages = Config(**resolve.resolve({"preset": "iwae", "data_dir": ".", "device": "cpu", "threads": 1}))
    assert stages.epochs == sum(3**stage for stage in range(5))
    epoch = 1
    for stage in range(5):
        for _ in range(3**stage):
            assert optimizer.learning_rate(stages, epoch) == pytest.approx(1e-3 * 10 ** (-stage / 7))
            epoch += 1


@pytest.mark.parametrize("rate", [0.25, torch.tensor(0.25)], ids=["number", "tensor"])
def test_every_group_gets_the_rate_in_the_form_it_has(rate):
    weight = nn.Parameter(torch.ones(3))
    adam = torch.optim.Adam([weight], lr=rate, capturable=isinstance(rate, torch.Tensor), foreach=False, fused=True)
    optimizer.set_learning_rate(adam, 0.125)
    assert type(adam.param_groups[0]["lr"]) is type(rate)
    assert adam.param_groups[0]["lr"] is rate or not isinstance(rate, torch.Tensor)
    weight.sum().backward()
    adam.step()
    torch.testing.assert_close(weight.detach(), torch.full((3,), 0.875))


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
    ],
)
def test_contradictions_are_refused(changes, said):
    with pytest.raises(UserError) as caught:
        resolve.new({**TINY, **changes})
    assert said in str(caught.value)
