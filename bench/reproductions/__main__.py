"""``python -m bench.reproductions``: run what is not done, keep its results, write the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import torch

from bench import ROOT
from bench.reproductions import keeping, running
from bench.reproductions.document import Page
from bench.reproductions.keeping import Shelf
from bench.reproductions.tasks import Task, all_tasks
from fastvae.train.errors import UserError

_F = TypeVar("_F", bound=Callable[..., Any])
DOCS: Final = ROOT / "docs"
SHELF: Final = Shelf(ROOT / "bench" / "results" / "reproductions", DOCS / "pictures")
_folder: Final = click.Path(path_type=Path, resolve_path=True, file_okay=False)


def _chosen(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> list[Task]:
    tasks = {task.name: task for task in all_tasks()}
    for name in names:
        if name not in tasks:
            raise click.BadParameter(f"got {name!r}; takes {', '.join(tasks)}")
    return [task for task in tasks.values() if not names or task.name in names]


def _shared(command: _F) -> _F:
    for decorate in (
        click.option("--only", "tasks", metavar="NAME", multiple=True, callback=_chosen, help="One task; repeatable."),
        click.option("--out", type=_folder, required=True, help="The folder of the tasks' folders."),
    ):
        command = decorate(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train the published VAEs again and write docs/reproductions.md from what they left."""


@main.command()
@click.option("--data-dir", type=_folder, required=True, help="The folder of the four MNIST files.")
@_shared
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads. [default: torch's]")
@click.pass_context
def run(ctx: click.Context, data_dir: Path, out: Path, tasks: list[Task], threads: int | None) -> None:
    """Carry out what is not done yet below --out; an interrupted training goes on where it was.

    A task that fails is said and left, and the exit status says so.
    """
    place = running.Place(data_dir, out, threads or torch.get_num_threads())
    failed = []
    for task in tasks:
        try:
            done = task.done(out / task.name)
            click.echo(f"{task.name}: {'done' if done else 'begun'}")
            if status := running.carry_out(task, place):
                failed.append(f"{task.name}: ended with status {status}")
        except UserError as error:
            failed.append(f"{task.name}: {error}")
    _end(ctx, failed)


@main.command()
@_shared
@click.option("--note", help="What is to be known about these results, such as what ran beside them.")
@click.pass_context
def keep(ctx: click.Context, out: Path, tasks: list[Task], note: str | None) -> None:
    """Copy the results of the finished tasks into the repository."""
    left_out: list[str] = []
    for task in tasks:
        try:
            done = task.done(out / task.name)
            if done:
                left_out += keeping.keep(task, out / task.name, SHELF, note)
            click.echo(f"{task.name}: {'kept' if done else 'not finished'}")
        except (OSError, ValueError, UserError) as error:
            left_out.append(f"{task.name}: {error}")
    _end(ctx, left_out)


@main.command()
def write() -> None:
    """Write docs/reproductions.md from the kept results."""
    if not any(SHELF.numbers.glob("*")):
        raise click.ClickException(
            f"{SHELF.numbers}: got no kept results; python -m bench.reproductions keep copies some"
        )
    path = DOCS / "reproductions.md"
    path.write_text(Page(SHELF, DOCS).text(), encoding="utf-8")
    click.echo(str(path))


def _end(ctx: click.Context, problems: list[str]) -> None:
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        ctx.exit(1)


if __name__ == "__main__":
    main()
