"""Digits on textured backgrounds to their masks: a conditional VAE with the training aids of Sohn, Lee & Yan (2015).

python examples/s2_segmentation.py            multi-scale objective, blocks of the input omitted in training
python examples/s2_segmentation.py --plain    neither of the two, to compare with
"""

import json
import time
from pathlib import Path

import click
import torch
import torch.nn.functional as T
from matplotlib.figure import Figure
from torch import Tensor, nn

from fastvae import CVAE
from fastvae.losses import MultiScale
from fastvae.modules import BlockOmission
from fastvae.plots import panels
from fastvae.train.data.datasets import load
from fastvae.train.pictures import saved

SIDE, LATENT = 32, 8
SAMPLES = 50  # of the latent, for the likelihood and for the averaged prediction


def stripes(count: int) -> Tensor:
    """Stripes of random direction, frequency, phase and contrast around 0, ``[count, 1, 32, 32]``."""
    angle, frequency, phase, contrast = torch.rand(4, count, 1, 1, 1)
    y, x = torch.meshgrid(torch.arange(float(SIDE)), torch.arange(float(SIDE)), indexing="ij")
    along = x * (torch.pi * angle).cos() + y * (torch.pi * angle).sin()
    return (0.08 + 0.12 * contrast) * ((0.3 + 1.2 * frequency) * along + 2 * torch.pi * phase).sin()


def scenes(digits: Tensor) -> tuple[Tensor, Tensor]:
    """Images of digits in one texture on another, and the digits' masks, both ``[count, 1, 32, 32]`` in [0, 1]."""
    count = len(digits)
    masks = (T.interpolate(digits / 255, scale_factor=4, mode="bicubic") > 0.45).float()
    # The digit is brighter than its background, by less than images and stripes differ: no threshold finds it.
    level, step = torch.rand(2, count, 1, 1, 1)
    background, digit = stripes(count), 0.1 + 0.15 * step + stripes(count)
    images = 0.2 + 0.4 * level + torch.where(masks > 0, digit, background)
    return (images + 0.05 * torch.randn_like(images)).clamp(0, 1), masks


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A convolution and its activation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU())


class Gaussian(nn.Module):
    """Images, concatenated, to packed moments: the prior sees the input, the recognition network the mask too."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv(channels, 16, 2), conv(16, 32, 2), conv(32, 32, 2), nn.Flatten(), nn.Linear(32 * 4 * 4, 2 * LATENT)
        )

    def forward(self, *images: Tensor) -> Tensor:
        """``[batch, 2 * latent]``."""
        return self.layers(torch.cat(images, 1))


class Generation(nn.Module):
    """Logits of the mask at 1/4, 1/2 and full size, or at full size alone."""

    def __init__(self, multiscale: bool) -> None:
        super().__init__()
        self.multiscale = multiscale
        self.down = nn.ModuleList((conv(1, 8), conv(8, 16, 2), nn.Sequential(conv(16, 32, 2), conv(32, 32))))
        self.latent = nn.Sequential(nn.Linear(LATENT, 16 * 8 * 8), nn.ReLU(), nn.Unflatten(1, (16, 8, 8)))
        self.merge = nn.ModuleList((conv(32 + 16, 32), conv(32 + 16, 16), conv(16 + 8, 8)))
        self.logits = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in (32, 16, 8))

    def forward(self, z: Tensor, condition: Tensor) -> tuple[Tensor, ...] | Tensor:
        """Coarse to fine, ``[batch, 1, 8, 8]``, ``[batch, 1, 16, 16]``, ``[batch, 1, 32, 32]``."""
        details = [condition]
        for layer in self.down:
            details.append(layer(details[-1]))
        features, predictions = self.latent(z), []
        for merge, logits, detail in zip(self.merge, self.logits, details[:0:-1], strict=True):
            features = T.interpolate(features, size=detail.shape[2:])
            features = merge(torch.cat((features, detail), 1))
            predictions.append(logits(features))
        return tuple(predictions) if self.multiscale else predictions[-1]


def overlap(found: Tensor, masks: Tensor) -> dict[str, float]:
    """Pixel accuracy and mean intersection over union of masks, in percent."""
    found, truth = found > 0.5, masks > 0.5
    shares = (found & truth).sum((1, 2, 3)) / (found | truth).sum((1, 2, 3))
    return {"accuracy": 100 * (found == truth).float().mean().item(), "iou": 100 * shares.mean().item()}


def evaluate(cvae: CVAE, images: Tensor, masks: Tensor) -> dict[str, float]:
    """The overlap at the prior's mean, and -log p(mask | image) in nats by importance sampling."""
    batches = zip(images.split(50), masks.split(50), strict=True)
    nll = -torch.cat([cvae.log_likelihood(*batch, num_samples=SAMPLES, chunk_size=5, seed=0) for batch in batches])
    error = nll.std() / len(nll) ** 0.5
    return overlap(cvae.predict(images), masks) | {"nll": nll.mean().item(), "standard_error": error.item()}


