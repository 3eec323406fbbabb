"""What is carried out: command lines, the folders they leave, and what of those is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from bench.reproductions import runs
from bench.reproductions.counts.models import LIKELIHOODS, NAMES
from bench.reproductions.runs import Picture, Run
from bench.reproductions.sprites import models as sprites
from fastvae.train.runs.folder import RunFolder


class Command(NamedTuple):
    """A command line.

    Attributes:
        words: with ``{data}``, ``{out}`` (of all tasks), ``{folder}`` (of this one) and ``{threads}`` in them. The
            first is ``fastvae`` or ``python``.
        leaves: the file in the task's folder that says it is done.
        continues: of a training, which is done when every epoch is in that file: the words that go on with it.
    """

    words: tuple[str, ...]
    leaves: str
    continues: tuple[str, ...] = ()

    def done(self, folder: Path) -> bool:
        """Whether it has left everything in `folder`.

        Raises:
            UserError: the files of a run are damaged.
        """
        if not (folder / self.leaves).exists():
            return False
        run = RunFolder(folder)
        return not self.continues or len(run.read_metrics()) >= run.read_config().epochs


class Task(NamedTuple):
    """One folder of results.

    Attributes:
        name: the folder's.
        write_up: what it belongs to.
        commands: in their order.
        keeps: the files of numbers in it.
        pictures: those that are shown.
        run: what it trains, if it is one of the table's.
    """

    name: str
    write_up: str
    commands: tuple[Command, ...]
    keeps: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()
    run: Run | None = None

    def done(self, folder: Path) -> bool:
        """Whether `folder` holds all that its commands leave; raises as `Command.done`."""
        return all(command.done(folder) for command in self.commands)


_FOLDERS: Final = ("--data-dir", "{data}", "--out", "{folder}")
_RUN_FILES: Final = ("config.json", "metrics.csv")
_PLAIN: Final = ("python", "-m", "bench.reproductions.plain")
_SEGMENTATION: Final = ("python", "examples/s2_segmentation.py", "--out", "{folder}")


def plain_name(run: Run) -> str:
    """The task of a run in plain PyTorch."""
    return f"{run.name}-plain"


def _tasks_of(run: Run, write_up: str) -> list[Task]:
    train = _training(("fastvae", "train"), run)
    if run.evaluation:
        words = ("fastvae", "evaluate", "{folder}", *run.evaluation, "--data-dir", "{data}")
        commands, files = (train, Command(words, "evaluation.json")), (*_RUN_FILES, "evaluation.json")
        tasks = [Task(run.name, write_up, commands, files, run.pictures, run)]
    else:
        tasks = [Task(run.name, write_up, (train,), _RUN_FILES, run.pictures, run)]
    if run.plain:
        tasks.append(Task(plain_name(run), write_up, (_training(_PLAIN, run),), _RUN_FILES, run=run))
    return tasks


def _training(program: tuple[str, ...], run: Run) -> Command:
    return Command(
        (*program, *run.options, *_FOLDERS, "--threads", "{threads}"),
        "metrics.csv",
        # Everything else is in the run's own config.
        (*program, "--resume", "{folder}", "--data-dir", "{data}"),
    )


def _metrics(folder: str, write_up: str, words: tuple[str, ...], *pictures: Picture) -> Task:
    """A training whose command leaves metrics.json."""
    return Task(
        folder, write_up, (Command((*words, "--out", "{folder}"), "metrics.json"),), ("metrics.json",), pictures
    )


SEEDS: Final = ("0", "1", "2")
# The weight of the KL and that of the total correlation.
SPRITES: Final = {"beta": "4", "tc": "4"}


def _sprites() -> list[Task]:
    program = ("python", "-m", "bench.reproductions.sprites", "--objective")
    tasks = []
    for objective, beta in SPRITES.items():
        shown = Picture(
            "traversals.png", f"sprites-{objective}.png", f"Traversals of a {sprites.NAMES[objective]}'s latent"
        )
        tasks += [
            _metrics(
                f"sprites-{objective}-{seed}",
                "beta-TC-VAE",
                (*program, objective, "--beta", beta, "--seed", seed),
                *([shown] if seed == SEEDS[0] else []),
            )
            for seed in SEEDS
        ]
    # Enough steps for the time of one; all of them would take an hour.
    words = (*program, "tc", "--beta", SPRITES["tc"], "--epochs", "3", "--plain")
    return [*tasks, _metrics("sprites-tc-plain", "beta-TC-VAE", words)]


def _counts() -> list[Task]:
    program = ("python", "-m", "bench.reproductions.counts", "--likelihood")
    tasks = []
    for likelihood in LIKELIHOODS:
        shown = Picture(
            "latent.png", f"counts-{likelihood}.png", f"The latent by type of cell, counts {NAMES[likelihood]}"
        )
        tasks += [
            _metrics(
                f"counts-{likelihood}-{seed}",
                "scVI",
                (*program, likelihood, "--seed", seed),
                *([shown] if seed == SEEDS[0] else []),
            )
            for seed in SEEDS
        ]
    plain = [
        _metrics(f"counts-{one}-plain", "scVI", (*program, one, "--plain")) for one in LIKELIHOODS if one != "poisson"
    ]
    return [*tasks, *plain]


STUDIES: Final = (
    *_tasks_of(runs.S2_ONE_HOT, "S2"),
    Task(
        "s1",
        "S1",
        (
            Command(
                (
                    "fastvae", "compare", *(f"{{out}}/s1-beta-{beta}" for beta in ("0.1", "1", "3")),
                    "--out", "{folder}/comparison.png",
                ),
                "comparison.csv",
            ),
        ),
        ("comparison.csv",),
        (Picture("comparison.png", "s1-comparison.png", "Latents, reconstructions and scans for three betas"),),
    ),
    Task(
        "quadrants",
        "S2",
        (Command(("fastvae", "quadrants", *_FOLDERS), "table.csv"),),
        ("table.csv",),
        tuple(
            Picture(f"completions-{count}.png", f"s2-completions-{count}.png", f"Completions, quadrants given: {count}")
            for count in (1, 2, 3)
        ),
    ),
    Task(
        "quadrant-samples",
        "S2",
        (
            Command(
                (
                    "python", "-m", "bench.reproductions.samples", "{out}/quadrants/quadrants-1-cvae",
                    "--data-dir", "{data}", "--out", "{folder}",
                ),
                "metrics.json",
            ),
        ),
        ("metrics.json",),
    ),
    Task(
        "segmentation",
        "S2",
        (Command(_SEGMENTATION, "metrics.json"),),
        ("metrics.json",),
        (Picture("segmentation.png", "s2-segmentation.png", "Segmentation by a conditional VAE"),),
    ),
    Task("segmentation-plain", "S2", (Command((*_SEGMENTATION, "--plain"), "metrics.json"),), ("metrics.json",)),
    *_sprites(),
    *_counts(),
)  # fmt: skip


def all_tasks() -> list[Task]:
    """Every task: runs first, because others look at them."""
    trained = [task for write_up in runs.WRITE_UPS for run in write_up.runs for task in _tasks_of(run, write_up.name)]
    return [*trained, *STUDIES]
