"""The mutual information gap (Chen et al. 2018, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
import torch.nn.functional as T
from torch import Tensor

from fastvae import DiagonalGaussian

# Of 12,000 float32 densities each: rows that stay in cache.
_CHUNK: Final = 50


def mutual_information(
    posterior: DiagonalGaussian, factors: Tensor, *, num_samples: int | None = None, seed: int = 0
) -> Tensor:
    """I(z_j; v_k) between each dimension of the latent and each factor, in nats, float32 ``[dimensions, factors]``.

    The mean over a sample z of q(z | x_n), for each of some x_n, of log q(z_j | v_k) - log q(z_j), where q(z_j) is the
    mean of the densities of all N posteriors, and q(z_j | v_k) of those whose factor k has the value it has in x_n.

    Args:
        posterior: q(z | x) of all data, ``[N, dimensions]``.
        factors: the index of each factor's value, int64 ``[N, factors]``, every combination once.
        num_samples: how many x_n, drawn at random; None takes all. The densities are always over all data.
        seed: of what is drawn.
    """
    order = torch.randperm(len(factors), generator=torch.Generator().manual_seed(seed))[:num_samples]
    z = posterior.sample(seed=seed)[order]
    z, mu, std = (values.T.contiguous() for values in (z, posterior.mu, posterior.std))
    return torch.stack([_of_one(z[j], mu[j], std[j], factors, factors[order]) for j in range(len(z))])


def _of_one(z: Tensor, mu: Tensor, std: Tensor, factors: Tensor, of_z: Tensor) -> Tensor:
    """A row of `mutual_information`; `of_z` are the factors of the x_n that the samples are of."""
    values = [T.one_hot(column).to(z.dtype) for column in factors.T]
    means = torch.cat([members / members.sum(0) for members in values], 1)
    ratios = []
    for points, chosen in zip(z.split(_CHUNK), of_z.split(_CHUNK), strict=True):
        log_density = -0.5 * ((points[:, None] - mu) / std) ** 2 - std.log()
        # The constant of the normal density and the row's maximum cancel in the ratio.
        density = (log_density - log_density.amax(1, keepdim=True)).exp()
        conditional = (density @ means).split([members.shape[1] for members in values], 1)
        of_value = [part.gather(1, index[:, None]) for part, index in zip(conditional, chosen.T, strict=True)]
        ratios.append(torch.cat(of_value, 1).log() - density.mean(1, keepdim=True).log())
    return torch.cat(ratios).mean(0)


def gaps(information: Tensor, factors: Tensor) -> Tensor:
    """The gap of each factor, ``[factors]``: the information of the best dimension less that of the second best.

    Divided by the factor's entropy, so that 1 is a factor that one dimension knows and no other knows anything of.
    """
    first, second = information.topk(2, dim=0).values
    entropies = torch.stack(list(_entropies(factors)))
    return torch.div(first - second, entropies)


def _entropies(factors: Tensor) -> Iterator[Tensor]:
    for column in factors.T:
        share = column.bincount() / len(column)
        yield -torch.xlogy(share, share).sum()
