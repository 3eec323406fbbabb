"""transformers' Trainer over fastvae.VAE: the model, and a collator that names its argument.

python examples/clients/hf_trainer.py
"""

import tempfile
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments

import fastvae


def model() -> fastvae.VAE:
    """784 - 400 - 20 - 400 - 784, logits."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28)))
    return fastvae.VAE(encoder, decoder, latent_shape=20)


def trainer(folder: str, images: Tensor, **settings: Any) -> Trainer:
    """Of a batch size of 64 on the CPU."""
    arguments = TrainingArguments(
        output_dir=folder, per_device_train_batch_size=64, per_device_eval_batch_size=64, use_cpu=True,
        save_strategy="no", report_to="none", disable_tqdm=True, remove_unused_columns=False, **settings,
    )  # fmt: skip
    rows = list(images)
    return Trainer(
        model=model(), args=arguments, train_dataset=rows, eval_dataset=rows,
        data_collator=lambda batch: {"x": torch.stack(batch)},
    )  # fmt: skip


def main() -> None:
    """Train for two epochs and evaluate."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        found = trainer(folder, torch.rand(256, 1, 28, 28), num_train_epochs=2)
        found.train()
        print(f"eval_loss {found.evaluate()['eval_loss']:.2f}")


if __name__ == "__main__":
    main()
