"""What the page says of the sprites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from bench import pages
from bench.reproductions import finished, markdown
from bench.reproductions.judging import NOT_RUN, grows, verdict
from bench.reproductions.sprites.drawing import FACTORS
from bench.reproductions.sprites.models import NAMES
from bench.reproductions.tasks import SEEDS, SPRITES

_FACTORS: Final = tuple(factor.name for factor in FACTORS)
_NO_GAP: Final = 0.05
_SAID: Final = (
    "The same networks, first weights and order of images for both: two hidden layers of 256 each way, 10 latents, "
    "cross-entropy, batches of 1,024, Adam. The reconstruction has a floor above 0, because the pixels of an edge are "
    "grey. The mutual information gap is the paper's, from q(z | x) of all images: how much more the best latent knows "
    "of a factor than the second best, by the factor's entropy. The paper averages it over scale, rotation, x and y; "
    "the shape, which has no order, is beside them. Times are those of the processor, in training alone."
)
_PLAIN: Final = (
    "In plain PyTorch the total correlation is that of the paper's code, a tensor of batch x batch x latents. Its "
    "training was cut short; the loss is the mean of its last epoch, beside that of the same epoch in fastvae with "
    "noise of its own."
)


def gap(found: dict[str, Any] | None) -> float | None:
    """The mutual information gap as the paper averages it."""
    return None if found is None else fmean(found["gaps"][factor] for factor in _FACTORS[1:])


def sprites(write_up: object, numbers: Path) -> list[str]:
    """The figures of each model and seed, whether they come out as in the paper, and the times."""
    found = {(kind, seed): finished.metrics(numbers / f"sprites-{kind}-{seed}") for kind in SPRITES for seed in SEEDS}
    header = (
        "model", "beta", "seed", "reconstruction", "KL", "total correlation", *(f"gap, {name}" for name in _FACTORS),
        "gap, mean of the paper's four", "time",
    )  # fmt: skip
    rows = [_row(kind, seed, run) for (kind, seed), run in found.items()]
    gaps = [[gap(found[kind, seed]) for seed in SEEDS] for kind in ("beta", "tc")]
    return [
        _SAID,
        pages.table(header, rows, text_columns=1),
        _compared(*gaps),
        *_unknown([run for run in found.values() if run is not None]),
        *_times(finished.metrics(numbers / "sprites-tc-plain"), found["tc", SEEDS[0]]),
    ]


def _compared(less: Sequence[float | None], more: Sequence[float | None]) -> str:
    """Whether the gaps of `more` are the greater ones, on average and seed by seed."""
    said = "The gap of the beta-TC-VAE, on average over seeds, is above that of the beta-VAE: "
    first, second = ([value for value in values if value is not None] for values in (less, more))
    if len(first) < len(less) or len(second) < len(more):
        return f"{said}{NOT_RUN}."
    wins = sum(one < other for one, other in zip(first, second, strict=True))
    return f"{said}{verdict(grows([fmean(first), fmean(second)]))}; seed by seed, in {wins} of {len(first)}."


def _unknown(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Which factors no run gives to a latent of their own."""
    if not runs:
        return []
    names = [name for name in _FACTORS if all(run["gaps"][name] < _NO_GAP for run in runs)]
    return (
        [f"With a gap below {_NO_GAP} in every run, these factors have no latent of their own: {', '.join(names)}."]
        if names
        else []
    )


def _row(kind: str, seed: str, run: dict[str, Any] | None) -> list[str]:
    head = [NAMES[kind], SPRITES[kind], seed]
    if run is None:
        return [*head, *[NOT_RUN] * 10]
    terms = [markdown.number(run[name]) for name in ("reconstruction", "kl", "total_correlation")]
    gaps = [markdown.number(run["gaps"][name]) for name in _FACTORS]
    return [*head, *terms, *gaps, markdown.number(gap(run)), markdown.time(run["seconds"])]


def _times(plain: dict[str, Any] | None, ours: dict[str, Any] | None) -> list[str]:
    """A step of the beta-TC-VAE both ways."""
    rows = []
    for name, run in (("plain PyTorch", plain), ("fastvae", ours)):
        if run is None or plain is None:
            rows.append([name, *[NOT_RUN] * 3])
            continue
        epoch = plain["epochs"]
        step = markdown.time(run["seconds"] / run["steps"])
        rows.append([name, str(run["steps"]), step, f"{run['losses'][epoch - 1]:.2f} (epoch {epoch})"])
    return [_PLAIN, pages.table(("beta-TC-VAE", "steps", "time of a step", "training loss"), rows)]
