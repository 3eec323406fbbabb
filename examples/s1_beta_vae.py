"""The convolutional beta-VAE (Higgins et al. 2017) with a latent of two dimensions, for three weights of the KL.

python examples/s1_beta_vae.py MNIST_FOLDER
"""

import click
import torch
from torch import nn

import fastvae
from fastvae.train.data.datasets import load

LATENT = 2


def networks() -> tuple[nn.Module, nn.Module]:
    """The encoder and the decoder."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 16), nn.ReLU(), nn.Linear(16, 2 * LATENT),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(LATENT, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip
    return encoder, decoder


@click.command()
@click.argument("folder")
@click.option("--epochs", default=30, show_default=True)
def main(folder: str, epochs: int) -> None:
    """Train on the four MNIST files in FOLDER; a small beta reconstructs better, a large one stays near the prior."""
    train, test = (split.images.float() / 255 for split in load("mnist", folder))
    for beta in (0.1, 1.0, 3.0):
        torch.manual_seed(0)
        vae = fastvae.BetaVAE(*networks(), likelihood="squared_error", beta=beta, latent_shape=LATENT)
        optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
        for _ in range(epochs):
            for batch in torch.randperm(len(train)).split(128):
                optimizer.zero_grad()
                vae(train[batch]).loss.backward()
                optimizer.step()
        with torch.no_grad():
            outputs = [vae(batch) for batch in test.split(500)]
        error = torch.cat([output.reconstruction_loss for output in outputs]).mean()
        kl = torch.cat([output.kl for output in outputs]).mean()
        print(f"beta {beta}: squared error {error:.2f}, KL {kl:.2f} nats an image")


if __name__ == "__main__":
    main()