def draw(cvae: CVAE, images: Tensor, masks: Tensor, path: Path) -> None:
    """A column for each image: input, mask, prediction at the prior's mean, three samples, the mean of many."""
    samples, mean = cvae.sample(images, 3, seed=0), cvae.predict(images, SAMPLES, seed=0)
    rows = torch.cat((images, masks, cvae.predict(images), *samples, mean))[:, 0]
    names = ("input", "mask", "prediction at E[z|x]", *["sample"] * 3, f"mean of {SAMPLES} samples")
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.imshow(panels.tile(rows.numpy(), len(images)), cmap="gray", vmin=0, vmax=1)
    axes.set_yticks([(SIDE + 1) * row + SIDE / 2 for row in range(len(names))], names)
    axes.set_xticks([])
    saved.save(figure, path)


@click.command()
@click.option("--epochs", default=30, show_default=True)
@click.option("--plain", is_flag=True, help="The full-size objective alone, and no omission noise.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the picture and the figures.")
def main(epochs: int, plain: bool, out: Path | None) -> None:
    """Train on the bundled digits and print how well the masks of held-out writers' digits are found."""
    torch.manual_seed(0)
    start = time.perf_counter()
    digits, test_digits = (split.images for split in load("digits", None))
    test_images, test_masks = scenes(test_digits)
    omission = nn.Identity() if plain else BlockOmission(0.4)
    likelihood = "bernoulli" if plain else MultiScale("bernoulli")
    # A part of the objective draws z from the prior, as prediction does: the mask is then not left to z alone.
    networks = Gaussian(2), Generation(multiscale=not plain), Gaussian(1)
    cvae = CVAE(*networks, objective="hybrid", alpha=0.9, likelihood=likelihood)
    optimizer = torch.optim.Adam(cvae.parameters(), lr=2e-3)
    for epoch in range(1, epochs + 1):
        images, masks = scenes(digits)  # the digits stay the same, their textures are new
        for batch in torch.randperm(len(images)).split(50):
            optimizer.zero_grad()
            cvae(omission(images[batch]), masks[batch]).loss.backward()
            optimizer.step()
        if epoch % 5 == 0 or epoch == epochs:
            found = overlap(cvae.predict(test_images), test_masks)
            print(f"epoch {epoch}: accuracy {found['accuracy']:.2f} %, IoU {found['iou']:.2f} %")

    torch.manual_seed(1)  # the same blocks for both ways of training
    inputs = {"whole": test_images, "blocks_omitted": BlockOmission(0.4)(test_images)}
    results = {name: evaluate(cvae, images, test_masks) for name, images in inputs.items()}
    line = "{}: accuracy {accuracy:.2f} %, IoU {iou:.2f} %, -log p(mask | image) {nll:.2f} +- {standard_error:.2f} nats"
    for name, found in results.items():
        print(line.format(name, **found))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        shown = torch.cat([images[5 * half : 5 * half + 5] for half, images in enumerate(inputs.values())])
        draw(cvae, shown, test_masks[:10], out / "segmentation.png")
        run = {"plain": plain, "epochs": epochs, "seconds": time.perf_counter() - start}
        (out / "metrics.json").write_text(json.dumps(run | results, indent=2) + "\n")


if __name__ == "__main__":
    main()
