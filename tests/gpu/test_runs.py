"""Whole runs on a GPU: every objective as a graph, data that stays on disk, a user's own loop and processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from torch import Tensor

import fastvae
import fastvae.functional as F

from .conftest import DRY_RUN
from .models import batch, vae

SMALL: Final[dict[str, Any]] = {"threads": 1, "hidden": (16,), "latent_dim": 3, "batch_size": 600, "epochs": 2}
OBJECTIVES: Final[dict[str, dict[str, Any]]] = {
    "iwae": {"objective": "iwae", "train_samples": 3},
    "samples": {"train_samples": 2, "kl_estimator": "monte_carlo"},
    "mixture prior": {"prior": "mixture", "components": 5},
    "pseudo-inputs": {"prior": "vamp", "components": 5, "dropout": 0.0},
    "parts of the kl": {"total_correlation": 6.0, "mutual_information": 1.0, "dimension_kl": 1.0},
    "capacity": {"capacity": 5.0, "warmup_steps": 3, "beta": 10.0},
    "free bits": {"free_bits": 0.5, "free_bits_per": "dimension", "beta_schedule": "cyclical", "warmup_steps": 8},
    "resnet": {"model": "resnet", "hidden": (), "latent_dim": 2, "amp": "bf16"},
    "levels": {"likelihood": "discretized_logistic_mixture", "model": "conv"},
    "dynamic": {"binarize": "dynamic", "likelihood": "bernoulli"},
    "label": {"condition": "label", "likelihood": "bernoulli"},
    "quadrants": {"condition": "quadrants", "prior": "learned", "objective": "hybrid", "alpha": 0.5},
}


@pytest.fixture(autouse=True, scope="module")
def _with_what_it_trains_with() -> None:
    for package in ("pydantic", "click", "matplotlib", "PIL", "safetensors", "tqdm"):
        pytest.importorskip(package)


@pytest.fixture(autouse=True)
def _one_order_of_summation() -> Iterator[None]:
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before


def trained(path: Path, device: str, data: str = "digits", **options: Any) -> bytes:
    """The weights of a run."""
    from fastvae.train.data import datasets
    from fastvae.train.loop.trainer import Trainer
    from fastvae.train.runs.folder import RunFolder
    from fastvae.train.settings.config import Config
    from fastvae.train.settings.resolve import resolve

    path.mkdir()
    settings = {**SMALL, "device": device, "data": data, **options}
    Trainer(Config(**resolve(settings)), datasets.load(data, None), RunFolder(path)).fit()
    return (path / "weights.safetensors").read_bytes()


# The interpreter takes seconds for one of them.
@pytest.mark.parametrize("name", list(OBJECTIVES)[: 1 if DRY_RUN else None])
def test_every_objective_trains_as_a_graph(
    device: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bits of the same steps launched kernel by kernel."""
    from fastvae.train.loop import trainer

    class Counted(trainer.GraphedStep):
        def __init__(self, step: Any, batch_size: int, graph: Any) -> None:
            captures.append(batch_size)
            super().__init__(step, batch_size, graph)

    captures: list[int] = []
    monkeypatch.setattr(trainer, "GraphedStep", Counted)
    captured = trained(tmp_path / "captured", device, **OBJECTIVES[name])
    assert captures == ([] if DRY_RUN else [600])
    monkeypatch.setattr(trainer, "GraphedStep", lambda step, *_: step)
    assert trained(tmp_path / "plain", device, **OBJECTIVES[name]) == captured


def test_data_that_stays_on_disk_trains_to_the_same_bits(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gathered by a thread into pinned memory, copied on a stream of its own."""
    images = np.random.default_rng(0).integers(0, 256, (3000, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", images)
    options = {"data": str(tmp_path / "x.npy"), "model": "mlp", "batch_size": 128, "epochs": 1 if DRY_RUN else 3}
    whole = trained(tmp_path / "memory", device, **options)
    monkeypatch.setattr("fastvae.train.data.datasets.IN_MEMORY", 0)
    assert trained(tmp_path / "disk", device, **options) == whole


def test_a_model_of_ones_own(device: str, tmp_path: Path) -> None:
    """Fitted, kept, drawn, and moved back to the CPU, where it gives the same."""
    encoder, decoder, latent_shape = fastvae.networks.build("mlp", (1, 6, 6), 3, hidden=(16,))
    model = fastvae.VAE(encoder, decoder, latent_shape=latent_shape)
    x = np.random.default_rng(0).random((100, 1, 6, 6), dtype=np.float32)
    found = fastvae.fit(model, x, epochs=3, batch_size=32, validation=0.2, ema=0.9, device=device, progress=False)
    assert found.history[-1]["train_loss"] < found.history[0]["train_loss"]
    assert next(model.parameters()).device.type == device
    assert fastvae.plots.reconstructions(model, x[:4]).axes
    assert fastvae.plots.kl_by_dimension(model, x).axes
    model.save_pretrained(tmp_path / "kept")
    loaded = fastvae.VAE.from_pretrained(tmp_path / "kept")
    ours = model(torch.from_numpy(x).to(device), sample=False)
    with fastvae.use_backend("reference"):
        theirs = loaded(torch.from_numpy(x), sample=False)
    # Of matrix products in float32, added up in another order.
    torch.testing.assert_close(ours.loss.cpu(), theirs.loss, rtol=1e-5, atol=0)


@pytest.fixture
def nccl(gpu: str) -> Iterator[str]:
    """A group of this process alone: nccl refuses a second one on the same GPU."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("nccl", store=store, rank=0, world_size=1, device_id=torch.device(gpu, 0))
    yield gpu
    torch.distributed.destroy_process_group()


def gradients(model: torch.nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    torch.manual_seed(5)
    loss = model(x).loss
    loss.backward()
    found = [parameter.grad for parameter in model.parameters()]
    return loss.detach(), [getattr(gradient, "full_tensor", lambda g=gradient: g)() for gradient in found]


@pytest.mark.parametrize("how", ["replicated", "sharded"])
def test_distributed_by_nccl(nccl: str, how: str) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    x = batch(nccl)
    expected = gradients(vae(nccl), x)
    model: torch.nn.Module = vae(nccl)
    if how == "sharded":
        fully_shard(model, mesh=init_device_mesh("cuda", (1,)))
    else:
        model = DistributedDataParallel(model, device_ids=[0])
    torch.testing.assert_close(gradients(model, x), expected, rtol=1e-6, atol=1e-7)


def test_tensors_of_two_devices_are_refused_by_name(gpu: str) -> None:
    x, target = torch.zeros(3, 4, device=gpu), torch.zeros(3, 4)
    with pytest.raises(ValueError, match="target: got device cpu; takes the device of input, cuda:0"):
        F.mse_loss(x, target)
