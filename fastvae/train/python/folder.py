"""The folder of a `fastvae.fit`: what a run of the command line leaves, with the settings of training alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from fastvae.train.errors import UserError, first_problem
from fastvae.train.processes import group
from fastvae.train.runs import atomic, metrics
from fastvae.train.runs.folder import RunFolder, versions
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings.training import Training

# How far it goes, and what it logs beside its files.
_CHANGEABLE: Final = {"epochs", "early_stopping", "tensorboard", "keep_weights"}


class _File(BaseModel):
    model: str
    settings: Training
    versions: dict[str, str]


class FitFolder(RunFolder):
    """Where everything about one `fastvae.fit` is.

    Attributes:
        config_file: the settings of training, the class of the model, and the versions.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.config_file = path / "fit.json"

    def write_settings(self, settings: Training, model: str) -> None:
        """Write `fit.json`."""
        content = _File(model=model, settings=settings, versions=versions())
        atomic.write_text(self.config_file, content.model_dump_json(indent=2) + "\n")

    def read_settings(self) -> tuple[Training, str]:
        """The settings of training, and the class of the model.

        Raises:
            UserError: the file is damaged.
        """
        found = self._read_fit()
        return found.settings, found.model

    def read_versions(self) -> dict[str, str]:
        """What it was begun or last resumed with, see `versions`; raises what `read_settings` does."""
        return self._read_fit().versions

    def read_metrics(self) -> list[Epoch]:
        """The rows of `metrics.csv`, see `RunFolder.read_metrics`; NaN is what was not measured."""
        return metrics.read(self.metrics_file, metrics.OF_FITS)

    def _read_fit(self) -> _File:
        try:
            return _File.model_validate_json(self.config_file.read_bytes())
        except ValidationError as error:
            raise UserError(f"{self.config_file}: {first_problem(error)}") from error


@contextmanager
def opened(out: str | Path | None, settings: Training, model: str, *, resume: bool) -> Iterator[FitFolder | None]:
    """The folder `out`, made if need be; inside the block no other process writes to it. None writes nothing.

    Raises:
        UserError: it cannot be made, is in use, or holds what `resume` does not say to go on with.
    """
    if out is None:
        yield None
        return
    folder = FitFolder(Path(out).expanduser())
    if group.rank():
        group.wait()
        yield folder
        return
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out: {folder.path}: {error.strerror}") from error
    with folder.claimed():
        _check(folder, settings, model, resume=resume)
        folder.write_settings(settings, model)
        group.wait()
        yield folder


def _check(folder: FitFolder, settings: Training, model: str, *, resume: bool) -> None:
    begun = folder.checkpoint_file.exists()
    if not folder.config_file.exists() and folder.contents():
        raise UserError(f"out: got {folder.path}, which fastvae.fit has not written; takes a new folder")
    if begun and not resume:
        raise UserError(
            f"out: got {folder.path}, which is not empty; takes a new folder, or resume=True to go on there"
        )
    if begun:
        _check_same(folder, settings, model)


def _check_same(folder: FitFolder, settings: Training, model: str) -> None:
    """What decides the bits of a run is as it was."""
    before, trained = folder.read_settings()
    # Learning rates of a cosine follow from where it ends.
    free = _CHANGEABLE - ({"epochs"} if settings.lr_schedule == "cosine" else set())
    then, now = (
        {"model": name} | each.model_dump(exclude=free) for name, each in ((trained, before), (model, settings))
    )
    changed = [f"{name} {now[name]!r} (it has {then[name]!r})" for name in now if now[name] != then[name]]
    if changed:
        raise UserError(f"resume: {folder.path} contradicts {', '.join(changed)}")
