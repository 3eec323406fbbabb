"""The page of the reproductions, from the kept results alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from bench import pages
from bench.reproductions import finished, markdown, runs
from bench.reproductions.finished import FinishedRun
from bench.reproductions.judging import NOT_RUN, grows, judged, verdict
from bench.reproductions.keeping import Shelf
from bench.reproductions.runs import Figure, Run, WriteUp
from bench.reproductions.sections import SECTIONS
from bench.reproductions.tasks import all_tasks, plain_name

_HEADER: Final = (
    "write-up", "`fastvae train`", "figure", "must", "published", "plain PyTorch", "fastvae", "time, plain PyTorch",
    "time, fastvae",
)  # fmt: skip
_WHAT: Final = (
    "Five published VAEs and IWAE, trained on MNIST with fastvae. The same training in plain PyTorch stands beside it: "
    "same networks, first weights, order of images, optimizer and epochs, its own noise. One seed each; nats per image "
    "unless a figure's name says otherwise. The last two are on data that the project makes, and "
    "their sections say what was run."
)
_HOW: Final = (
    "Made by `python -m bench.reproductions`: `run` trains, `keep` copies the results into the repository, and `write` "
    "makes this page of them. No figure is typed, but those of the publications and the bounds, which are data of "
    "`bench/reproductions`. Times are of training alone."
)


class Page:
    """What is kept, and the parts of the page.

    Args:
        shelf: where it is kept.
        folder: of the page.
    """

    def __init__(self, shelf: Shelf, folder: Path) -> None:
        self.shelf = shelf
        self.folder = folder
        names = [task.name for task in all_tasks()]
        self.kept = {name: kept for name in names if (kept := finished.read_kept(shelf.numbers / name)) is not None}
        self.found = {name: result for name in self.kept if (result := finished.read(shelf.numbers / name)) is not None}

    def text(self) -> str:
        """The whole page."""
        parts = ["# Reproductions", _WHAT, *self._circumstances(), _HOW, self._main_table()]
        for write_up in runs.WRITE_UPS:
            parts += self._section(write_up)
        return "\n\n".join(parts) + "\n"

    def _circumstances(self) -> Iterator[str]:
        """Machines, threads, versions and days, then the notes with the tasks they are about."""
        if not self.kept:
            return
        cpus = sorted({kept.cpu for kept in self.kept.values()})
        days = sorted({kept.finished for kept in self.kept.values()})
        threads = sorted({int(result.config["threads"]) for result in self.found.values()})
        said = [*cpus]
        if threads:
            said.append(f"{' or '.join(map(str, threads))} thread{'s' * (threads != [1])}")
        said += self._versions()
        yield f"{', '.join(said)}; finished {' to '.join(dict.fromkeys((days[0], days[-1])))}."
        for note, names in groupby(sorted(self.kept, key=self._note), self._note):
            if note:
                yield f"{', '.join(names)}: {note}"

    def _note(self, name: str) -> str:
        return self.kept[name].note

    def _versions(self) -> list[str]:
        pairs = {pair for result in self.found.values() for pair in result.versions.items()}
        return [f"{name} {version}" for name, version in sorted(pairs)]

    def _main_table(self) -> str:
        rows = []
        for write_up in runs.WRITE_UPS:
            for run in write_up.runs:
                rows += [self._row(write_up, run, figure) for figure in run.figures]
        return pages.table(_HEADER, rows, text_columns=4)

    def _row(self, write_up: WriteUp, run: Run, figure: Figure) -> list[str]:
        first = figure is run.figures[0]
        ours, plain = self.found.get(run.name), self.found.get(plain_name(run))
        times = [_time(plain) if run.plain else "", _time(ours)]
        return [
            write_up.name if first and run is write_up.runs[0] else "",
            f"`{' '.join(run.options)}`" if first else "",
            figure.name,
            self._must(write_up, run, figure),
            _published(figure),
            markdown.number(_value(figure, plain)) if run.plain else "",
            markdown.number(_value(figure, ours)),
            *(times if first else ("", "")),
        ]

    def _must(self, write_up: WriteUp, run: Run, figure: Figure) -> str:
        said = []
        if figure.must is not None:
            said.append(f"{figure.must}: {verdict(judged(figure.must, _value(figure, self.found.get(run.name))))}")
        for order in write_up.orders:
            if order.figure == figure.name and run.name in order.runs:
                said.append(
                    f"{order.says}: {verdict(grows([self._named(write_up, figure.name, name) for name in order.runs]))}"
                )
        return ", ".join(said)

    def _named(self, write_up: WriteUp, figure: str, name: str) -> float | None:
        """The figure called so of the run called so."""
        run = next(run for run in write_up.runs if run.name == name)
        return _value(next(each for each in run.figures if each.name == figure), self.found.get(name))

    def _section(self, write_up: WriteUp) -> Iterator[str]:
        yield f"## {write_up.name}: {write_up.title}"
        yield write_up.text
        if write_up.name in SECTIONS:
            yield from SECTIONS[write_up.name](write_up, self.shelf.numbers)
        for task in all_tasks():
            if task.write_up == write_up.name and task.name in self.kept:
                for picture in task.pictures:
                    if (self.shelf.pictures / picture.name).exists():
                        yield markdown.image(picture, self.shelf.pictures, self.folder)


def _value(figure: Figure, result: FinishedRun | None) -> float | None:
    return None if result is None else figure.value(result)


def _published(figure: Figure) -> str:
    if figure.published is None:
        return ""
    return f"{figure.published:g}" + (f" ({figure.note})" if figure.note else "")


def _time(result: FinishedRun | None) -> str:
    return NOT_RUN if result is None else markdown.time(result.last.seconds)
