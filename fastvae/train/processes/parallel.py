"""A model that several processes train together, and its state in one piece, whichever of them held which part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from fastvae.train.processes import group

# Of the models that there are: what is called as a module, so that FSDP's hooks see it.
_NETWORKS: Final = ("encoder", "decoder", "recognition", "generation", "network")
_WHOLE: Final = StateDictOptions(full_state_dict=True, cpu_offload=True)


def replicated(objective: nn.Module, device: torch.device, *, some_unused: bool) -> nn.Module:
    """`objective`, its gradients averaged over the processes as they come (DistributedDataParallel).

    Args:
        objective: of the same weights in every process.
        device: of the process.
        some_unused: whether there are parameters without a gradient.
    """
    return DistributedDataParallel(
        objective,
        device_ids=[device] if device.type == "cuda" else None,
        # Schedules count alike everywhere.
        broadcast_buffers=False,
        find_unused_parameters=some_unused,
        gradient_as_bucket_view=True,
    )


def copy_first(model: nn.Module) -> None:
    """Give every process the parameters and buffers of the first one's `model`."""
    if group.count() > 1:
        for tensor in model.state_dict(keep_vars=True).values():
            torch.distributed.broadcast(tensor.detach(), 0)


@contextmanager
def gradients_averaged(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Whether a backward pass inside the block averages gradients over the processes, or leaves that to a later one."""
    if isinstance(model, DistributedDataParallel) and not wanted:
        with model.no_sync():
            yield
    else:
        yield


def shard_parameters(model: nn.Module, device: torch.device) -> None:
    """Leave every process its part of the parameters of `model`, in place (FSDP2's `fully_shard`).

    The networks are gathered one after the other, all else for the whole of a forward pass.
    """
    mesh = init_device_mesh(device.type, (group.count(),))
    for name in _NETWORKS:
        if hasattr(model, name):
            fully_shard(getattr(model, name), mesh=mesh)
    fully_shard(model, mesh=mesh)


def is_sharded(model: nn.Module) -> bool:
    """Whether `shard_parameters` was called."""
    return isinstance(model, FSDPModule)


def model_state(model: nn.Module) -> dict[str, Any]:
    """The whole state_dict; where parameters are sharded it is empty in all processes but the first."""
    return get_model_state_dict(model, options=_WHOLE) if is_sharded(model) else model.state_dict()


def optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """That of an optimizer, by the names of its parameters."""
    return get_optimizer_state_dict(model, optimizer, options=_WHOLE)


def load_model_state(model: nn.Module, state: dict[str, Any]) -> None:
    """The inverse of `model_state`, from the whole state in every process.

    Raises:
        RuntimeError: the state is of another model.
    """
    if is_sharded(model):
        set_model_state_dict(model, state, options=_WHOLE)
    else:
        model.load_state_dict(state)


def load_optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """The inverse of `optimizer_state`, from the whole state in every process.

    A parameter that never had a gradient, such as those of a recognition network in a GSNN, has no state.
    """
    set_optimizer_state_dict(model, optimizer, state, options=replace(_WHOLE, strict=False))
