"""A convolutional VAE trained on the Monte-Carlo ELBO, log p(x|z) + log p(z) - log q(z|x) at one sample.

python examples/s3_monte_carlo_elbo.py MNIST_FOLDER    published test ELBO after 10 epochs: -156.81
"""

import click
import torch
from torch import nn

import fastvae
from fastvae.train.data.datasets import load

LATENT = 2


def networks() -> tuple[nn.Module, nn.Module]:
    """The encoder and the decoder of the write-up, with Glorot-uniform weights and zero biases."""
    encoder = nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2), nn.ReLU(), nn.Conv2d(32, 64, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(64 * 6 * 6, 2 * LATENT),
    )  # fmt: skip
    decoder = nn.Sequential(
        nn.Linear(LATENT, 32 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (32, 7, 7)),
        nn.ConvTranspose2d(32, 64, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, stride=2, padding=1, output_padding=1), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, padding=1),
    )  # fmt: skip
    for layer in (*encoder, *decoder):
        if hasattr(layer, "weight"):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return encoder, decoder


@click.command()
@click.argument("folder")
@click.option("--epochs", default=10, show_default=True)
def main(folder: str, epochs: int) -> None:
    """Train on the four MNIST files in FOLDER and print the test ELBO after each epoch."""
    torch.manual_seed(0)
    train, test = ((split.images > 127).float() for split in load("mnist", folder))
    vae = fastvae.VAE(*networks(), likelihood="bernoulli", kl_estimator="monte_carlo", latent_shape=LATENT)
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-4)
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(train)).split(32):
            optimizer.zero_grad()
            vae(train[batch]).loss.backward()
            optimizer.step()
        with torch.no_grad():
            elbo = -sum(vae(batch).loss * len(batch) for batch in test.split(500)) / len(test)
        print(f"epoch {epoch}: test ELBO {elbo:.2f}")


if __name__ == "__main__":
    main()
