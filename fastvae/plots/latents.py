"""The latent of a model: where its inputs are in it, what it decodes to, and which dimensions it uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from fastvae.plots import arrays, figures, given
from fastvae.plots.given import Model, ValueRange

_TRAVERSED: Final = 10


def latent(
    model: Model, x: Any, labels: Any = None, condition: Any = None, *, title: str = "Posterior means"
) -> Figure:
    """The mean of q(z|x) of each sample, by label: the plane itself where the latent has two dimensions.

    One dimension is drawn against its standard deviation; of more, a spatial latent's among them, it is the first two
    principal components of the means, with their share of the variance in the names of the axes.

        fastvae.plots.latent(vae, images, labels)

    Args:
        model: a `fastvae.VAE`, `BetaVAE` or `CVAE`.
        x: samples of any shape, ``[batch, ...]``, encoded 256 at a time.
        labels: ``[batch]``, whole numbers from 0; up to ten have a legend, more a colour bar. None is one colour.
        condition: of a CVAE, ``[batch, ...]``.
        title: of the figure.

    Raises:
        TypeError: no such model.
        ValueError: labels of another number or kind, a condition that does not fit, or a CVAE with objective
            ``"gsnn"``.
    """
    with given.looked_at(model) as model:
        x = given.placed(model, "x", x)
        found = given.posteriors(model, x, given.conditions(model, condition, len(x)))
        points, names = arrays.plane(found, given.unit(model))
    return figures.latent(points, _labels(labels, len(x)), title, names)


def kl_by_dimension(
    model: Model, x: Any, condition: Any = None, *, title: str = "Which dimensions of the latent are used"
) -> Figure:
    """A bar for each dimension of the latent, its KL(q(z|x) || p(z)) in nats, the mean over samples; the largest first.

    A dimension near 0 has collapsed: it tells nothing of the sample. Of a spatial latent a bar is a channel, the sum
    over its positions. The prior is N(0, I), or a CVAE's own network; of a mixture prior, whose KL has no parts by
    dimension, N(0, I) stands for it.

        fastvae.plots.kl_by_dimension(vae, images)

    Args:
        model, x, condition, title: as in `latent`.

    Raises:
        TypeError, ValueError: as in `latent`.
    """
    with given.looked_at(model) as model:
        x = given.placed(model, "x", x)
        conditions = given.conditions(model, condition, len(x))
        found = given.posteriors(model, x, conditions)
        kl = given.kl_per_dimension(model, found, conditions)
    axis = "dimension of the latent" if found[0].mean.dim() == 2 else "channel of the latent"
    return figures.bars(kl, title, xlabel=axis, ylabel="KL (nats per sample)")


def traversals(
    model: Model,
    x: Any = None,
    condition: Any = None,
    *,
    dims: Sequence[int] | None = None,
    reach: float = 3.0,
    steps: int = 11,
    shape: Sequence[int] | None = None,
    value_range: ValueRange = (0.0, 1.0),
    title: str = "One coordinate of the latent changed",
) -> Figure:
    """Decoded latents, a row for each dimension: its coordinate goes from -reach to reach, the others stay.

        fastvae.plots.traversals(vae, images[:100])
        fastvae.plots.traversals(vae, dims=(0, 3), reach=2.0)

    Args:
        model: a `fastvae.VAE`, `BetaVAE` or `CVAE` with a latent of vectors.
        x: samples, ``[batch, ...]``; the others stay at the posterior mean of the first one, and the KL over all of
            them chooses the dimensions. None begins at 0, or at the mean of a CVAE's prior.
        condition: of a CVAE, ``[batch, ...]``; the first one is decoded with.
        dims: which dimensions, from 0; by default the ten with the most KL, or without x the first ten.
        reach: the ends, in units of z, which are the prior's standard deviations where it is N(0, I).
        steps: columns.
        shape, value_range, title: see `fastvae.plots`.

    Raises:
        TypeError: no such model.
        ValueError: a spatial latent, dimensions that it does not have, fewer steps than 2, a condition that does not
            fit, or samples that are no images.
    """
    if steps < 2:
        raise ValueError(f"steps: got {steps}; takes 2 or more")
    with given.looked_at(model) as model:
        x = None if x is None else given.placed(model, "x", x)
        conditions = given.conditions(model, condition, None if x is None else len(x))
        kl = None
        if x is None:
            z = given.origin(model, conditions)
        else:
            found = given.posteriors(model, x, conditions)
            z, kl = found[0].mean[0], given.kl_per_dimension(model, found, conditions)
        if z.dim() != 1:
            raise ValueError(f"model: got a latent of shape {tuple(z.shape)}; takes one of vectors")
        chosen = _dimensions(dims, len(z), kl)
        # Symmetric by construction: the middle of an odd number is 0 exactly.
        values = (torch.arange(steps, device=z.device) * 2 - (steps - 1)) * (reach / (steps - 1))
        first = None if conditions is None else conditions[:1]
        decoded = arrays.traversals(model, z, chosen, values.to(z.dtype), first)
        images = given.pictured("the decoder's means", decoded, 2, steps, shape, value_range)
    names = [f"$z_{{{each}}}$" + ("" if kl is None else f"   KL {kl[each]:.2f} nats") for each in chosen]
    return figures.traversal(images, values.cpu().numpy(), names, title, given.unit(model))


def interpolation(
    model: Model,
    starts: Any,
    ends: Any,
    condition: Any = None,
    *,
    steps: int = 10,
    shape: Sequence[int] | None = None,
    value_range: ValueRange = (0.0, 1.0),
    title: str = "Decoded on the line between posterior means",
) -> Figure:
    """A row for each pair of samples: the first, what is decoded on the way between their latents, and the second.

        fastvae.plots.interpolation(vae, images[:5], images[5:10])

    Args:
        model: a `fastvae.VAE`, `BetaVAE` or `CVAE`.
        starts, ends: ``[rows, ...]`` each, the images that a row begins and ends with.
        condition: of a CVAE, ``[rows, ...]``, of both ends.
        steps: decoded images in a row.
        shape, value_range, title: see `fastvae.plots`.

    Raises:
        TypeError: no such model.
        ValueError: starts and ends of different shapes, fewer steps than 2, a condition that does not fit, samples
            that are no images, or a CVAE with objective ``"gsnn"``.
    """
    if steps < 2:
        raise ValueError(f"steps: got {steps}; takes 2 or more")
    with given.looked_at(model) as model:
        pair = given.placed(model, "starts", starts), given.placed(model, "ends", ends)
        if pair[0].shape != pair[1].shape:
            raise ValueError(f"ends: got shape {tuple(pair[1].shape)}; takes that of starts, {tuple(pair[0].shape)}")
        conditions = given.conditions(model, condition, len(pair[0]))
        means = [torch.cat([each.mean for each in given.posteriors(model, x, conditions)]) for x in pair]
        decoded = arrays.interpolations(model, means[0], means[1], steps, conditions)
        images = given.pictured("the decoder's means", decoded, 2, steps, shape, value_range)
        originals = given.pictured("starts", torch.stack(pair, 1), 2, steps, shape, value_range)
    return figures.interpolation(originals, images, None, title)


def manifold(
    model: Model,
    condition: Any = None,
    *,
    side: int = 20,
    shape: Sequence[int] | None = None,
    value_range: ValueRange = (0.0, 1.0),
    title: str = "Decoded latent at normal quantiles 0.05 to 0.95",
) -> Figure:
    """What a latent of two dimensions decodes to, on a grid that is even in the probability of N(0, I).

    Memory is bounded: one row of the grid is decoded at a time, and the whole is at most 2,048 pixels a side, for which
    larger images are reduced by a whole factor.

        fastvae.plots.manifold(vae)

    Args:
        model: a `fastvae.VAE`, `BetaVAE` or `CVAE` with ``latent_shape=2`` and the prior N(0, I).
        condition: of a CVAE, ``[1, ...]``.
        side: rows and columns.
        shape, value_range, title: see `fastvae.plots`.

    Raises:
        TypeError: no such model.
        ValueError: another latent or prior, a side below 2, a condition that does not fit, or samples that are no
            images.
    """
    if side < 2:
        raise ValueError(f"side: got {side}; takes 2 or more")
    with given.looked_at(model) as model:
        conditions = given.conditions(model, condition, 1)
        if model.prior is not None:
            raise ValueError(f"model: got the prior {type(model.prior).__name__}; takes one with N(0, I)")
        origin = given.origin(model, conditions)
        if origin.shape != (2,):
            raise ValueError(f"model: got a latent of shape {tuple(origin.shape)}; takes (2,)")
        quantiles, decoded = arrays.manifold(model, origin.device, conditions, side)
        images = given.pictured("the decoder's means", decoded, 2, side, shape, value_range)
    return figures.manifold(images.reshape(-1, *images.shape[2:]), quantiles, title)


def _labels(labels: Any, count: int) -> Any:
    """Whole numbers from 0, one for each of so many samples."""
    if labels is None:
        return None
    array = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if array.shape != (count,):
        raise ValueError(f"labels: got shape {array.shape}; takes ({count},), one for each sample")
    if array.dtype.kind not in "iub" or array.min() < 0:
        raise ValueError(f"labels: got {array.dtype} from {array.min()}; takes whole numbers from 0")
    return array.astype(np.int64)


def _dimensions(dims: Sequence[int] | None, count: int, kl: Any) -> list[int]:
    if dims is None:
        order = range(count) if kl is None else np.argsort(-kl, kind="stable")
        return [int(dimension) for dimension in order][:_TRAVERSED]
    for dimension in dims:
        if not 0 <= dimension < count:
            raise ValueError(f"dims: got {dimension}; takes 0 to {count - 1}")
    if not dims:
        raise ValueError("dims: got none; takes a dimension or more")
    return list(dims)
