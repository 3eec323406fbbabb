"""Options every level shares: what a scale tensor means, how a loss is reduced, and the options of each op.

An op takes its tensors one by one and its options as one of these tuples, from the public functions down to the
kernels. `fastvae._schema` makes the dispatcher's signature of their annotations; `csrc/options.h` has the same structs,
and a test compares the names.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, NamedTuple

PARAMETERIZATIONS: Final = ("logvar", "log_std", "std", "softplus", "variance")
REDUCTIONS: Final = ("none", "sample", "sum", "mean", "batchmean")
WEIGHTINGS: Final = ("mws", "mss")


# In a saved program no bound is None: JSON has no infinity.
Lower = Annotated[float, -math.inf]
Upper = Annotated[float, math.inf]


class ScaleForm(NamedTuple):
    """How a raw scale tensor becomes sigma: ``sigma = form(clamp(raw, low, high))`` plus a floor.

    The floor is ``sigma + min_std`` or ``sqrt(sigma**2 + min_var)``; at most one of the two is positive.
    """

    parameterization: str
    low: Lower
    high: Upper
    min_std: float
    min_var: float

    @property
    def clamped(self) -> bool:
        return not (self.low == -math.inf and self.high == math.inf)


class PosteriorOptions(NamedTuple):
    """Of `reparameterize_kl` and its packed form. Without a reduction there is no KL.

    With a `shard` (start, total), row b has the noise of row start + b of a batch of `total`.
    """

    num_samples: int | None
    form: ScaleForm
    reduction: str | None
    batch_dims: int
    shard: tuple[int, int] | None = None


class Packing(NamedTuple):
    """Where mu and scale are in one tensor: two halves along `dim`, or its even and odd entries."""

    dim: int
    interleaved: bool


class ReconstructionOptions(NamedTuple):
    """Of the reconstruction losses: which one, whether with its constant, and how it is reduced."""

    loss: str
    full: bool
    reduction: str
    batch_dims: int


class DensityOptions(NamedTuple):
    """Of `log_normal`."""

    form: ScaleForm
    reduction: str
    batch_dims: int


class DiscretizedMixtureOptions(NamedTuple):
    """Of `discretized_logistic_mixture_nll`: `dim` is that of the channels, counted from the front."""

    num_mixtures: int
    dim: int
    bits: int
    reduction: str


class MinibatchOptions(NamedTuple):
    """Of `minibatch_log_densities`."""

    form: ScaleForm
    dataset_size: int
    weighting: str

    def log_weights(self, batch: int) -> tuple[float, float, float]:
        """log w_ij of most pairs, and how much more it is for j = i and for j = i + 1 (cyclically)."""
        if self.weighting == "mws":
            return -math.log(self.dataset_size * max(batch, 1)), 0.0, 0.0
        others, all_rows = batch - 1, self.dataset_size
        return -math.log(others), math.log(others / all_rows), math.log((all_rows - others) / all_rows)


class NegativeBinomialOptions(NamedTuple):
    """Of `negative_binomial_nll`: whether the mean comes as its logarithm, and how the loss is reduced."""

    log_input: bool
    reduction: str
    batch_dims: int


def real(*values: object) -> bool:
    """Are they numbers that a float can be?"""
    return all(isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**1023) for value in values)


def scale_form(
    parameterization: str,
    clamp: tuple[float, float] | None,
    min_std: float,
    min_var: float,
) -> ScaleForm:
    """Validate the scale options once, at the public surface.

    Raises:
        ValueError: an unknown parameterization, an empty clamp interval, a negative floor, both floors,
            or ``min_std`` with a signed ``"std"``.
    """
    known = isinstance(parameterization, str) and parameterization in _PLAIN
    if known and clamp is None and real(min_std, min_var) and min_std == 0 and min_var == 0:
        return _PLAIN[parameterization]
    if not known:
        raise ValueError(f"parameterization: got {parameterization!r}; takes one of {PARAMETERIZATIONS}")
    if clamp is None:
        low, high = -math.inf, math.inf
    else:
        if not (isinstance(clamp, (tuple, list)) and len(clamp) == 2 and real(*clamp) and clamp[0] <= clamp[1]):
            raise ValueError(f"clamp: got {clamp!r}; takes None or a pair (low, high) with low <= high")
        if clamp[0] == math.inf or clamp[1] == -math.inf:
            raise ValueError(f"clamp: got {clamp!r}; takes an interval with a finite number in it")
        low, high = float(clamp[0]), float(clamp[1])
    for name, floor in (("min_std", min_std), ("min_var", min_var)):
        if not real(floor) or not 0.0 <= floor < math.inf:
            raise ValueError(f"{name}: got {floor!r}; takes a finite number of at least 0")
    if min_std and min_var:
        raise ValueError(f"min_std, min_var: got {min_std!r} and {min_var!r}; takes at most one floor")
    if min_std and parameterization == "std":
        raise ValueError(
            f"min_std: got {min_std!r} with parameterization='std', whose scale may have any sign; takes min_var there"
        )
    return ScaleForm(parameterization, low, high, float(min_std), float(min_var))


_PLAIN: Final = {name: ScaleForm(name, -math.inf, math.inf, 0.0, 0.0) for name in PARAMETERIZATIONS}


def shard_of(shard: object, batch: int) -> tuple[int, int]:
    """Validate ``(start, total)``, the rows start .. start + batch of a batch of `total`; None is all of them.

    Raises:
        TypeError, ValueError: no pair of ints, or rows beyond the batch.
    """
    if shard is None:
        return 0, batch
    if not (
        isinstance(shard, (tuple, list))
        and len(shard) == 2
        and all(isinstance(value, int) and not isinstance(value, bool) for value in shard)
    ):
        raise TypeError(f"shard: got {shard!r}; takes None or a pair of ints (start, total)")
    start, total = shard
    if not (0 <= start <= total - batch and total < 2**63):
        raise ValueError(
            f"shard: got ({start}, {total}) with a batch of {batch}; takes (start, total), the first row and how many "
            f"the whole batch has, where 0 <= start and start + {batch} <= total < 2**63"
        )
    return start, total


def reduction_scale(reduction: str, count: int, batch: int) -> float:
    """The factor that turns a sum over everything into ``reduction``; 1 where nothing is averaged.

    An average over nothing is nan, as in torch, also of sums that rounding keeps from being 0.
    """
    divisor = {"mean": count, "batchmean": batch}.get(reduction, 1)
    return 1.0 / divisor if divisor else math.nan
