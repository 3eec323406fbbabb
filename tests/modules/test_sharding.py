"""Models whose parameters are sharded over processes (FSDP2's `fully_shard`)."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
import torch.distributed
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tests.modules.tiny import EXACT, data, model

PROCESSES, SECONDS = 2, 60


def trained(vae: nn.Module) -> list[float]:
    """The losses of three steps."""
    optimizer, losses = torch.optim.Adam(vae.parameters(), 0.1), []
    for step in range(3):
        optimizer.zero_grad()
        loss = vae(data(), seed=step).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def shard_and_train(rank: int, store: Path, likelihood: str, results: Connection) -> None:
    """The body of a process. All see the same batch, so that the mean of their gradients is that of one process."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=PROCESSES)
    vae = model(likelihood=likelihood)
    fully_shard(vae, mesh=init_device_mesh("cpu", (PROCESSES,)))
    losses = trained(vae)
    results.send((losses, vae.elbo.reconstruction.log_scale.full_tensor().tolist()))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("likelihood", [pytest.param("gaussian_learned", marks=pytest.mark.slow), "laplace_learned"])
def test_a_learned_scale_is_sharded_and_trained(likelihood: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    processes = [
        context.Process(target=shard_and_train, args=(rank, tmp_path / "store", likelihood, sender))
        for rank in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    whole = model(likelihood=likelihood)
    expected = trained(whole), whole.elbo.reconstruction.log_scale.tolist()
    try:
        for _ in processes:
            assert receiver.poll(SECONDS), "a process hangs or failed"
            torch.testing.assert_close(receiver.recv(), expected, **EXACT)
    finally:
        for process in processes:
            process.join(SECONDS)
            process.kill()
