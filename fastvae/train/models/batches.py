"""Batches from which a run's objective cannot be estimated, found before it begins."""

from __future__ import annotations

from collections.abc import Iterator

from fastvae.train.data.description import evaluation_batch
from fastvae.train.errors import UserError
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import DIVIDED


def check(config: Config, *, training: int = 0, validation: int = 0, test: int = 0) -> None:
    """Every batch of so many images has the sizes that stratified weights are defined for.

    The weights of `fastvae.functional.minibatch_log_densities` divide by what a batch has beside the image itself, and
    take no more images than the data set has.

    Raises:
        UserError: one image alone, or more than `dataset_size`.
    """
    if config.objective not in DIVIDED or config.weighting != "mss":
        return
    assert config.dataset_size is not None
    parts = {
        f"--batch-size: got {config.batch_size}": (training, config.batch_size),
        f"--validation: got {config.validation:g}": (validation, evaluation_batch(config.shape)),
        f"--data-dir: got {config.data_dir!r}": (test, evaluation_batch(config.shape)),
    }
    for got, (images, batch_size) in parts.items():
        for size in _sizes(images, batch_size):
            if size == 1:
                raise UserError(
                    f"{got}, which leaves 1 of {images} images alone in a batch; takes another value with weighting "
                    "'mss'"
                )
            if size > config.dataset_size:
                raise UserError(
                    f"--dataset-size: got {config.dataset_size} with weighting 'mss'; takes at least the {size} images "
                    "of a batch"
                )


def _sizes(images: int, batch_size: int) -> Iterator[int]:
    """Of the full batches, if there are any, and of the last one."""
    if images >= batch_size:
        yield batch_size
    if images % batch_size:
        yield images % batch_size
