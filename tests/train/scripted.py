"""Networks of features in TorchScript, whose sources must be in a file."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


class Corner(nn.Module):
    """Features of a corner of an image, and something else unless they are asked for."""

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        return images[:, :, :2, 0].flatten(1).float() / 100 if return_features else images.flatten(1).float()


class Plain(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, 0, 0].float() / 100


def saved(network: nn.Module, file: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(network).save(str(file))
    return file
