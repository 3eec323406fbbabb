"""Adam, and its learning rate in each epoch."""

from __future__ import annotations

import torch
from torch import nn

from fastvae.train.settings.config import Config


def create(model: nn.Module, config: Config, device: torch.device) -> torch.optim.Adam:
    """Adam for the parameters of `model` that are learned.

    On a GPU its learning rate is a tensor, which a captured step reads when it is replayed.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    on_gpu = device.type == "cuda"
    rate = torch.tensor(config.lr, device=device) if on_gpu else config.lr
    return torch.optim.Adam(learned, lr=rate, eps=config.adam_eps, fused=True, capturable=on_gpu)


def learning_rate(config: Config, epoch: int) -> float:
    """The rate of an epoch, counted from 1: what it begins with, decayed once for each milestone before it."""
    return config.lr * config.lr_decay ** sum(milestone < epoch for milestone in config.lr_milestones)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the rate, in place where that is a tensor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
