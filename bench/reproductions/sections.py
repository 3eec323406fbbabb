"""What the page says of a write-up beside its rows in the main table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bench import pages
from bench.reproductions import finished, markdown, quadrants
from bench.reproductions.counts.section import counts
from bench.reproductions.judging import NOT_RUN
from bench.reproductions.runs import S2_ONE_HOT, WriteUp
from bench.reproductions.sprites.section import sprites
from fastvae.train.studies.quadrants import METHODS


def _s1(write_up: WriteUp, numbers: Path) -> list[str]:
    comparison = numbers / "s1" / "comparison.csv"
    return [markdown.csv_table(comparison) if comparison.exists() else f"Comparison of the runs: {NOT_RUN}."]


def _s2(write_up: WriteUp, numbers: Path) -> list[str]:
    return [
        "### Labels",
        *_labels(write_up, numbers),
        "### Quadrants",
        *_quadrants(numbers / "quadrants" / "table.csv"),
        *_samples(finished.metrics(numbers / "quadrant-samples")),
        "### Segmentation",
        *_segmentation(numbers),
    ]


def _labels(write_up: WriteUp, numbers: Path) -> Iterator[str]:
    """The published form of the label beside the one that works."""
    yield (
        "The published network, preset `s2`, takes the label as one number, 0 to 9. From the size of a number a "
        "network can hardly tell one digit from the next: it leaves most of the label to the latent, and many of the "
        "images generated for a label are of another. Given one-hot, as `--condition label` has it everywhere else, "
        "the same network and training reach a lower loss, and the images are those asked for: pictures of both are "
        "below."
    )
    rows = []
    for given, run in (("one number", write_up.runs[0]), ("one-hot", S2_ONE_HOT)):
        result = finished.read(numbers / run.name)
        values = (
            [NOT_RUN] * 2
            if result is None
            else [markdown.number(figure.value(result)) for figure in S2_ONE_HOT.figures]
        )
        rows.append([given, f"`{' '.join(run.options)}`", *values])
    header = ("label", "`fastvae train`", *(figure.name for figure in S2_ONE_HOT.figures))
    yield pages.table(header, rows, text_columns=2)


def _quadrants(path: Path) -> list[str]:
    if not path.exists():
        return [f"{NOT_RUN.capitalize()}."]
    rows = quadrants.read(path)
    said = (
        "`fastvae quadrants`: negative conditional log-likelihood of the other quadrants in nats per image, with its "
        "standard error over images, and in parentheses what was published (recalled from the paper, so a guide)."
    )
    return [said, quadrants.table(rows), "\n".join(f"- {line}" for line in quadrants.verdicts(rows))]


def _samples(metrics: dict[str, Any] | None) -> Iterator[str]:
    """Why the Monte Carlo estimate with few latents is above the published one."""
    yield (
        "The table above has 100 latents for each image. Drawn from the prior, those are too few: with one quadrant "
        "given, the posterior of the CVAE is many nats from its prior, and of those an estimate gains about the "
        "logarithm of the number of its latents. By importance sampling 100 are enough. The same model on the first "
        "test images, in nats per image, with its standard error over images:"
    )
    if metrics is None:
        yield f"{NOT_RUN.capitalize()}."
        return
    counts = list(metrics["monte_carlo"])
    rows = [
        [
            name,
            *(
                f"{metrics[method][count]['nll']:.2f} ± {metrics[method][count]['standard_error']:.2f}"
                for count in counts
            ),
        ]
        for method, (name, _) in METHODS.items()
    ]
    yield pages.table([f"{metrics['images']} images", *(f"{int(count):,} latents" for count in counts)], rows)


_TRAININGS: Final = {
    "segmentation": "multi-scale objective, blocks omitted in training",
    "segmentation-plain": "full size alone, nothing omitted (`--plain`)",
}
_INPUTS: Final = {"whole": "whole", "blocks_omitted": "blocks omitted"}


def _segmentation(numbers: Path) -> Iterator[str]:
    """What metrics.json says of both trainings."""
    rows = []
    for name, training in _TRAININGS.items():
        file = numbers / name / "metrics.json"
        if not file.exists():
            rows.append([training, *[NOT_RUN] * 5])
            continue
        metrics = finished.read_json(file)
        for key, inputs in _INPUTS.items():
            found = metrics[key]
            nats = f"{found['nll']:.2f} ± {found['standard_error']:.2f}"
            rows.append(
                [
                    training,
                    inputs,
                    f"{found['accuracy']:.2f}",
                    f"{found['iou']:.2f}",
                    nats,
                    markdown.time(metrics["seconds"]),
                ]
            )
            training = ""
    yield (
        "`python examples/s2_segmentation.py`: digits on textured backgrounds to their masks, by a CVAE with a learned "
        "prior, with and without the training aids of the paper; digits of held-out writers, one seed. The likelihood "
        "is by importance sampling and varies with the seed."
    )
    header = ("training", "input", "pixels right, %", "intersection over union, %", "-log p(mask given image)", "time")
    yield pages.table(header, rows, text_columns=2)


def _iwae(write_up: WriteUp, numbers: Path) -> list[str]:
    header = (
        "k", "epochs", "bound", "NLL", "standard error", "importance samples",
        f"published NLL, {write_up.runs[0].figures[1].note}",
    )  # fmt: skip
    rows = []
    for run in write_up.runs:
        result = finished.read(numbers / run.name)
        bound, likelihood = run.figures
        published = "" if likelihood.published is None else f"{likelihood.published:.2f}"
        if result is None:
            rows.append([run.name, *[NOT_RUN] * 5, published])
            continue
        rows.append(
            [
                str(result.config["train_samples"]),
                str(len(result.history)),
                markdown.number(bound.value(result)),
                markdown.number(likelihood.value(result)),
                markdown.number(result.evaluation.get("log_likelihood_standard_error")),
                markdown.quantity(result.evaluation.get("num_samples")),
                published,
            ]
        )
    return [pages.table(header, rows)]


SECTIONS: Final[dict[str, Callable[[WriteUp, Path], list[str]]]] = {
    "S1": _s1,
    "S2": _s2,
    "IWAE": _iwae,
    "beta-TC-VAE": sprites,
    "scVI": counts,
}
