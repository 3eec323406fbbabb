"""A run's folder as one HTML file: its numbers, its pictures and its settings, with nothing to load from elsewhere."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fastvae.plots.rows import Row, kept, rows_of
from fastvae.train.errors import UserError
from fastvae.train.pictures.run import ANIMATION, CAPTIONS
from fastvae.train.python.folder import FitFolder
from fastvae.train.runs import atomic
from fastvae.train.runs.folder import RunFolder
from fastvae.train.settings.resolve import shown

NAME: Final = "report.html"

_QUANTITIES: Final = {
    "loss": "loss as minimized",
    "elbo": "ELBO",
    "reconstruction": "reconstruction, -log p(x|z)",
    "kl": "KL to the prior",
    "mutual_information": "mutual information",
    "total_correlation": "total correlation",
    "dimension_kl": "KL by dimension",
    "grad_norm": "norm of the gradient",
}
_PARTS: Final = ("train", "test", "validation")
# The curves first; a fit of a conditional model has predictions.
_PICTURES: Final = {
    "losses.png": CAPTIONS["losses"],
    **{f"{name}.png": caption for name, caption in CAPTIONS.items() if name != "losses"},
    "predictions.png": "Targets and what is predicted of them",
    ANIMATION: "The same latents decoded after each epoch",
}
_TYPES: Final = {".png": "image/png", ".gif": "image/gif"}


class Picture(NamedTuple):
    """A picture of the page: what it shows, and its bytes as a data URI."""

    caption: str
    uri: str


def write(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run of ``fastvae train`` or of a `fastvae.fit`, from the files of its folder alone.

    Args:
        run: the folder.
        out: the file; None for report.html in the folder.

    Returns:
        The file.

    Raises:
        UserError: no such folder, a damaged file, a run without a finished epoch, or no folder to write to.
    """
    text = page(run)
    path = run / NAME if out is None else out
    if not path.parent.is_dir():
        raise UserError(f"--out: {path.parent}: no such folder")
    atomic.write_text(path, text)
    return path


def page(run: Path) -> str:
    """The text of the report, see `write`."""
    folder, settings = _opened(run)
    if not folder.metrics_file.exists():
        raise UserError(f"{run}: has not finished an epoch")
    try:
        rows = rows_of(folder.metrics_file)
    except ValueError as error:
        raise UserError(f"{folder.metrics_file}: damaged ({error})") from error
    best = kept(rows)
    names = list(rows[0])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["value"] = _value
    return environment.get_template("report.html.j2").render(
        name=run.resolve().name,
        headline=_headline(settings),
        kept=best,
        epochs=len(rows),
        parts=[part for part in _PARTS if f"{part}_loss" in names],
        results=list(_results(next(row for row in rows if row["epoch"] == best))),
        evaluation=_evaluation(folder.evaluation_file),
        pictures=list(_pictures(run)),
        columns=names,
        rows=[list(row.values()) for row in rows],
        settings=settings,
        versions=json.loads(folder.config_file.read_bytes())["versions"],
    )


def _opened(run: Path) -> tuple[RunFolder, Mapping[str, Any]]:
    """The folder, and what its run was asked to be."""
    fit = FitFolder(run)
    if not fit.config_file.exists():
        folder = RunFolder(run)
        return folder, folder.read_config().model_dump(mode="json")
    settings, model = fit.read_settings()
    return fit, {"model": model, **settings.model_dump(mode="json")}


def _headline(settings: Mapping[str, Any]) -> str:
    """What was trained, on what."""
    words = [settings["model"], *(settings[name] for name in ("objective", "likelihood") if settings.get(name))]
    data = [f"on {settings['data']}"] if settings.get("data") else []
    return " ".join([", ".join(map(str, words)), *data])


def _results(kept: Row) -> Iterator[tuple[str, list[float | None]]]:
    """A row for each quantity of the epoch whose weights are kept: of each part of the data, where it was measured."""
    parts = [part for part in _PARTS if f"{part}_loss" in kept]
    for quantity, words in _QUANTITIES.items():
        values = [kept.get(f"{part}_{quantity}") for part in parts]
        if any(value is not None for value in values):
            yield words, values


def _evaluation(file: Path) -> dict[str, Any]:
    """What `fastvae evaluate` found, but for lists, which the pictures show."""
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise UserError(f"{file}: damaged, no JSON ({error})") from error
    return {name: value for name, value in found.items() if not isinstance(value, (list, dict))}


def _pictures(run: Path) -> Iterator[Picture]:
    for name, caption in _PICTURES.items():
        file = run / name
        if file.exists():
            encoded = base64.b64encode(file.read_bytes()).decode("ascii")
            yield Picture(caption, f"data:{_TYPES[file.suffix]};base64,{encoded}")


def _value(value: Any) -> str:
    """A cell: numbers to six digits."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "\N{EN DASH}"
    if isinstance(value, list):
        value = tuple(value)
    return f"{value:.6g}" if isinstance(value, float) else str(shown(value))
