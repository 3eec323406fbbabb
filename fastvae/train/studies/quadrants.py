"""The study of Sohn, Lee & Yan 2015, section 5.1: images completed from 1, 2 or 3 of their quadrants.

Four models of the same networks, trained alike: a deterministic network, which is also the first guess that the prior
networks of the other three see, a Gaussian stochastic network, a CVAE, and a hybrid of the two.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import torch

from fastvae import VAE
from fastvae.plots import figures
from fastvae.train.data import datasets
from fastvae.train.data.conditions import Quadrants
from fastvae.train.data.datasets import Data
from fastvae.train.evaluation import likelihood
from fastvae.train.loop.trainer import Trainer
from fastvae.train.models.build import conditioning
from fastvae.train.pictures import conditional, saved
from fastvae.train.runs import atomic
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.resume import resumed
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Settings

COUNTS: Final = (1, 2, 3)
_PRESET: Final = "quadrants"
_BASELINE: Final = "baseline"
_LATENT: Final[Settings] = {"prior": "learned"}
# By name: what it is called in the table, and its settings. The baseline comes first, the others need it.
_MODELS: Final[dict[str, tuple[str, Settings]]] = {
    _BASELINE: ("NN", {"objective": "baseline"}),
    "gsnn": ("GSNN", _LATENT | {"objective": "gsnn"}),
    "cvae": ("CVAE", _LATENT | {"objective": "cvae"}),
    "hybrid": ("hybrid", _LATENT | {"objective": "hybrid"}),
}
# By method: its name in the table, and what `likelihood.estimates` calls it.
METHODS: Final = {
    "monte_carlo": ("Monte Carlo", "log_likelihood_monte_carlo"),
    "importance": ("importance sampling", "log_likelihood"),
}
_EXACT: Final = "exact"
_PICTURED: Final = 8
_SAMPLES: Final = 3


class Row(NamedTuple):
    """A figure of the study: nats of the hidden quadrants, averaged over the test images.

    Attributes:
        quadrants: how many are given.
        model: ``"baseline"``, ``"gsnn"``, ``"cvae"`` or ``"hybrid"``.
        method: ``"exact"``, ``"monte_carlo"`` or ``"importance"``.
        negative_log_likelihood: of the target, given the condition.
        standard_error: over the test images.
        num_samples: latents for each image; 0 without any.
        epochs: of training.
        training_seconds: of them.
        seconds: of the estimate.
    """

    quadrants: int
    model: str
    method: str
    negative_log_likelihood: float
    standard_error: float
    num_samples: int
    epochs: int
    training_seconds: float
    seconds: float


def study(explicit: Settings, out: Path, num_samples: int) -> list[Row]:
    """Train and evaluate what is not yet in `out`, a folder for each model; then write the table and the pictures.

    Args:
        explicit: settings for every run.
        out: where the runs are; one begun before goes on.
        num_samples: latents for each image in an estimate.

    Raises:
        UserError: a setting out of its range, or `out` has runs of other settings.
    """
    # Before anything is read or written: a mistake among them is one whatever the model.
    plain = resolve.new({"preset": _PRESET, **explicit})
    dataset = datasets.load(plain.data, plain.data_dir)
    rows: list[Row] = []
    for count in COUNTS:
        trained = dict(_trained(explicit | {"quadrants": count}, out, dataset))
        for name, trainer in trained.items():
            rows += _rows(count, name, trainer, num_samples)
        _draw(count, trained, out)
    atomic.write_csv(out / "table.csv", Row._fields, rows)
    return rows


def _trained(explicit: Settings, out: Path, dataset: Data) -> Iterator[tuple[str, Trainer]]:
    baseline = out / f"quadrants-{explicit['quadrants']}-{_BASELINE}"
    for name, (_, own) in _MODELS.items():
        folder = RunFolder(out / f"quadrants-{explicit['quadrants']}-{name}")
        guess = {} if name == _BASELINE else {"first_guess": str(baseline.resolve())}
        chosen = {"preset": _PRESET, **explicit, **own, **guess}
        begun = folder.config_file.exists()
        config = resumed(folder, chosen) if begun else resolve.new(chosen)
        torch.set_num_threads(config.threads)
        folder.path.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(config, dataset, folder)
        folder.write_config(config)
        click.echo(str(folder.path))
        trainer.fit()
        yield name, trainer


def _rows(count: int, name: str, trainer: Trainer, num_samples: int) -> Iterator[Row]:
    found = _evaluated(trainer, num_samples)
    for method, (_, key) in METHODS.items():
        if key in found:
            last = trainer.history[-1]
            yield Row(
                count,
                name,
                _EXACT if name == _BASELINE else method,
                -found[key],
                found[f"{key}_standard_error"],
                found["num_samples"],
                last.epoch,
                last.seconds,
                found[f"{key}_seconds"],
            )


def _evaluated(trainer: Trainer, num_samples: int) -> dict[str, Any]:
    """The estimates for a trained model, kept in its folder."""
    file = trainer.folder.evaluation_file
    wanted = {"epochs": len(trainer.history), "samples_asked": num_samples}
    if file.exists():
        try:
            kept: dict[str, Any] = dict(json.loads(file.read_bytes()))
        except (RecursionError, TypeError, ValueError):
            # It follows from the run, and is found again.
            kept = {}
        if wanted.items() <= kept.items():
            return kept
    found = wanted | likelihood.estimates(trainer.trained, trainer.config, trainer.data.test, num_samples)
    atomic.write_json(file, found)
    return found


def _draw(count: int, trained: dict[str, Trainer], out: Path) -> None:
    """The completions of all models side by side."""
    first = trained[_BASELINE]
    quadrants = conditioning(first.config).to(first.device)
    assert isinstance(quadrants, Quadrants)
    images = first.data.test.images[:_PICTURED]
    groups = conditional.known_and_original(quadrants, images)
    with torch.no_grad():
        for name, trainer in trained.items():
            model = trainer.trained.eval()
            assert not isinstance(model, VAE)
            drawn = conditional.completions(model, quadrants, images, trainer.config.seed, _SAMPLES)
            groups.append((_MODELS[name][0], drawn))
    title = f"MNIST completed from {count} of 4 quadrants"
    saved.save(figures.grid(groups, [], title), out / f"completions-{count}.png")


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The table of the paper: a line for each model and method, a column for each number of quadrants."""
    yield _line("negative log-likelihood (nats)", [f"{count} given" for count in COUNTS])
    for model, method in dict.fromkeys((row.model, row.method) for row in rows):
        label = _MODELS[model][0] + (f", {METHODS[method][0]}" if method in METHODS else "")
        found = [row for row in rows if (row.model, row.method) == (model, method)]
        yield _line(label, [f"{row.negative_log_likelihood:.1f} +- {row.standard_error:.1f}" for row in found])


def _line(label: str, cells: Sequence[str]) -> str:
    return f"{label:32}" + "".join(f"{cell:>14}" for cell in cells)
