"""Images of a model: what it makes of its inputs, and samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from fastvae.modules import CVAE, VAE
from fastvae.plots import figures, given
from fastvae.plots.given import Model, ValueRange

_SAMPLES: Final = 64
_PER_CONDITION: Final = 10


def reconstructions(
    model: Model,
    x: Any,
    condition: Any = None,
    *,
    columns: int = 10,
    shape: Sequence[int] | None = None,
    value_range: ValueRange = (0.0, 1.0),
    title: str = "Images and their reconstructions",
) -> Figure:
    """Images, and under each the mean of p(x|z) at the mean of q(z|x).

        fastvae.plots.reconstructions(vae, images[:20])

    Args:
        model: a `fastvae.VAE`, `BetaVAE` or `CVAE`.
        x: the images, ``[batch, ...]``, all of which are drawn; of a CVAE its targets.
        condition: of a CVAE, ``[batch, ...]``.
        columns: images in a row.
        shape, value_range, title: see `fastvae.plots`.

    Returns:
        A pair of axes for each row of originals with the reconstructions under it.

    Raises:
        TypeError: no such model.
        ValueError: samples that are no images, a condition that does not fit the model, or a CVAE with objective
            ``"gsnn"``, which trains no recognition network.
    """
    if columns < 1:
        raise ValueError(f"columns: got {columns}; takes 1 or more")
    with given.looked_at(model) as model:
        x = given.placed(model, "x", x)
        conditions = given.conditions(model, condition, len(x))
        originals = given.pictured("x", x, 1, columns, shape, value_range)
        extra = () if conditions is None else (conditions,)
        # `encode` once for all: what is drawn fits into memory.
        means = [posterior.mean for posterior in given.posteriors(model, x, conditions)]
        parts = [
            model.decode(mean, *(each.split(len(means[0]))[index] for each in extra), mean=True)
            for index, mean in enumerate(means)
        ]
        found = [given.pictured("reconstructions", part, 1, columns, shape, value_range) for part in parts]
    return figures.reconstructions(originals, np.concatenate(found), title, columns)


def samples(
    model: Model,
    n: int | None = None,
    condition: Any = None,
    *,
    seed: int = 0,
    names: Sequence[object] = (),
    shape: Sequence[int] | None = None,
    value_range: ValueRange = (0.0, 1.0),
    title: str = "Samples from the prior",
) -> Figure:
    """Means of p(x|z) for latents from the prior: a square of images, or of a CVAE a row for each condition.

        fastvae.plots.samples(vae, 64)
        fastvae.plots.samples(cvae, 10, torch.eye(10), names=range(10))

    Args:
        model: a `fastvae.VAE`, `BetaVAE` or `CVAE`.
        n: how many, of a CVAE for each condition; by default 64, and 10.
        condition: of a CVAE, ``[rows, ...]``.
        seed: of the latents: the same one gives the same picture, and torch's generators are not asked.
        names: of the conditions, one for each row, or none.
        shape, value_range, title: see `fastvae.plots`.

    Raises:
        TypeError: no such model.
        ValueError: `n` below 1, samples that are no images, a condition that does not fit the model, or names of
            another number.
    """
    with given.looked_at(model) as model:
        conditions = given.conditions(model, condition)
        n = n if n is not None else _SAMPLES if conditions is None else _PER_CONDITION
        if n < 1:
            raise ValueError(f"n: got {n}; takes 1 or more")
        if names and (conditions is None or len(names) != len(conditions)):
            rows = 0 if conditions is None else len(conditions)
            raise ValueError(f"names: got {len(names)}; takes {rows}, one for each condition, or none")
        if conditions is None:
            assert isinstance(model, VAE)
            across = max(1, round(n**0.5))
            drawn = given.pictured("samples", model.sample(n, seed=seed), 1, across, shape, value_range)
            return figures.sample_grid(drawn, title)
        assert isinstance(model, CVAE)
        drawn = given.pictured("samples", model.sample(conditions, n, seed=seed), 2, n, shape, value_range)
    return figures.grid([("", drawn.swapaxes(0, 1))], [str(name) for name in names], title)
