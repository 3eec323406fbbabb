"""Where the time of the training steps goes: ``python -m bench.steps``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import click
import torch
from torch.profiler import ProfilerActivity, profile

from bench.cpu.training_steps import TRAINING_STEPS
from bench.timing import Trial

# The first row that matches an event or anything it ran inside. The networks have no arithmetic but that of their
# layers, so what is left of it belongs to the latent and the loss.
_PARTS: Final = (
    ("optimizer", re.compile(r"Optimizer\.|adam")),
    ("matrix products", re.compile(r"linear|addmm|::mm$|convolution", re.IGNORECASE)),
    ("activations", re.compile(r"relu|threshold", re.IGNORECASE)),
    ("latent and loss", re.compile(r"fastvae|Reconstruction|binary_?cross_?entropy|sigmoid|randn|reparam|"
                                   r"(::|: )(exp|mul|add|sub|rsub|pow|sum)(Backward\d)?$", re.IGNORECASE)),
    ("generated code", re.compile(r"Compiled")),
)  # fmt: skip


def part(names: Sequence[str]) -> str:
    """The part of a step that an event belongs to, given its name and those of the events around it."""
    matches = (title for title, pattern in _PARTS if any(pattern.search(name) for name in names))
    return next(matches, "everything else")


def breakdown(trial: Trial, count: int) -> dict[str, float]:
    """Milliseconds a step by part, from a trace of `count` steps."""
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        for _ in range(count):
            trial.timed(trial.prepare())
    totals: Counter[str] = Counter()
    for event in trace.events():
        names, around = [], event
        while around is not None:
            names.append(around.name)
            around = around.cpu_parent
        totals[part(names)] += event.self_cpu_time_total
    return {title: microseconds / 1e3 / count for title, microseconds in totals.most_common()}


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--count", type=click.IntRange(min=1), default=50, show_default=True, help="Steps to trace.")
def main(threads: int, count: int) -> None:
    """Show where the time of a training step goes."""
    torch.set_num_threads(threads)
    for step in TRAINING_STEPS:
        for provider, trial in step.trials().items():
            for _ in range(3):
                trial.timed(trial.prepare())
            parts = breakdown(trial, count)
            shown = ", ".join(f"{title} {milliseconds:.2f}" for title, milliseconds in parts.items())
            click.echo(f"{step.name} {step.size} {provider}: {sum(parts.values()):.2f} ms: {shown}")


if __name__ == "__main__":
    main()
