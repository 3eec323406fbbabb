"""MNIST completed from its lower left quadrant (Sohn et al. 2015): a CVAE whose prior sees a first guess.

python examples/s2_quadrants.py MNIST_FOLDER    the whole study is `fastvae quadrants`
"""

import click
import torch
from torch import Tensor, nn

import fastvae
import fastvae.functional as F
from fastvae.train.data.datasets import load

LATENT, GIVEN, HIDDEN = 50, 14 * 14, 3 * 14 * 14


class Joined(nn.Module):
    """Two hidden layers of 500 over tensors side by side."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(width_in, 500), nn.ReLU(), nn.Linear(500, 500), nn.ReLU(), nn.Linear(500, width_out)
        )

    def forward(self, *parts: Tensor) -> Tensor:
        """Each ``[batch, n]``."""
        return self.network(torch.cat(parts, 1))


class FirstGuess(nn.Module):
    """A prior that sees the given quadrant and what a trained baseline makes of it."""

    def __init__(self, baseline: nn.Module) -> None:
        super().__init__()
        self.baseline = baseline.requires_grad_(False)
        self.network = Joined(GIVEN + HIDDEN, 2 * LATENT)

    def forward(self, given: Tensor) -> Tensor:
        """p(z | given), packed."""
        return self.network(given, self.baseline(given).sigmoid())


def quadrants(images: Tensor) -> tuple[Tensor, Tensor]:
    """The lower left quadrant, ``[count, 196]``, and the other pixels, ``[count, 588]``."""
    lower_left = torch.zeros(28, 28, dtype=torch.bool)
    lower_left[14:, :14] = True
    pixels = images[:, 0].float() / 255
    return pixels[:, lower_left], pixels[:, ~lower_left]


def batches(count: int) -> tuple[Tensor, ...]:
    """The indices of an epoch's batches."""
    return torch.randperm(count).split(128)


@click.command()
@click.argument("folder")
@click.option("--epochs", default=10, show_default=True)
def main(folder: str, epochs: int) -> None:
    """Train on the four MNIST files in FOLDER and print conditional log-likelihoods of 2,000 test images."""
    torch.manual_seed(0)
    train, test = load("mnist", folder)
    x, y = quadrants(train.images)
    given, hidden = quadrants(test.images[:2000])

    baseline = Joined(GIVEN, HIDDEN)
    optimizer = torch.optim.Adam(baseline.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in batches(len(x)):
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(baseline(x[batch]), y[batch], reduction="batchmean").backward()
            optimizer.step()
    nats = F.binary_cross_entropy_with_logits(baseline(given), hidden, reduction="batchmean").item()
    print(f"baseline: negative log-likelihood {nats:.2f} nats")

    recognition, generation = Joined(HIDDEN + GIVEN, 2 * LATENT), Joined(LATENT + GIVEN, HIDDEN)
    cvae = fastvae.CVAE(recognition, generation, FirstGuess(baseline), latent_shape=LATENT)
    optimizer = torch.optim.Adam([p for p in cvae.parameters() if p.requires_grad], lr=1e-3)
    for epoch in range(1, epochs + 1):
        for batch in batches(len(x)):
            optimizer.zero_grad()
            cvae(x[batch], y[batch]).loss.backward()
            optimizer.step()
        values = cvae.log_likelihood(given, hidden, num_samples=50)
        error = values.std() / len(values) ** 0.5
        print(f"epoch {epoch}: negative log-likelihood {-values.mean():.2f} +- {error:.2f} nats")


if __name__ == "__main__":
    main()
