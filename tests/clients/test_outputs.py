"""A model's output where loops take it as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastvae import VAE, VAEOutput
from tests.clients.packages import client

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("one_thread")]


def model() -> VAE:
    torch.manual_seed(0)
    return VAE(nn.Linear(12, 6), nn.Linear(3, 12))


def test_lightning_takes_it_from_every_step(tmp_path: Any) -> None:
    lightning = client("lightning")
    losses: list[Tensor] = []

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.vae = model()

        def training_step(self, batch: Tensor, index: int) -> VAEOutput:
            return self.vae(batch)

        validation_step = training_step

        def on_train_batch_end(self, outputs: dict[str, Tensor], batch: Tensor, index: int) -> None:
            losses.append(outputs["loss"])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), 0.05)

    data = torch.utils.data.DataLoader(torch.rand(64, 12).round(), batch_size=16)  # type: ignore[arg-type]
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", default_root_dir=tmp_path, **quiet)
    trainer.fit(Module(), data, data)
    assert len(losses) == 12
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_fabric_passes_it_on(precision: str) -> None:
    fabric = client("lightning").Fabric(accelerator="cpu", devices=1, precision=precision)
    vae = model()
    wrapped, _ = fabric.setup(vae, torch.optim.SGD(vae.parameters()))
    output = wrapped(torch.rand(5, 12))
    assert type(output) is VAEOutput
    fabric.backward(output.loss)
    assert all(parameter.grad is not None for parameter in vae.parameters())


def test_trainer_evaluates_it_without_labels(tmp_path: Any) -> None:
    transformers = client("transformers")
    rows = [{"x": x} for x in torch.rand(32, 12)]
    quiet = {"use_cpu": True, "save_strategy": "no", "report_to": "none", "disable_tqdm": True}
    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), num_train_epochs=1, **quiet)
    trainer = transformers.Trainer(model=model(), args=arguments, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    assert 0 < trainer.evaluate()["eval_loss"] < 20
