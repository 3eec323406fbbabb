"""What a user gives to `fastvae.plots`: a model, its inputs and conditions, and how to look at samples as images."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from fastvae._describe import describe
from fastvae.distributions import DiagonalGaussian
from fastvae.modules import CVAE, VAE
from fastvae.plots import arrays
from fastvae.plots.arrays import UNIT, Array

Model: TypeAlias = VAE | CVAE
ValueRange: TypeAlias = tuple[float, float]

_BATCH: Final = 256
_COLOURED: Final = (1, 3, 4)


@contextmanager
def looked_at(model: object) -> Iterator[Model]:
    """`model` in eval mode and without gradients; afterwards each of its modules is in the mode that it was in.

    Raises:
        TypeError: it is no model of the library.
    """
    if not isinstance(model, (VAE, CVAE)):
        raise TypeError(f"model: got {type(model).__name__}; takes a fastvae.VAE, BetaVAE or CVAE")
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module in training:
            module.training = True


def placed(model: Model, name: str, value: Any) -> Tensor:
    """A batch as a tensor on the device of the model.

    Raises:
        TypeError: it is no tensor and no array.
        ValueError: no samples.
    """
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name}: got {type(value).__name__}; takes a tensor or an array, [batch, ...]") from None
    if tensor.dim() == 0 or not len(tensor):
        raise ValueError(f"{name}: got {describe(tensor)}; takes [batch, ...], a sample or more")
    like = next(model.parameters(), None)
    return tensor if like is None else tensor.to(like.device)


def conditions(model: Model, condition: Any, rows: int | None = None) -> Tensor | None:
    """What the model is conditioned on, as many rows of it as there are samples; None of a model that takes none.

    Raises:
        ValueError: missing, not taken, or of another batch size.
    """
    if isinstance(model, VAE):
        if condition is not None:
            raise ValueError(f"condition: got a value with a {type(model).__name__}; takes None")
        return None
    if condition is None:
        raise ValueError(f"condition: got None with a {type(model).__name__}; takes a tensor, [batch, ...]")
    placed_condition = placed(model, "condition", condition)
    if rows is not None and len(placed_condition) != rows:
        raise ValueError(f"condition: got {len(placed_condition)} rows; takes {rows}, one for each sample")
    return placed_condition


def posteriors(model: Model, x: Tensor, condition: Tensor | None) -> list[DiagonalGaussian]:
    """q(z | x), or q(z | condition, x), batch by batch.

    Raises:
        ValueError: the model's objective trains no recognition network.
    """
    if isinstance(model, VAE):
        return [model.encode(part) for part in x.split(_BATCH)]
    if model.objective == "gsnn":
        raise ValueError("model: got a CVAE with objective 'gsnn', which trains no recognition network; takes another")
    assert condition is not None
    parts = zip(x.split(_BATCH), condition.split(_BATCH), strict=True)
    return [model.encode(part, given) for part, given in parts]


def kl_per_dimension(model: Model, found: Sequence[DiagonalGaussian], condition: Tensor | None) -> Array:
    """The KL of each dimension, or channel, to the prior, N(0, I) or a CVAE's own: nats, the mean over samples."""
    learned = isinstance(model, CVAE) and model.prior is not None
    priors: Sequence[DiagonalGaussian | None] = [None] * len(found)
    if learned and condition is not None and isinstance(model, CVAE):
        priors = [model.encode_prior(part) for part in condition.split(_BATCH)]
    kls = [
        posterior.kl(prior, reduction="none").flatten(2).sum(2) if posterior.mean.dim() > 2 else
        posterior.kl(prior, reduction="none")
        for posterior, prior in zip(found, priors, strict=True)
    ]  # fmt: skip
    mean: Array = torch.cat(kls).double().mean(0).cpu().numpy()
    return mean


def origin(model: Model, condition: Tensor | None) -> Tensor:
    """The mean of one sample's prior: 0 where it is N(0, I) or a mixture."""
    if isinstance(model, CVAE):
        assert condition is not None
        return model.encode_prior(condition[:1]).mean[0]
    return model._standard_normal(1).mean[0]


def unit(model: Model) -> str:
    """What values of the latent are counted in; nothing where its prior has no deviation of one."""
    return UNIT if model.prior is None else ""


def pictured(
    name: str, values: Any, lead: int, across: int, shape: Sequence[int] | None, value_range: ValueRange
) -> Array:
    """Samples as an array of images, see `arrays`.

    Args:
        name: what they are, for errors.
        values: ``[..., channels, height, width]``, ``[..., height, width]``, or flat with a `shape`; uint8, or numbers
            from black to white. Channels that are neither grey nor a colour are drawn side by side.
        lead: how many dimensions come before a sample's own.
        across: how many images are side by side, see `arrays.shrunk`.
        shape: of a flat sample.
        value_range: what is black and what is white.

    Raises:
        ValueError: no images, or a `shape` that is not theirs.
    """
    low, high = value_range
    if not low < high:
        raise ValueError(f"value_range: got {value_range}; takes (black, white), black below white")
    sample = tuple(values.shape[lead:])
    if shape is not None and len(sample) == 1:
        if math.prod(shape) != sample[0] or len(shape) not in (2, 3):
            raise ValueError(f"shape: got {tuple(shape)} for {name} of {sample[0]} values; takes the shape of an image")
        values = values.unflatten(-1, tuple(shape))
    if values.dim() == lead + 2:
        values = values.unsqueeze(-3)
    if values.dim() != lead + 3:
        raise ValueError(
            f"{name}: got samples of shape {sample}; takes images, (channels, height, width), or flat ones with shape="
        )
    if values.dtype != torch.uint8:
        values = ((values.float() - low) / (high - low)).clamp(0, 1)
    if values.shape[-3] not in _COLOURED:
        values = values.movedim(-3, -2).flatten(-2).unsqueeze(-3)
    return arrays.images(arrays.shrunk(values, across))
