"""Cells of known types and the counts of their genes, as single-cell sequencing reads them."""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

TYPES: Final = 8
_FAMILIES: Final = 4
# Of the genes: those in which a family differs from the others, and a type from its family.
_FAMILY_SHARE: Final = 0.1
_TYPE_SHARE: Final = 0.05
# Molecules of a cell: the median, and the standard deviation of the logarithm.
_LIBRARY: Final = 1500.0
_LIBRARY_SPREAD: Final = 0.4
_MEAN_DISPERSION: Final = 2.0
# The probability that a count is lost, between genes.
DROPOUT: Final = (0.05, 0.35)


class Cells(NamedTuple):
    """Simulated cells.

    Attributes:
        counts: float32 whole numbers, ``[cells, genes]``.
        types: of each cell, int64 ``[cells]``, from 0 to 7. Types 2 k and 2 k + 1 are of one family and much alike.
        means: what a count is on average before dropout, ``[cells, genes]``.
        inverse_dispersion: theta of each gene, ``[genes]``: a count's variance is m + m^2 / theta before dropout.
        dropout: the probability that a gene's count is lost and read as 0, ``[genes]``.
    """

    counts: Tensor
    types: Tensor
    means: Tensor
    inverse_dispersion: Tensor
    dropout: Tensor


def simulate(cells: int = 5000, genes: int = 1200, *, seed: int = 0) -> Cells:
    """Cells of eight types of unequal abundance.

    Each gene has an abundance, log-normal over genes, that some families and some types change. A cell reads, on
    average, a log-normal number of molecules; each count is negative binomial around its gene's share of them, with a
    dispersion of the gene's own, and is lost with a probability of the gene's own.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    family = 1.2 * normal(_FAMILIES, genes) * (uniform(_FAMILIES, genes) < _FAMILY_SHARE)
    subtype = normal(TYPES, genes) * (uniform(TYPES, genes) < _TYPE_SHARE)
    abundance = 1.2 * normal(genes) + family.repeat_interleave(TYPES // _FAMILIES, 0) + subtype
    types = torch.multinomial(torch.linspace(1, 3, TYPES), cells, replacement=True, generator=generator)
    library = _LIBRARY * (_LIBRARY_SPREAD * normal(cells, 1)).exp()
    means = library * torch.softmax(abundance, 1)[types]
    theta = _MEAN_DISPERSION * (0.5 * normal(genes)).exp()
    low, high = DROPOUT
    dropout = low + (high - low) * uniform(genes)
    rates = torch._standard_gamma(theta.expand_as(means).contiguous(), generator=generator) * means / theta
    counts = torch.poisson(rates, generator=generator) * (uniform(cells, genes) >= dropout)
    return Cells(counts, types, means, theta, dropout)
