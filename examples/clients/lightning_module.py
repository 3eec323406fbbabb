"""A LightningModule over fastvae.VAE, beside one that writes its loss out.

python examples/clients/lightning_module.py
"""

from collections.abc import Callable

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import fastvae


def networks() -> tuple[nn.Module, nn.Module]:
    """784 - 400 - 20 - 400 - 784, logits."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    return encoder, nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Unflatten(1, (1, 28, 28)))


class Trained(lightning.LightningModule):
    """What both have."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)

    def loss(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return self.loss(batch[0])

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        self.log("val_loss", self.loss(batch[0]), prog_bar=True)


class Plain(Trained):
    """The loss written out."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = networks()

    def loss(self, x: Tensor) -> Tensor:
        mu, logvar = self.encoder(x).chunk(2, 1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        bce = nn.functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum") / len(x)
        return bce - 0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()


class Fused(Trained):
    """The two lines that change: a VAE of the networks, and its loss."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = fastvae.VAE(*networks(), latent_shape=20)

    def loss(self, x: Tensor) -> Tensor:
        loss: Tensor = self.vae(x).loss
        return loss


def step(*, fused: bool) -> Callable[[], float]:
    """A training step of the module, without Lightning's loop around it."""
    torch.manual_seed(0)
    module = Fused() if fused else Plain()
    x, optimizer = torch.rand(128, 1, 28, 28), module.configure_optimizers()

    def run() -> float:
        optimizer.zero_grad()
        loss = module.training_step([x], 0)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def main() -> None:
    """Fit for two epochs."""
    images = DataLoader(TensorDataset(torch.rand(512, 1, 28, 28)), batch_size=128)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Fused(), images, images)
    print(f"val_loss {trainer.callback_metrics['val_loss']:.2f}")


if __name__ == "__main__":
    main()
