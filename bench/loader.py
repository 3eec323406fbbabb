"""Whether batches come faster than networks use them: ``python -m bench.loader --out FILE.csv``.

Images per second from a mapped file, in an order drawn anew: by the loader of ``fastvae train``, by a DataLoader as it
is mostly used, image by image, and by one that is asked for whole batches; of training from each of them; and of
training on one batch again and again. Medians of rounds in which each has its turn.
"""

from __future__ import annotations

import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler

import fastvae
from bench import machine
from fastvae import networks
from fastvae.train.data.datasets import Split
from fastvae.train.data.stored import Stored
from fastvae.train.files import npz
from fastvae.train.files.sources import Array


class Case(NamedTuple):
    """Networks and what they are trained on: so many images of a shape, in batches."""

    model: str
    shape: tuple[int, int, int]
    images: int
    batch_size: int


CASES: Final = (Case("mlp", (1, 28, 28), 200_000, 4096), Case("conv", (3, 64, 64), 20_000, 128))
_HEADER: Final = ("model", "shape", "batch_size", "what", "images_per_second", *machine.Run._fields, "threads")

Batches = Generator[Tensor]
_WORKERS: Final[dict[str, Any]] = {"num_workers": 2, "persistent_workers": True}


class Mapped(Dataset[Tensor]):
    """The images of a file by their row, or some by theirs."""

    def __init__(self, path: Path) -> None:
        self._array = npz.arrays(path)[""]

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, rows: int | list[int]) -> Tensor:
        return torch.from_numpy(np.array(self._array[rows]))


def by_fastvae(path: Path, case: Case) -> Batches:
    """Epochs of batches from the loader of ``fastvae train``."""
    split = Split(Stored(Array(npz.arrays(path)[""]), np.arange(case.images)), torch.zeros(case.images).long())
    while True:
        with closing(split.in_order(torch.randperm(case.images), case.batch_size)) as batches:
            yield from (images for images, _ in batches)


def by_dataloader(path: Path, case: Case) -> Batches:
    """The same from torch's, image by image, in two processes."""
    yield from _epochs(DataLoader(Mapped(path), case.batch_size, shuffle=True, **_WORKERS))


def by_dataloader_of_batches(path: Path, case: Case) -> Batches:
    """The same, a batch at once."""
    data = Mapped(path)
    sampler = BatchSampler(RandomSampler(data), case.batch_size, drop_last=False)
    yield from _epochs(DataLoader(data, batch_size=None, sampler=sampler, **_WORKERS))


def _epochs(loader: DataLoader[Tensor]) -> Batches:
    while True:
        yield from loader


LOADERS: Final = {
    "fastvae": by_fastvae,
    "DataLoader": by_dataloader,
    "DataLoader of batches": by_dataloader_of_batches,
}


def step(case: Case) -> Callable[[Tensor], None]:
    """One of training on a batch."""
    encoder, decoder, latent_shape = networks.build(case.model, case.shape, 20, likelihood="bernoulli")
    model = fastvae.VAE(encoder, decoder, likelihood="bernoulli", latent_shape=latent_shape)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def run(images: Tensor) -> None:
        model(images).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def rate(batches: Iterator[Tensor], use: Callable[[Tensor], object], seconds: float) -> float:
    """Images per second of what `use` is given for so long, after a first batch."""
    use(next(batches))
    images, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds or not images:
        batch = next(batches)
        use(batch)
        images += len(batch)
    return images / spent


def rates(case: Case, path: Path, seconds: float) -> dict[str, float]:
    """A round."""
    train, found = step(case), {}
    for name, loader in LOADERS.items():
        for what, use in ((f"{name} alone", len), (f"training from {name}", train)):
            with closing(loader(path, case)) as batches:
                found[what] = rate(batches, use, seconds)
    with closing(by_fastvae(path, case)) as batches:
        batch = next(batches)
    return found | {"training alone": rate(iter(lambda: batch, None), train, seconds)}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The CSV, to which rows are added.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seconds", type=float, default=5.0, show_default=True, help="For each measurement.")
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help="Of the training step.")
@click.option("--fewer", type=click.IntRange(min=1), default=1, show_default=True, help="Divide the data by this.")
def main(out: Path, rounds: int, seconds: float, threads: int, fewer: int) -> None:
    """Measure the loader beside a DataLoader, and what networks use."""
    torch.set_num_threads(threads)
    rows = []
    for case in (case._replace(images=case.images // fewer) for case in CASES):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "images.npy"
            array = open_memmap(path, "w+", np.uint8, (case.images, *case.shape))
            array[:] = np.random.default_rng(0).integers(0, 256, array.shape, np.uint8)
            del array
            found = [rates(case, path, seconds) for _ in range(rounds)]
        for what in found[0]:
            median = statistics.median(one[what] for one in found)
            click.echo(
                f"{case.model} {'x'.join(map(str, case.shape))}, batch {case.batch_size}: {what} {median:,.0f}/s"
            )
            shape = "x".join(map(str, case.shape))
            rows.append((case.model, shape, case.batch_size, what, round(median), *machine.run_on_cpu(), threads))
    new = not out.exists()
    with out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([_HEADER, *rows] if new else rows)


if __name__ == "__main__":
    main()
