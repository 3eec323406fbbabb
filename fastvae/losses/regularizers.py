"""What DIP-VAE and InfoVAE add to the negative ELBO, in plain PyTorch.

Both are a matrix product and a few passes over ``[batch, batch]`` or ``[dimension, dimension]``: nothing a fused kernel
would gain much on.

    output = model(x)
    loss = output.loss + mmd(output.z)
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from fastvae._describe import describe, named
from fastvae.losses._options import non_negative, one_of

DIP_KINDS: Final = ("i", "ii")
KERNELS: Final = ("imq", "rbf")


class DIP(nn.Module):
    """How far the covariance of the aggregate posterior is from the identity (Kumar et al. 2018, equations 6 and 7).

    ``off_diagonal * sum_{i != j} C_ij^2 + diagonal * sum_i (C_ii - 1)^2``, C being the covariance over the batch of the
    posterior means (``"i"``), or that plus the mean of the posteriors' own variances (``"ii"``).

    Args:
        kind: ``"i"`` or ``"ii"``.
        off_diagonal, diagonal: the two weights; the paper's for ``"i"`` has a diagonal of 10 times the other.

    Raises:
        ValueError: an unknown kind, or a weight below 0.

    Examples:
        >>> output_mu = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # two dimensions that say the same
        >>> fastvae.losses.DIP("i", off_diagonal=10.0, diagonal=100.0)(output_mu)  # 10 * (1 + 1) + 100 * 0
        tensor(20.)
    """

    def __init__(self, kind: str = "i", *, off_diagonal: float = 10.0, diagonal: float = 100.0) -> None:
        super().__init__()
        one_of("kind", kind, DIP_KINDS)
        self.kind = kind
        self.off_diagonal = non_negative("off_diagonal", off_diagonal)
        self.diagonal = non_negative("diagonal", diagonal)

    def forward(self, mu: Tensor, variance: Tensor | None = None) -> Tensor:
        """The regularizer, a scalar.

        Args:
            mu: posterior means, ``[batch, ...]``.
            variance: of the posteriors, in the shape of `mu`, for ``"ii"`` and only there.

        Returns:
            A scalar, float32 or wider.

        Raises:
            ValueError: a variance with ``"i"``, or none with ``"ii"``.
        """
        if (variance is None) != (self.kind == "i"):
            taken = "None" if self.kind == "i" else "the posteriors' variances"
            raise ValueError(f"variance: got {describe(variance)} with kind={self.kind!r}; takes {taken}")
        means = mu.flatten(1).to(torch.promote_types(mu.dtype, torch.float32))
        centred = means - means.mean(0)
        covariance = centred.T @ centred / len(means)
        if variance is not None:
            covariance = covariance + variance.flatten(1).to(means.dtype).mean(0).diag()
        on = covariance.diagonal()
        off_squares = covariance.square().sum() - on.square().sum()
        return self.off_diagonal * off_squares + self.diagonal * (on - 1).square().sum()

    def extra_repr(self) -> str:
        """The options, for `repr`."""
        return named({"kind": self.kind, "off_diagonal": self.off_diagonal, "diagonal": self.diagonal})


class MMD(nn.Module):
    """The maximum mean discrepancy of the latents from N(0, I) (Zhao et al. 2017, section 3.2.2).

    ``weight * (E k(z, z') - 2 E k(z, p) + E k(p, p'))``, the unbiased estimate over a batch of latents z and as many
    draws p from the prior. With a latent of D dimensions, the kernel of a distance r is ``C / (C + r^2)`` (``"imq"``)
    or ``exp(-r^2 / C)`` (``"rbf"``), C = 2 D bandwidth^2.

    Args:
        kernel: ``"imq"`` or ``"rbf"``.
        bandwidth: in standard deviations of the prior.
        weight: multiplies it: lambda + alpha - 1 of the paper.

    Raises:
        ValueError: an unknown kernel, or a bandwidth or weight out of its range.

    Examples:
        >>> z = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
        >>> mmd = fastvae.losses.MMD()
        >>> near = mmd(z, generator=torch.Generator().manual_seed(1))
        >>> far = mmd(z + 1, generator=torch.Generator().manual_seed(1))
        >>> bool(near.abs() < 0.01), bool(far > 0.1)
        (True, True)
    """

    def __init__(self, kernel: str = "imq", *, bandwidth: float = 1.0, weight: float = 1.0) -> None:
        super().__init__()
        one_of("kernel", kernel, KERNELS)
        if not non_negative("bandwidth", bandwidth):
            raise ValueError(f"bandwidth: got {bandwidth!r}; takes a number greater than 0")
        self.kernel = kernel
        self.bandwidth = float(bandwidth)
        self.weight = non_negative("weight", weight)

    def forward(self, z: Tensor, *, prior: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """The regularizer, a scalar.

        Args:
            z: latents, ``[batch, ...]``, two or more.
            prior: draws from the prior in the shape of `z`; None draws them from N(0, I).
            generator: of these draws; None for torch's default one.

        Returns:
            A scalar, float32 or wider; an unbiased estimate, which may be below 0.

        Raises:
            ValueError: a batch of less than 2, or a `z` without a batch.
        """
        if z.dim() < 2 or len(z) < 2:
            raise ValueError(f"z: got {describe(z)}; takes [batch, ...], a batch of at least 2")
        latents = z.flatten(1).to(torch.promote_types(z.dtype, torch.float32))
        if prior is None:
            prior = torch.randn(latents.shape, dtype=latents.dtype, device=z.device, generator=generator)
        draws = prior.reshape(latents.shape).to(latents.dtype)
        within = self._off_diagonal_mean(latents) + self._off_diagonal_mean(draws)
        return self.weight * (within - 2 * self._similarity(latents, draws).mean())

    def _similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """k of all pairs, ``[len(a), len(b)]``: the squared distances by one matrix product."""
        scale = 2 * a.shape[1] * self.bandwidth**2
        distance = torch.addmm(a.square().sum(1, keepdim=True) + b.square().sum(1), a, b.T, alpha=-2).clamp(min=0)
        return scale / (scale + distance) if self.kernel == "imq" else torch.exp(-distance / scale)

    def _off_diagonal_mean(self, a: Tensor) -> Tensor:
        """The mean over pairs of different rows: k of a row with itself is 1."""
        count = len(a)
        return (self._similarity(a, a).sum() - count) / (count * (count - 1))

    def extra_repr(self) -> str:
        """The options, for `repr`."""
        return named({"kernel": self.kernel, "bandwidth": self.bandwidth, "weight": self.weight})
