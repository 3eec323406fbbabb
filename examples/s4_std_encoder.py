"""A VAE whose encoder gives the standard deviation itself, of either sign; latents are stored and decoded later.

python examples/s4_std_encoder.py MNIST_FOLDER
"""

import click
import torch
from torch import Tensor, nn

import fastvae
from fastvae.train.data.datasets import load

LATENT = 20


class Encoder(nn.Module):
    """Two heads: the mean, and the standard deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 400), nn.ReLU())
        self.mean = nn.Linear(400, LATENT)
        self.std = nn.Linear(400, LATENT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, std), each ``[batch, latent]``."""
        features = self.body(x)
        return self.mean(features), self.std(features)


@click.command()
@click.argument("folder")
@click.option("--epochs", default=10, show_default=True)
def main(folder: str, epochs: int) -> None:
    """Train on the four MNIST files in FOLDER and print the squared error of held-out images after each epoch."""
    torch.manual_seed(0)
    train, test = (split.images.float() / 255 for split in load("mnist", folder))
    decoder = nn.Sequential(
        nn.Linear(LATENT, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))
    )
    vae = fastvae.VAE(Encoder(), decoder, likelihood="squared_error", parameterization="std", latent_shape=LATENT)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(train)).split(128):
            optimizer.zero_grad()
            vae(train[batch]).loss.backward()
            optimizer.step()
        with torch.no_grad():
            stored = vae.encode(test).mean
            error = (vae.decode(stored) - test).square().sum((1, 2, 3)).mean()
        print(f"epoch {epoch}: squared error of a held-out image, decoded from its stored latent: {error:.2f}")


if __name__ == "__main__":
    main()
