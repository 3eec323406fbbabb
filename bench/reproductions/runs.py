"""The table of runs: each a line of ``fastvae train``, what is shown of it, and what was published.

Published figures, and the bounds, are those of the write-ups; no figure of fastvae is written here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bench.reproductions.finished import Value, metric, negative_log_likelihood, squared_error
from bench.reproductions.judging import Above, Below, Must, Order, Within
from fastvae.train import commands
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config


class Picture(NamedTuple):
    """A picture that is shown.

    Attributes:
        file: in the folder of its task.
        name: in ``docs/pictures``.
        caption: what it shows.
    """

    file: str
    name: str
    caption: str


class Figure(NamedTuple):
    """A number of a run, in nats per image unless its name says otherwise.

    Attributes:
        value: how it is read.
        published: the write-up's.
        note: on what was published.
        must: the bound it must keep.
    """

    name: str
    value: Value
    published: float | None = None
    note: str = ""
    must: Must | None = None


class Run(NamedTuple):
    """A model that is trained.

    Attributes:
        name: its folder's.
        options: of ``fastvae train``, beside the folders and the threads.
        figures: what is shown of it.
        plain: train it in plain PyTorch too.
        evaluation: options of ``fastvae evaluate``, where that follows.
        pictures: what of its pictures is shown.
    """

    name: str
    options: tuple[str, ...]
    figures: tuple[Figure, ...]
    plain: bool = True
    evaluation: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()


class WriteUp(NamedTuple):
    """A publication and the runs that reproduce it.

    Attributes:
        orders: figures that must grow from run to run.
    """

    name: str
    title: str
    text: str
    runs: tuple[Run, ...]
    orders: tuple[Order, ...] = ()


def resolved(run: Run) -> Config:
    """The config that the options of `run` stand for, but for the folder of its data.

    Raises:
        click.UsageError: an unknown option.
        UserError: a value out of its range, or options that contradict each other.
    """
    line = commands.train.make_context("fastvae train", [*run.options, "--data-dir", "."])
    given = {name: value for name, value in line.params.items() if value is not None}
    return resolve.new(given)


# The published network takes the label as one number; this is the same network and training with the label one-hot.
S2_ONE_HOT: Final = Run(
    "s2-one-hot",
    ("--preset", "s2", "--label-encoding", "one_hot"),
    (Figure("train loss", metric("train_loss")), Figure("test ELBO", metric("test_elbo"))),
    plain=False,
    pictures=(Picture("labels.png", "s2-labels-one-hot.png", "Images generated for each label, given one-hot"),),
)


def _s1(beta: str) -> Run:
    figures = (Figure("test squared error", squared_error), Figure("test KL", metric("test_kl")))
    # In plain PyTorch one of the three is enough to compare: each takes a core a quarter of an hour.
    return Run(f"s1-beta-{beta}", ("--preset", "s1", "--beta", beta), figures, plain=beta == "1")


# As published; a core takes some nine minutes for each run.
_SAMPLES: Final = "5000"
_LONGER: Final = "after 3,280 epochs"


_SHORT: Final = ("--epochs", "10", "--lr-schedule", "constant", "--adam-eps", "1e-8")


def _iwae(samples: int, published: float, name: str, options: tuple[str, ...] = ()) -> Run:
    return Run(
        name,
        ("--preset", "iwae", "--train-samples", str(samples), *options),
        (
            Figure("test bound", metric("test_loss", -1)),
            Figure("test NLL", negative_log_likelihood, published, _LONGER),
        ),
        plain=False,
        evaluation=("--num-samples", _SAMPLES),
    )


WRITE_UPS: Final = (
    WriteUp(
        "S1",
        "beta-VAE, convolutional (Higgins et al. 2017)",
        "Squared error and KL of held-out images for three weights of the KL. No figure was published: a greater beta "
        "must give a lower KL at the price of a greater error. The table, where the reconstruction has its normalizer, "
        "and the picture are those of `fastvae compare`.",
        (_s1("0.1"), _s1("1"), _s1("3")),
        (
            Order("test squared error", ("s1-beta-0.1", "s1-beta-1", "s1-beta-3"), "rises with beta"),
            Order("test KL", ("s1-beta-3", "s1-beta-1", "s1-beta-0.1"), "falls with beta"),
        ),
    ),
    WriteUp(
        "S2",
        "conditional VAE (Sohn, Lee & Yan 2015), and a label-conditioned MLP",
        "The MLP's training loss is the published figure. 139.1 is what plain PyTorch gave with batches of 32 and "
        "Glorot weights while dropout was active; a loop that passes no training flag leaves it off, as the original "
        "probably did.",
        (
            Run(
                "s2",
                ("--preset", "s2"),
                (Figure("train loss", metric("train_loss"), 127, "batch size not given", Within(1.5, 139.1)),),
                pictures=(
                    Picture("labels.png", "s2-labels.png", "Images generated for each label, given as one number"),
                ),
            ),
            Run(
                "s2-no-dropout",
                ("--preset", "s2", "--dropout", "0"),
                (Figure("train loss", metric("train_loss"), 127, "batch size not given", Below(134)),),
            ),
        ),
    ),
    WriteUp(
        "S3",
        "convolutional VAE with the Monte-Carlo ELBO",
        "Binary pixels, and log p(x|z) + log p(z) - log q(z|x) at a single sample.",
        (
            Run(
                "s3",
                ("--preset", "s3"),
                (Figure("test ELBO", metric("test_elbo"), -156.81, "", Above(-158.0)),),
                pictures=(
                    Picture("samples.gif", "s3-samples.gif", "The same 16 latents after each epoch"),
                    Picture("manifold.png", "s3-manifold.png", "The latent plane at normal quantiles"),
                ),
            ),
        ),
    ),
    WriteUp(
        "S4",
        "VAE whose encoder gives a standard deviation",
        "The encoder's second head is the standard deviation itself, of either sign. No figure was published: the "
        "squared error of held-out images, summed over pixels.",
        (Run("s4", ("--preset", "s4"), (Figure("test squared error", squared_error),)),),
    ),
    WriteUp(
        "S5",
        "MLP VAE with a packed encoder output",
        "The MLP of PyTorch's examples: cross-entropy on probabilities.",
        (
            Run(
                "s5",
                ("--preset", "s5"),
                (Figure("test loss", metric("test_loss"), 105.6, "", Below(106.2)),),
            ),
        ),
    ),
    WriteUp(
        "IWAE",
        "importance weighted autoencoder (Burda et al. 2016)",
        "Shorter runs than the published ones: the table says after how many epochs each was taken. Preset `iwae` is "
        "the first five of the paper's eight stages, 121 of 3,280 epochs, with the paper's learning rates and its "
        "epsilon of 1e-4 in Adam; its decoder's biases do not begin at the logits of the mean image. Ten epochs at "
        "the first of those rates stand beside them, with k = 50 too, of which five stages would take hours. The "
        "bound must be tighter with more samples k.",
        (
            _iwae(1, 86.76, "iwae-1"),
            _iwae(5, 85.54, "iwae-5"),
            _iwae(1, 86.76, "iwae-1-short", _SHORT),
            _iwae(5, 85.54, "iwae-5-short", _SHORT),
            _iwae(50, 84.78, "iwae-50-short", _SHORT),
        ),
        (
            Order("test bound", ("iwae-1", "iwae-5"), "rises with k"),
            Order("test bound", ("iwae-1-short", "iwae-5-short", "iwae-50-short"), "rises with k"),
        ),
    ),
    WriteUp(
        "beta-TC-VAE",
        "disentanglement on drawn shapes (Chen, Li, Grosse & Duvenaud 2018)",
        "A beta-VAE and a beta-TC-VAE, which weights of the KL only the total correlation, on 12,000 images of 32 x 32 "
        "pixels that the project draws: an ellipse, a triangle or a heart, in 4 sizes, 10 rotations, and 10 positions "
        "each way. The rotations span three eighths of a turn each way, in which no shape repeats. The paper has "
        "dSprites, 61 times as many images of four times the pixels, where its beta-TC-VAE has the greater mutual "
        "information gap. Here the order depends on beta and on the seed: with a beta of 8, in runs that are not kept, "
        "the gap of the beta-VAE was the greater.",
        (),
    ),
    WriteUp(
        "scVI",
        "single-cell counts (Lopez et al. 2018)",
        "scVI's networks on counts that the project simulates: 5,000 cells of eight types, two and two alike, 1,200 "
        "genes, negative binomial around log-normal library sizes, of which 5% to 35%, by gene, are lost and read as "
        "0. Nothing that the project installs ships real ones. A fifth of the cells is held out. The decoder is given "
        "the size of a cell's library as it is read.",
        (),
    ),
)
