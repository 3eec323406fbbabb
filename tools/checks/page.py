"""The page of the checks: what each of them found the last time, where and when."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench import ROOT, machine, pages

PAGE: Final = ROOT / "docs" / "checks.md"


def record(check: str, found: str, page: Path = PAGE) -> None:
    """Put what a check found into its part of the page, with the commit, the date and the machine.

    Args:
        check: The part's name, as its markers on the page have it.
        found: Markdown: a table or a sentence.
        page: The page.

    Raises:
        ValueError: the page has no such part.
    """
    run = machine.run_on_cpu()
    where = f"{run.date[:10]}, commit {run.commit}, {run.device}, {run.cores} cores, torch {run.torch}."
    pages.write(page, {check: f"{found}\n\n{where}"})
