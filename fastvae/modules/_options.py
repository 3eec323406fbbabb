"""The options of a model: those of its objective and those of its Gaussians, given together and told apart here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from fastvae._gaussian_options import GaussianKeywords
from fastvae.losses import ELBOLoss
from fastvae.losses._options import ObjectiveKeywords


class ObjectiveAndGaussian(ObjectiveKeywords, GaussianKeywords, total=False):
    """What a model passes on."""


class ModelKeywords(ObjectiveAndGaussian, total=False):
    """The keywords of every model, see `LatentVariableModel`."""

    loss: ELBOLoss | None
    latent_shape: int | Sequence[int] | None


def told_apart(model: str, options: ObjectiveAndGaussian) -> tuple[ObjectiveKeywords, GaussianKeywords]:
    """The options of the objective and those of the Gaussians.

    Raises:
        TypeError: another option, in Python's words for the constructor of `model`.
    """
    objective, gaussian = (
        {name: value for name, value in options.items() if name in keywords.__optional_keys__}
        for keywords in (ObjectiveKeywords, GaussianKeywords)
    )
    for name in options.keys() - objective.keys() - gaussian.keys():
        raise TypeError(f"{model}.__init__() got an unexpected keyword argument {name!r}")
    return cast(ObjectiveKeywords, objective), cast(GaussianKeywords, gaussian)


def objective(loss: ELBOLoss | None, options: ObjectiveKeywords) -> ELBOLoss:
    """`loss`, or the one that `options` describe.

    Raises:
        TypeError, ValueError: both, or a loss that no model takes.
    """
    if loss is None:
        loss = ELBOLoss(**options)
    elif not isinstance(loss, ELBOLoss):
        raise TypeError(f"loss: got {type(loss).__name__}; takes a fastvae.ELBOLoss")
    elif options:
        raise ValueError(f"{', '.join(options)}: got a value beside loss=; takes one there, fastvae.ELBOLoss(...)")
    if loss.convention.kl_estimator == "masked":
        raise ValueError(
            f"preset: got {loss.preset!r}, whose KL needs a flow and a mask; takes another. Use "
            f"fastvae.ELBOLoss(preset={loss.preset!r})"
        )
    return loss


def latent_shape(value: int | Sequence[int] | None) -> tuple[int, ...] | None:
    """The shape of one sample's latent as a tuple."""
    if value is None:
        return None
    shape = (value,) if isinstance(value, int) else tuple(value)
    if not all(isinstance(size, int) and size >= 1 for size in shape):
        raise ValueError(f"latent_shape: got {value!r}; takes positive ints, the shape of one sample's latent")
    return shape
