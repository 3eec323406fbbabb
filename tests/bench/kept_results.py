"""Results of reproductions made up, as `python -m bench.reproductions keep` leaves them."""

import json
from pathlib import Path

from bench.reproductions import runs
from bench.reproductions.keeping import Shelf
from bench.reproductions.tasks import all_tasks
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch

CPU = "Some CPU (family 1, model 2)"


def epoch(number: int = 1, **columns: float) -> Epoch:
    """A row whose columns are 0 unless given."""
    return Epoch(number, *(0.0,) * 8, 0.0)._replace(**columns)


def keep_note(shelf: Shelf, name: str, note: str = "", finished: str = "2026-01-02") -> Path:
    folder = shelf.numbers / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kept.json").write_text(json.dumps({"cpu": CPU, "finished": finished, "note": note}))
    return folder


def keep_run(shelf: Shelf, name: str, *history: Epoch, evaluation: dict | None = None, note: str = "") -> Path:
    """A kept run of the table."""
    task = next(task for task in all_tasks() if task.name == name)
    folder = RunFolder(keep_note(shelf, name, note))
    folder.write_config(runs.resolved(task.run).model_copy(update={"threads": 1}))
    folder.write_metrics(history)
    if evaluation is not None:
        folder.evaluation_file.write_text(json.dumps(evaluation))
    return folder.path


def keep_file(shelf: Shelf, name: str, file: str, text: str) -> None:
    (keep_note(shelf, name) / file).write_text(text)
