"""What the page says of a write-up beside its rows in the main table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.reproductions import markdown, quadrants, results
from bench.reproductions.judging import NOT_RUN
from bench.reproductions.runs import WriteUp


def _s1(write_up: WriteUp, numbers: Path) -> list[str]:
    comparison = numbers / "s1" / "comparison.csv"
    return [markdown.csv_table(comparison) if comparison.exists() else f"Comparison of the runs: {NOT_RUN}."]


def _s2(write_up: WriteUp, numbers: Path) -> list[str]:
    return [
        "### Quadrants",
        *_quadrants(numbers / "quadrants" / "table.csv"),
        "### Segmentation",
        _segmentation(numbers),
    ]


def _quadrants(path: Path) -> list[str]:
    if not path.exists():
        return [f"{NOT_RUN.capitalize()}."]
    rows = quadrants.read(path)
    said = (
        "`fastvae quadrants`: negative conditional log-likelihood of the other quadrants in nats per image, with its "
        "standard error over images, and in parentheses what was published (recalled from the paper, so a guide)."
    )
    return [said, quadrants.table(rows), "\n".join(f"- {line}" for line in quadrants.verdicts(rows))]


def _segmentation(numbers: Path) -> str:
    """The numbers in metrics.json of both trainings; anything but a number in them is passed over."""
    files = (numbers / name / "metrics.json" for name in ("segmentation", "segmentation-plain"))
    ours, plain = (results.read_json(file) if file.exists() else {} for file in files)
    names = [name for name, value in (ours or plain).items() if isinstance(value, int | float)]
    if not names:
        return f"{NOT_RUN.capitalize()}."
    rows = [
        [name.replace("_", " "), markdown.quantity(plain.get(name)), markdown.quantity(ours.get(name))]
        for name in names
    ]
    return markdown.table(("", "plain PyTorch", "fastvae"), rows)


def _iwae(write_up: WriteUp, numbers: Path) -> list[str]:
    header = (
        "k", "epochs", "bound", "NLL", "standard error", "importance samples",
        f"published NLL, {write_up.runs[0].figures[1].note}",
    )  # fmt: skip
    rows = []
    for run in write_up.runs:
        result = results.read(numbers / run.name)
        bound, likelihood = run.figures
        published = "" if likelihood.published is None else f"{likelihood.published:.2f}"
        if result is None:
            rows.append([run.options[-1], *[NOT_RUN] * 5, published])
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
    return [markdown.table(header, rows)]


SECTIONS: Final[dict[str, Callable[[WriteUp, Path], list[str]]]] = {"S1": _s1, "S2": _s2, "IWAE": _iwae}
