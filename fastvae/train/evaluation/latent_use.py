"""Which dimensions of a latent a model uses: active units and posterior collapse.

Active units (Burda, Grosse & Salakhutdinov 2016, section 5.2): dimension d is active where its posterior mean varies
with the image,

    A_d = Var_x(E_q(z|x)[z_d]) > 0.01,

the variance being that over the images (divided by their number). Posterior collapse (Bowman et al. 2016; He et al.
2019): the posterior equals the prior in dimension d whatever the image, seen in

    KL_d = E_x[KL(q(z_d|x) || p(z_d))] < 0.01 nats.

The KL_d add up to the analytic KL of the ELBO, and KL_d >= I(x; z_d): it bounds what the dimension tells about the
image. A dimension may be neither active nor collapsed, with a posterior that differs from the prior and not by image.

Of a spatial latent, ``[D, h, w]``, a channel stands for a dimension: its A_d is the mean over its positions, its KL_d
the sum over them, so that the KL_d add up as before, and it has collapsed where that is below 0.01 nats a position.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import torch

from fastvae import CVAE, VAE
from fastvae.distributions import DiagonalGaussian, Prior
from fastvae.train.data.datasets import Split
from fastvae.train.models.build import Model, conditioning
from fastvae.train.models.conditional import Baseline
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import MIXTURES

ACTIVE_VARIANCE: Final = 0.01  # of the posterior mean, in units of z squared: the threshold of Burda et al.
COLLAPSED_KL: Final = 0.01  # nats
_NAMED: Final = 50  # collapsed dimensions, at most, in a line


class LatentUse(NamedTuple):
    """One value a dimension of the latent, or a channel of a spatial one, counted from 0.

    Attributes:
        kl_per_dimension: KL_d, in nats, averaged over images.
        mean_variance_per_dimension: A_d, the variance over images of the posterior mean.
        positions: in a channel; 1 where the latent is a vector.
    """

    kl_per_dimension: list[float]
    mean_variance_per_dimension: list[float]
    positions: int = 1

    @property
    def active_units(self) -> int:
        """How many dimensions have a posterior mean that varies by more than `ACTIVE_VARIANCE`."""
        return sum(variance > ACTIVE_VARIANCE for variance in self.mean_variance_per_dimension)

    @property
    def collapsed(self) -> list[int]:
        """The dimensions with a KL below `COLLAPSED_KL` a position."""
        return [dimension for dimension, kl in enumerate(self.kl_per_dimension) if kl / self.positions < COLLAPSED_KL]

    @property
    def collapsed_share(self) -> float:
        """The share of the KL in the collapsed dimensions; 1 where there is no KL at all."""
        total = sum(self.kl_per_dimension)
        return sum(self.kl_per_dimension[dimension] for dimension in self.collapsed) / total if total else 1.0

    def as_dict(self) -> dict[str, Any]:
        """What `evaluation.json` gets."""
        return {
            "active_units": self.active_units,
            "latent_dim": len(self.kl_per_dimension),
            **self._asdict(),
            "collapsed": self.collapsed,
            "collapsed_share": self.collapsed_share,
        }

    def __str__(self) -> str:
        count, collapsed = len(self.kl_per_dimension), self.collapsed
        unit, dimension = ("unit", "dimension") if self.positions == 1 else ("channel", "channel")
        named = f"{dimension}{'s' * (len(collapsed) > 1)} {', '.join(map(str, collapsed))}, "
        which = (
            f"{len(collapsed)} collapsed ({named * (len(collapsed) <= _NAMED)}with {_percent(self.collapsed_share)} of "
            "the KL)"
            if collapsed
            else "none collapsed"
        )
        return (
            f"{self.active_units} of {count} {unit}{'s' * (count > 1)} active; {which}; KL per {dimension} "
            f"{min(self.kl_per_dimension):.2f} to {max(self.kl_per_dimension):.2f} nats"
        )


def _percent(share: float) -> str:
    """With two decimals at most."""
    return f"{f'{100 * share:.2f}'.rstrip('0').rstrip('.')} %"


@torch.no_grad()
def measure(batches: Iterable[tuple[DiagonalGaussian, Prior]]) -> LatentUse:
    """How the latent is used over all images of `batches`, each of at least one image.

    Batches are merged in float64 by the update of Chan, Golub & LeVeque (1983): one pass, so that every image is
    encoded once and `batches` may be a generator, and without the difference of large sums in E[m^2] - E[m]^2.

    Args:
        batches: the posterior of each batch, over ``[batch, D]`` or ``[batch, D, ...]``, with the prior that its KL is
            taken against, as in `DiagonalGaussian.kl`: None for N(0, I), or a learned one.

    Raises:
        ValueError: no batches.
    """
    count, shape = 0, torch.Size()
    mean = squares = kl = torch.zeros((), dtype=torch.float64)
    for posterior, prior in batches:
        shape = posterior.mean.shape[1:]
        means = posterior.mean.flatten(1).double()
        centre, size = means.mean(0), len(means)
        shift = centre - mean
        squares = squares + (means - centre).square().sum(0) + shift.square() * (count * size / (count + size))
        mean = mean + shift * (size / (count + size))
        kl = kl + posterior.kl(prior, reduction="none").flatten(1).double().sum(0)
        count += size
    if not count:
        raise ValueError("batches: got none; takes at least one")
    kl, variances = ((sums / count).view(shape[0], -1) for sums in (kl, squares))
    return LatentUse(kl.sum(1).tolist(), variances.mean(1).tolist(), math.prod(shape[1:]))


def posteriors(model: VAE | CVAE, config: Config, split: Split) -> Iterator[tuple[DiagonalGaussian, Prior]]:
    """q(z | x), or q(z | condition, target), of each batch, and its prior."""
    for images, labels in split.batches():
        if isinstance(model, VAE):
            yield model.encode(images), None
        else:
            condition, target = conditioning(config).to(images.device)(images, labels)
            yield model.encode(target, condition), None if model.prior is None else model.encode_prior(condition)


@torch.no_grad()
def measured(model: Model, config: Config, split: Split) -> LatentUse | None:
    """How a run's model uses its latent: by the analytic KL, whichever estimator the objective has.

    None where no posterior was trained: a GSNN draws from its prior, and a baseline has no latent. And under a mixture,
    to which the KL has no parts by dimension.
    """
    if isinstance(model, Baseline) or config.objective == "gsnn" or config.prior in MIXTURES:
        return None
    model.eval()
    return measure(posteriors(model, config, split))
