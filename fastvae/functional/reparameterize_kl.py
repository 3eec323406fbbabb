"""Reparameterized sampling and the KL of two diagonal Gaussians, apart or in one pass over the inputs."""

from __future__ import annotations

import torch
from torch import Tensor

from fastvae import _checks
from fastvae._autograd.reparameterize_kl import ReparameterizeKl, ReparameterizeKlPacked
from fastvae._layout import unpacked_shape
from fastvae._noise import noise
from fastvae._options import Packing, PosteriorOptions, scale_form
from fastvae.functional._dispatch import use_reference


def reparameterize(
    mu: Tensor,
    scale: Tensor,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    eps: Tensor | None = None,
    seed: int | Tensor | None = None,
    generator: torch.Generator | None = None,
    shard: tuple[int, int] | None = None,
    num_samples: int | None = None,
) -> Tensor:
    """z = mu + sigma * eps, eps ~ N(0, I) (Kingma & Welling 2014, section 2.4).

    Equivalent to ``mu + torch.exp(0.5 * scale) * torch.randn_like(mu)`` with the default parameterization; eps is
    regenerated in backward instead of being stored.

    Args:
        mu: means, ``[batch, ...]``.
        scale: raw scales, the shape and dtype of `mu`; what they mean is said by `parameterization`.
        parameterization: ``"logvar"``, ``"log_std"``, ``"std"`` (any sign), ``"softplus"`` (sigma = softplus(scale))
            or ``"variance"``.
        clamp: ``(low, high)`` applied to the raw scale as `torch.clamp` does, gradients included, except that the
            gradient at NaN is NaN, not 0.
        min_std, min_var: floors, added to sigma and to sigma^2. At most one of the two is not 0.
        eps: your own noise, in the shape of the result, a constant.
        seed: an int or a one-element int64 tensor on the device of `mu`: the same eps bit for bit on every device, and
            in every row under `torch.func.vmap`, unless the seeds are batched too.
        generator: a `torch.Generator` to draw the seed from. Without eps, seed and generator, torch's default one.
        shard: ``(start, total)``: these are the rows start .. start + batch of a batch of `total`, and get the eps that
            those have there, where every process has the same seed, or a generator in the same state. None: they are
            all, (0, batch). Not with eps.
        num_samples: K samples of each posterior.

    Returns:
        ``[batch, ...]``, or ``[num_samples, batch, ...]``, in the dtype of `mu`. Gradients reach `mu` and `scale`.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, an option out of its range, or
            more than one source of noise.

    Examples:
        >>> mu, logvar = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.0, -2.0, -8.0]])
        >>> eps = torch.tensor([[1.0, -1.0, 0.5]])
        >>> F.reparameterize(mu, logvar, eps=eps)
        tensor([[1.0000, 0.6321, 2.0092]])
        >>> mu + torch.exp(0.5 * logvar) * eps
        tensor([[1.0000, 0.6321, 2.0092]])
        >>> z = F.reparameterize(mu, logvar, seed=0, num_samples=5)  # noise of fastvae's own: the same on every device
        >>> z.shape, torch.equal(z, F.reparameterize(mu, logvar, seed=0, num_samples=5))
        (torch.Size([5, 1, 3]), True)
    """
    _checks.posterior(mu, scale)
    form = scale_form(parameterization, clamp, min_std, min_var)
    to_reference = use_reference("mu", mu)
    eps, drawn, shard = noise(
        mu, mu.shape, eps=eps, seed=seed, generator=generator, num_samples=num_samples, shard=shard
    )
    if to_reference:
        from fastvae import reference

        return reference.reparameterize(
            mu, scale, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var, eps=eps,
            seed=drawn, shard=shard, num_samples=num_samples,
        )  # fmt: skip
    options = PosteriorOptions(num_samples, form, None, 1, shard)
    z, _ = ReparameterizeKl.apply(mu, scale, None, None, eps, drawn, options)
    assert z is not None
    return z


