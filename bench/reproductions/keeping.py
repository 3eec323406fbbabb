"""Copy what the page needs from the folders of the tasks into the repository."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image

from bench import machine
from bench.reproductions import finished, runs
from bench.reproductions.runs import Run
from bench.reproductions.tasks import Task
from fastvae.train.runs import atomic
from fastvae.train.runs.folder import RunFolder

PICTURE_BYTES: Final = 600_000
# Where a run was computed, and not what: these may differ from the table.
_FREE: Final = ("data_dir", "threads", "device", "tensorboard")
# Folders of the machine, of which only the name is kept.
_FOLDERS: Final = ("data_dir", "first_guess", "run")


class Shelf(NamedTuple):
    """Where results are kept.

    Attributes:
        numbers: a folder with one for each task.
        pictures: the folder of the page's pictures.
    """

    numbers: Path
    pictures: Path


def keep(task: Task, folder: Path, shelf: Shelf, note: str | None = None) -> list[str]:
    """Copy the numbers and pictures of a finished task; returns what was left out, and why.

    Args:
        folder: what the task has left.
        note: what is to be known about it; None leaves an earlier one as it is.

    Raises:
        ValueError: the run in `folder` is not the one of the table.
        UserError: its files are damaged.
    """
    if task.run is not None:
        _check(task.run, folder)
    kept = shelf.numbers / task.name
    kept.mkdir(parents=True, exist_ok=True)
    for name in task.keeps:
        _copy_numbers(folder / name, kept / name)
    before = finished.read_kept(kept)
    if note is None:
        note = "" if before is None else before.note
    atomic.write_json(kept / finished.KEPT, finished.Kept(machine.cpu(), _finished(task, folder), note)._asdict())
    return list(_keep_pictures(task, folder, shelf.pictures))


def _check(run: Run, folder: Path) -> None:
    found, wanted = RunFolder(folder).read_config().model_dump(), runs.resolved(run).model_dump()
    for field, value in wanted.items():
        if field not in _FREE and found[field] != value:
            raise ValueError(f"{folder}: got {field} {found[field]!r}; takes {value!r}, as the table of runs says")


def _copy_numbers(source: Path, target: Path) -> None:
    if source.name == "config.json":
        content = finished.read_json(source)
        _cut_folders(content["config"])
        atomic.write_json(target, content)
    elif source.suffix == ".csv":
        _copy_table(source, target)
    else:
        shutil.copyfile(source, target)


def _copy_table(source: Path, target: Path) -> None:
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns, rows = reader.fieldnames or (), list(reader)
    for row in rows:
        _cut_folders(row)
    atomic.write_csv(target, columns, (list(row.values()) for row in rows))


def _cut_folders(values: dict[str, Any]) -> None:
    for field in _FOLDERS:
        if values.get(field) is not None:
            values[field] = Path(values[field]).name


def _finished(task: Task, folder: Path) -> str:
    seconds = (folder / task.commands[-1].leaves).stat().st_mtime
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _keep_pictures(task: Task, folder: Path, pictures: Path) -> Iterator[str]:
    for picture in task.pictures:
        source = folder / picture.file
        if not source.exists():
            yield f"{source}: no such picture"
            continue
        content = _with_a_palette(source) if source.suffix == ".png" else source.read_bytes()
        if len(content) > PICTURE_BYTES:
            yield f"{source}: got {len(content)} bytes; takes at most {PICTURE_BYTES}"
            continue
        pictures.mkdir(parents=True, exist_ok=True)
        (pictures / picture.name).write_bytes(content)


def _with_a_palette(path: Path) -> bytes:
    """A picture in 256 colours, which for a scatter of 10,000 points takes a third of the bytes."""
    content = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").quantize(256).save(content, "PNG", optimize=True)
    return content.getvalue()
