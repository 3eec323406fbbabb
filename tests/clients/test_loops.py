"""The loops of Lightning, transformers and Accelerate, and PyTorch's example, as examples/clients has them."""

from __future__ import annotations

import math
import re

import pytest
import torch

from bench.clients import example
from tests.clients.packages import client

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def last_number(text, name):
    return float(re.findall(rf"{name} (-?\d+\.\d+)", text)[-1])


def test_lightning(capsys):
    client("lightning")
    module = example("lightning_module")
    module.main()
    # The entropy of the pixels is less than that of fair coins, and no decoder does better than the mean.
    assert last_number(capsys.readouterr().out, "val_loss") == pytest.approx(784 * math.log(2), rel=0.02)


def test_a_step_of_lightning_is_the_plain_one():
    client("lightning")
    losses = [[step() for _ in range(4)] for step in map_steps(example("lightning_module"))]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)  # another noise
    assert losses[1][-1] < losses[1][0]


def map_steps(module):
    return [module.step(fused=fused) for fused in (False, True)]


def test_transformers(capsys):
    client("transformers")
    module = example("hf_trainer")
    module.main()
    assert last_number(capsys.readouterr().out, "eval_loss") < 560


def test_accelerate(capsys):
    client("accelerate")
    example("accelerate_loop").main()
    text = capsys.readouterr().out
    assert last_number(text, "loss") < 560
    assert last_number(text, "KL") > 0


def test_the_example_of_pytorch():
    module = example("pytorch_examples")
    losses = [[step() for _ in range(4)] for step in map_steps(module)]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    x, recon = torch.rand(2, 16, 784)
    mu, logvar = torch.randn(2, 16, 20)
    ours = module.F.vae_loss(recon, x, mu, logvar)
    torch.testing.assert_close(ours, module.loss_function(recon, x, mu, logvar))
