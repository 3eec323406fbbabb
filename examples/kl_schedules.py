"""What the KL is weighted by: constant, warmed up, in cycles, held at a capacity, or free up to some bits.

python examples/kl_schedules.py
"""

from collections.abc import Callable

import click
import torch
from torch import nn

import fastvae
from fastvae.losses import Schedule
from fastvae.train.data.datasets import load

LATENT = 8


def networks() -> tuple[nn.Module, nn.Module]:
    """Two hidden layers each way."""
    encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64))
    return encoder, decoder


@click.command()
@click.option("--epochs", default=60, show_default=True)
def main(epochs: int) -> None:
    """Train on the bundled digits once for each way, and print what it leaves of the reconstruction and the KL."""
    train, test = (split.images.flatten(1).float() / 255 for split in load("digits", None))
    steps = epochs * -(-len(train) // 64)
    # A function each, because a schedule counts the steps of one training.
    ways: dict[str, Callable[[], dict[str, object]]] = {
        "constant": lambda: {"beta": 1.0},
        "linear": lambda: {"beta": fastvae.LinearWarmup(0.0, 1.0, steps // 2)},
        "cyclical": lambda: {"beta": fastvae.CyclicalWarmup(0.0, 1.0, steps, cycles=4)},
        "capacity": lambda: {"beta": 10.0, "capacity": fastvae.LinearWarmup(0.0, 12.0, steps // 2)},
        "free bits": lambda: {"free_bits": 0.5, "free_bits_per": "batch_dimension"},
    }
    for name, options in ways.items():
        torch.manual_seed(0)
        vae = fastvae.VAE(*networks(), likelihood="gaussian_learned", latent_shape=LATENT, **options())
        schedules = [module for module in vae.modules() if isinstance(module, Schedule)]
        optimizer = torch.optim.Adam(vae.parameters(), lr=1e-3)
        for _ in range(epochs):
            for batch in torch.randperm(len(train)).split(64):
                optimizer.zero_grad()
                vae(train[batch]).loss.backward()
                optimizer.step()
                for schedule in schedules:
                    schedule.step()
        with torch.no_grad():
            output = vae(test, seed=0)
        error = (vae.reconstruct(test) - test).square().sum(1).mean()
        print(f"{name}: squared error {error:.2f}, KL {output.kl.mean():.2f} nats an image")


if __name__ == "__main__":
    main()