def gaussian_kl(
    mu: Tensor,
    scale: Tensor,
    prior: tuple[Tensor, Tensor] | None = None,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    """KL(N(mu, sigma^2) || prior), analytic, accurate near the prior (Kingma & Welling 2014, appendix B).

    Equivalent to ``0.5 * (mu**2 + scale.exp() - 1 - scale).sum() / batch`` with the default options, without its
    cancellation where the posterior nears the prior.

    Args:
        mu, scale, parameterization, clamp, min_std, min_var: the posterior, as in `reparameterize`.
        prior: None for N(0, I), or ``(mu_p, scale_p)``, each of a shape that broadcasts to that of `mu`, its scale
            under the same parameterization, clamp and floor. Gradients reach all four tensors.
        reduction, batch_dims: see `fastvae.functional`.

    Returns:
        The KL in nats: a scalar, ``[batch]`` for ``"sample"``, the shape of `mu` for ``"none"``.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, or an option out of its range.

    Examples:
        >>> mu, logvar = torch.tensor([[1.0, -1.0], [0.0, 0.5]]), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
        >>> F.gaussian_kl(mu, logvar)
        tensor(0.8340)
        >>> 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum() / 2
        tensor(0.8340)
        >>> F.gaussian_kl(mu, logvar, reduction="sample")  # nats a sample
        tensor([1.3591, 0.3089])
        >>> F.gaussian_kl(mu, logvar, prior=(mu, logvar))  # to itself
        tensor(0.)
        >>> near, logvar = torch.full((1, 1), 1e-4), torch.zeros(1, 1)  # near the prior the formula loses its digits
        >>> F.gaussian_kl(near, logvar), 0.5 * (near**2 + logvar.exp() - 1 - logvar).sum()
        (tensor(5.0000e-09), tensor(0.))
    """
    _checks.posterior(mu, scale)
    _checks.reduction(reduction)
    _checks.batch_dims(batch_dims, mu)
    mu_p, scale_p = _checks.prior(prior, mu, mu.shape)
    form = scale_form(parameterization, clamp, min_std, min_var)
    if use_reference("mu", mu):
        from fastvae import reference

        return reference.gaussian_kl(
            mu, scale, prior, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
            reduction=reduction, batch_dims=batch_dims,
        )  # fmt: skip
    options = PosteriorOptions(None, form, reduction, batch_dims)
    _, kl = ReparameterizeKl.apply(mu, scale, mu_p, scale_p, None, None, options)
    assert kl is not None
    return kl


def reparameterize_kl(
    mu: Tensor,
    scale: Tensor,
    prior: tuple[Tensor, Tensor] | None = None,
    *,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    eps: Tensor | None = None,
    seed: int | Tensor | None = None,
    generator: torch.Generator | None = None,
    shard: tuple[int, int] | None = None,
    num_samples: int | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> tuple[Tensor, Tensor]:
    """`reparameterize` and `gaussian_kl` in one pass over the inputs; their options and results.

    Args:
        mu, scale, parameterization, clamp, min_std, min_var: the posterior, as in `reparameterize`.
        prior, reduction, batch_dims: of the KL, as in `gaussian_kl`.
        eps, seed, generator, shard, num_samples: of the sample, as in `reparameterize`.

    Returns:
        ``(z, kl)``: the sample, ``[batch, ...]`` or ``[num_samples, batch, ...]``, and the KL in nats, in the shape
        that `reduction` says.

    Raises:
        TypeError, ValueError: as of these two.

    Examples:
        >>> mu, logvar = torch.ones(64, 20), torch.zeros(64, 20)
        >>> z, kl = F.reparameterize_kl(mu, logvar, seed=0)
        >>> z.shape, kl
        (torch.Size([64, 20]), tensor(10.))
        >>> torch.equal(z, F.reparameterize(mu, logvar, seed=0)), torch.equal(kl, F.gaussian_kl(mu, logvar))
        (True, True)
    """
    _checks.posterior(mu, scale)
    _checks.reduction(reduction)
    _checks.batch_dims(batch_dims, mu)
    mu_p, scale_p = _checks.prior(prior, mu, mu.shape)
    form = scale_form(parameterization, clamp, min_std, min_var)
    to_reference = use_reference("mu", mu)
    eps, drawn, shard = noise(
        mu, mu.shape, eps=eps, seed=seed, generator=generator, num_samples=num_samples, shard=shard
    )
    if to_reference:
        from fastvae import reference

        return reference.reparameterize_kl(
            mu, scale, prior, parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var,
            eps=eps, seed=drawn, shard=shard, num_samples=num_samples, reduction=reduction, batch_dims=batch_dims,
        )  # fmt: skip
    options = PosteriorOptions(num_samples, form, reduction, batch_dims, shard)
    z, kl = ReparameterizeKl.apply(mu, scale, mu_p, scale_p, eps, drawn, options)
    assert z is not None
    assert kl is not None
    return z, kl


def reparameterize_kl_packed(
    moments: Tensor,
    prior: tuple[Tensor, Tensor] | None = None,
    *,
    dim: int = 1,
    interleaved: bool = False,
    parameterization: str = "logvar",
    clamp: tuple[float, float] | None = None,
    min_std: float = 0.0,
    min_var: float = 0.0,
    eps: Tensor | None = None,
    seed: int | Tensor | None = None,
    generator: torch.Generator | None = None,
    shard: tuple[int, int] | None = None,
    num_samples: int | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> tuple[Tensor, Tensor]:
    """`reparameterize_kl` on an encoder's single output, whose gradient is written packed, with no concatenation.

    Equivalent to ``reparameterize_kl(*moments.chunk(2, dim))``.

    Args:
        moments: ``[batch, ...]`` with mu and scale packed along `dim`, whose size 2D is even.
        prior: as in `gaussian_kl`, for the unpacked shape.
        dim: the packed dimension, never the batch.
        interleaved: mu and scale alternate along `dim` instead of being its two halves.
        parameterization, clamp, min_std, min_var, eps, seed, generator, shard, num_samples: as in `reparameterize`.
        reduction, batch_dims: as in `gaussian_kl`.

    Returns:
        ``(z, kl)``, z in the unpacked shape, the KL in nats.

    Raises:
        TypeError, ValueError: as of `reparameterize_kl`, or a `dim` that is the batch or of an odd size.

    Examples:
        >>> encoder, x = torch.nn.Linear(784, 2 * 20), torch.rand(64, 784)
        >>> moments = encoder(x)
        >>> z, kl = F.reparameterize_kl_packed(moments, seed=0)
        >>> z.shape, kl.shape
        (torch.Size([64, 20]), torch.Size([]))
        >>> expected, _ = F.reparameterize_kl(*moments.chunk(2, dim=1), seed=0)
        >>> torch.equal(z, expected)
        True
    """
    axis = _checks.packed(moments, dim)
    _checks.flag("interleaved", interleaved)
    _checks.reduction(reduction)
    shape = unpacked_shape(moments, axis)
    _checks.batch_dims(batch_dims, moments)
    mu_p, scale_p = _checks.prior(prior, moments, shape)
    form = scale_form(parameterization, clamp, min_std, min_var)
    to_reference = use_reference("moments", moments)
    eps, drawn, shard = noise(
        moments, shape, eps=eps, seed=seed, generator=generator, num_samples=num_samples, shard=shard
    )
    if to_reference:
        from fastvae import reference

        return reference.reparameterize_kl_packed(
            moments, prior, dim=dim, interleaved=interleaved, parameterization=parameterization, clamp=clamp,
            min_std=min_std, min_var=min_var, eps=eps, seed=drawn, shard=shard, num_samples=num_samples,
            reduction=reduction, batch_dims=batch_dims,
        )  # fmt: skip
    packing, options = Packing(axis, interleaved), PosteriorOptions(num_samples, form, reduction, batch_dims, shard)
    z, kl = ReparameterizeKlPacked.apply(moments, mu_p, scale_p, eps, drawn, packing, options)
    assert z is not None
    assert kl is not None
    return z, kl
