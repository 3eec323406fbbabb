"""An MLP conditioned on the label, a conditional VAE (Sohn et al. 2015): sigma by softplus, dropout, probabilities.

python examples/s2_label.py MNIST_FOLDER    published training loss after 30 epochs: 127

That network takes the label as one number. With --one-hot, the images drawn for a label are of the digit asked for.
"""

import click
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

import fastvae
from fastvae.train.data.datasets import load

LABELS = 10

LATENT = 2


class Joined(nn.Module):
    """A network over two tensors side by side."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.network = nn.Sequential(*layers)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """``[batch, m]`` and ``[batch, n]``."""
        return self.network(torch.cat((first, second), 1))


def encoded(labels: Tensor, *, as_one_hot: bool) -> Tensor:
    """Labels of ``[batch]`` as ``[batch, 10]``, or as published, ``[batch, 1]``."""
    return one_hot(labels, LABELS).float() if as_one_hot else labels.float()[:, None]


def networks(given: int, dropout: float) -> tuple[nn.Module, nn.Module]:
    """Recognition and generation, of `given` numbers for a label, with Glorot-uniform weights and zero biases."""
    recognition = Joined(
        nn.Linear(784 + given, 512), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(512, 256), nn.ReLU(), nn.Dropout(dropout), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 2 * LATENT),
    )  # fmt: skip
    generation = Joined(
        nn.Linear(LATENT + given, 64), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(64, 256), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 784), nn.Sigmoid(), nn.Hardtanh(1e-8, 1 - 1e-8),
    )  # fmt: skip
    for layer in (*recognition.network, *generation.network):
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return recognition, generation


@click.command()
@click.argument("folder")
@click.option("--epochs", default=30, show_default=True)
@click.option("--dropout", default=0.2, show_default=True)
@click.option("--one-hot", "as_one_hot", is_flag=True, help="Give the label one-hot and not as one number.")
def main(folder: str, epochs: int, dropout: float, as_one_hot: bool) -> None:
    """Train on the four MNIST files in FOLDER and print the training loss after each epoch."""
    torch.manual_seed(0)
    train, _ = load("mnist", folder)
    images, labels = train.images.flatten(1).float() / 255, encoded(train.labels, as_one_hot=as_one_hot)
    cvae = fastvae.CVAE(
        *networks(labels.shape[1], dropout),
        likelihood="bernoulli_probs",
        parameterization="softplus",
        min_std=1e-8,
        latent_shape=LATENT,
    )
    optimizer = torch.optim.Adam(cvae.parameters(), lr=1e-4)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            loss = cvae(labels[batch], images[batch]).loss
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch}: training loss {total / len(images):.2f}")
    cvae.eval()
    drawn = cvae.sample(encoded(torch.arange(LABELS), as_one_hot=as_one_hot), 8)
    print(f"images of each label, {list(drawn.shape)}: mean pixel {drawn.mean():.2f}")


if __name__ == "__main__":
    main()
