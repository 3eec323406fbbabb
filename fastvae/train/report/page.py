"""The page of a run, from what its folder has."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fastvae.train.errors import UserError
from fastvae.train.report import embedded, evaluation, finished, tables
from fastvae.train.runs import atomic
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import best

NAME: Final = "report.html"
_SUFFIXES: Final = (".html", ".htm")
# What the page holds is escaped whatever the template is called.
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def destination(folder: RunFolder, out: Path | None) -> Path:
    """Where the page of a run goes: `out`, or into its folder.

    Raises:
        UserError: a suffix of another kind of file, or a missing folder.
    """
    if out is None:
        return folder.path / NAME
    if out.suffix not in _SUFFIXES:
        raise UserError(f"--out: got {out}; takes a file that ends in {' or '.join(_SUFFIXES)}")
    if not out.parent.is_dir():
        raise UserError(f"--out: {out.parent}: no such folder")
    return out


def write(run: finished.Run, path: Path) -> None:
    """Write the page of a run, with the pictures that its folder has.

    Raises:
        UserError: a picture or the evaluation is damaged.
    """
    template = _TEMPLATES.get_template("report.html.jinja")
    text = template.render(
        run=run,
        kept=best(run.history).epoch,
        pictures=list(embedded.found(run.folder)),
        metrics=tables.of_epochs(run.history),
        evaluation=evaluation.read(run.folder),
    )
    atomic.write_text(path, text)
