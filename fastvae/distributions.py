"""The diagonal Gaussian an encoder parameterizes.

Names

    DiagonalGaussian  the posterior, or a learned prior
    LatentPrior       what a prior of your own has
    Prior             type of a prior: one of the two, a pair ``(mu, scale)``, or None for N(0, I)
"""

from __future__ import annotations

from typing import Protocol, Unpack, runtime_checkable

import torch
from torch import Tensor

from fastvae import _checks
from fastvae import functional as F
from fastvae._describe import named
from fastvae._gaussian_options import GaussianOptions
from fastvae._keywords import DrawKeywords, ScaleKeywords, passes_on
from fastvae._layout import unpack
from fastvae._options import scale_form

__all__ = ["DiagonalGaussian", "LatentPrior", "Prior"]


@runtime_checkable
class LatentPrior(Protocol):
    """A prior of your own, to which the KL has no closed form: any module with these two methods.

    `fastvae.MixturePrior` and `VampPrior` are such priors. The KL is estimated at a sample: log q(z | x) - log p(z).

    Examples:
        >>> class Student(torch.nn.Module):  # heavier tails than a Gaussian's
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.each = torch.distributions.StudentT(5.0)
        ...     def log_prob(self, z):
        ...         return self.each.log_prob(z).sum(-1)
        ...     def sample(self, n, *, seed=None, generator=None):
        ...         return self.each.sample((n, 20))
        >>> isinstance(Student(), fastvae.distributions.LatentPrior)
        True
        >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784), prior=Student())
        >>> vae(torch.rand(64, 784)).kl.shape, vae.sample(16).shape
        (torch.Size([64]), torch.Size([16, 784]))
    """

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats.

        Args:
            z: latents, ``[batch, ...]``, or ``[num_samples, batch, ...]``.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``.
        """

    def sample(self, n: int, *, seed: int | Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Latents drawn from the prior, without gradient.

        Args:
            n: how many.
            seed, generator: where the noise comes from; torch's default generator without either.

        Returns:
            ``[n, ...]``.
        """


class DiagonalGaussian:
    """N(mu, diag(sigma^2)) over tensors ``[batch, ...]``: the posterior, or a learned prior.

    Equivalent to ``torch.distributions.Normal(mu, sigma)`` with per-sample sums, over fused kernels.

    Args:
        mu: means, ``[batch, ...]``.
        scale: raw scales, the shape and dtype of `mu`.
        parameterization, clamp, min_std, min_var: what `scale` means, see `fastvae.functional.reparameterize`.

    Attributes:
        mu, scale: the tensors given, views of the moments after `from_moments`.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, or an option out of its range.

    Examples:
        >>> mu, logvar = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, -2.0]])
        >>> posterior = fastvae.DiagonalGaussian(mu, logvar)
        >>> posterior
        DiagonalGaussian(shape=[1, 2], dtype=float32, device=cpu, parameterization='logvar')
        >>> torch.equal(posterior.mean, mu), torch.equal(posterior.mode(), mu), torch.equal(posterior.logvar, logvar)
        (True, True, True)
        >>> posterior.std, posterior.variance
        (tensor([[1.0000, 0.3679]]), tensor([[1.0000, 0.1353]]))
        >>> torch.equal(posterior.stddev, posterior.std), torch.equal(posterior.var, posterior.variance)  # other names
        (True, True)
        >>> torch_own = torch.distributions.Normal(mu, (0.5 * logvar).exp())
        >>> posterior.entropy(), torch_own.entropy().sum(1)
        (tensor([1.8379]), tensor([1.8379]))
    """

    def __init__(
        self,
        mu: Tensor,
        scale: Tensor,
        *,
        parameterization: str = "logvar",
        clamp: tuple[float, float] | None = None,
        min_std: float = 0.0,
        min_var: float = 0.0,
    ) -> None:
        _checks.posterior(mu, scale)
        self.mu = mu
        self.scale = scale
        self._form = scale_form(parameterization, clamp, min_std, min_var)
        self._options: ScaleKeywords = {
            "parameterization": parameterization, "clamp": clamp, "min_std": min_std, "min_var": min_var
        }  # fmt: skip
        self._packed: tuple[Tensor, int, bool] | None = None

    @classmethod
    @passes_on(__init__)
    def from_moments(
        cls, moments: Tensor, *, dim: int = 1, interleaved: bool = False, **scale: Unpack[ScaleKeywords]
    ) -> DiagonalGaussian:
        """The Gaussian whose mu and scale are packed along `dim`; `rsample_kl` writes the gradient packed.

        Args:
            moments: an encoder's single output, ``[batch, ...]`` with a size of 2D along `dim`.
            dim: the packed dimension, never the batch.
            interleaved: mu and scale alternate along `dim` instead of being its two halves.
            **scale: the options of `DiagonalGaussian`.

        Returns:
            The Gaussian, whose `mu` and `scale` are views of `moments`.

        Raises:
            TypeError, ValueError: as of `DiagonalGaussian`, or a `dim` that is the batch or of an odd size.

        Examples:
            >>> fastvae.DiagonalGaussian.from_moments(torch.zeros(16, 8, 32, 32))  # as diffusers' encoders return them
            DiagonalGaussian(shape=[16, 4, 32, 32], dtype=float32, device=cpu, parameterization='logvar')
        """
        axis = _checks.packed(moments, dim)
        gaussian = cls(*unpack(moments, axis, interleaved), **scale)
        gaussian._packed = (moments, axis, interleaved)
        return gaussian

    def __repr__(self) -> str:
        _, dim, interleaved = (None, 1, False) if self._packed is None else self._packed
        gaussian = GaussianOptions(**self._options, packed_dim=dim, interleaved=interleaved)
        mu, options = self.mu, named(gaussian.described())
        dtype = str(mu.dtype).removeprefix("torch.")
        return f"{type(self).__name__}(shape={list(mu.shape)}, dtype={dtype}, device={mu.device}, {options})"

    def __getitem__(self, index: Tensor | slice) -> DiagonalGaussian:
        """The distributions of some of the batch."""
        return DiagonalGaussian(self.mu[index], self.scale[index], **self._options)

    @property
    def mean(self) -> Tensor:
        """mu, ``[batch, ...]``."""
        return self.mu

    def mode(self) -> Tensor:
        """mu: the deterministic latent.

        Returns:
            ``[batch, ...]``.
        """
        return self.mu

    @property
    def std(self) -> Tensor:
        """sigma, ``[batch, ...]``, positive, clamp and floor applied; differentiable, in the dtype of `mu`."""
        zero, one = self.mu.new_zeros(()), self.mu.new_ones(())
        shape = self.mu.shape
        sigma = F.reparameterize(zero.expand(shape), self.scale, eps=one.expand(shape), **self._options)
        return sigma.abs() if self._form.parameterization == "std" else sigma

    @property
    def stddev(self) -> Tensor:
        """`std`, under the name of `torch.distributions`."""
        return self.std

    @property
    def variance(self) -> Tensor:
        """sigma^2, ``[batch, ...]``."""
        return self.std.square()

    @property
    def var(self) -> Tensor:
        """`variance`, under the name of diffusers."""
        return self.variance

    @property
    def logvar(self) -> Tensor:
        """log sigma^2, ``[batch, ...]``, read off the raw scale where the parameterization gives it so."""
        form = self._form
        factor = {"logvar": 1, "log_std": 2, "softplus": 2}.get(form.parameterization)
        if factor is None or form.min_std or form.min_var:
            return 2 * torch.log(self.std)
        raw = self.scale.clamp(form.low, form.high) if form.clamped else self.scale
        if form.parameterization != "softplus":
            return factor * raw
        # Below -40 softplus(raw) is e^raw to the last place, so that its logarithm is raw, even where e^raw is 0.
        exponential = raw < -40
        return factor * torch.where(exponential, raw, torch.log(torch.where(exponential, 1, self.std)))

    def rsample(
        self,
        num_samples: int | None = None,
        *,
        eps: Tensor | None = None,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """A sample with gradient: `fastvae.functional.reparameterize`.

        Args:
            num_samples, eps, seed, generator, shard: as there.

        Returns:
            ``[batch, ...]``, or ``[num_samples, batch, ...]``.

        Raises:
            TypeError, ValueError: as there.

        Examples:
            >>> posterior = fastvae.DiagonalGaussian(torch.zeros(64, 20), torch.zeros(64, 20))
            >>> posterior.rsample(seed=0).shape, posterior.rsample(10).shape
            (torch.Size([64, 20]), torch.Size([10, 64, 20]))
        """
        return F.reparameterize(
            self.mu, self.scale, **self._options, eps=eps, seed=seed, generator=generator, shard=shard,
            num_samples=num_samples,
        )  # fmt: skip

    @torch.no_grad()
    def sample(
        self,
        num_samples: int | None = None,
        *,
        eps: Tensor | None = None,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """`rsample` without gradient.

        Args:
            num_samples, eps, seed, generator, shard: as of `fastvae.functional.reparameterize`.

        Returns:
            ``[batch, ...]``, or ``[num_samples, batch, ...]``.

        Raises:
            TypeError, ValueError: as there.

        Examples:
            >>> mu = torch.zeros(64, 20, requires_grad=True)
            >>> posterior = fastvae.DiagonalGaussian(mu, torch.zeros(64, 20))
            >>> posterior.sample().requires_grad, posterior.rsample().requires_grad
            (False, True)
        """
        return self.rsample(num_samples, eps=eps, seed=seed, generator=generator, shard=shard)

    def kl(self, prior: Prior = None, *, reduction: str = "sample") -> Tensor:
        """KL(self || prior) in nats: `fastvae.functional.gaussian_kl`.

        Args:
            prior: None for N(0, I); a pair ``(mu_p, scale_p)`` under this distribution's parameterization; or a
                DiagonalGaussian, whose own parameterization counts.

            reduction: as there, and ``"sample"`` unless given.

        Returns:
            ``[batch]``, or what `reduction` says.

        Raises:
            TypeError, ValueError: a prior to which the KL has no closed form, or whose shape does not broadcast; an
                unknown reduction.

        Examples:
            >>> posterior = fastvae.DiagonalGaussian(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -1.0]]))
            >>> posterior.kl()
            tensor([0.6839])
            >>> torch_own = torch.distributions.Normal(posterior.mean, posterior.std)
            >>> torch.distributions.kl_divergence(torch_own, torch.distributions.Normal(0.0, 1.0)).sum(1)
            tensor([0.6839])
            >>> torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))  # which is `kl`
            tensor([0.6839])
            >>> posterior.kl(posterior)
            tensor([0.])
        """
        scale, pair, options = self._under_common_options(prior)
        return F.gaussian_kl(self.mu, scale, pair, **options, reduction=reduction)

    def rsample_kl(
        self,
        prior: Prior = None,
        *,
        reduction: str = "sample",
        num_samples: int | None = None,
        eps: Tensor | None = None,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """``(rsample(), kl())`` in one pass over the parameters: `fastvae.functional.reparameterize_kl`.

        Args:
            prior, reduction: as in `kl`.
            num_samples, eps, seed, generator, shard: as in `rsample`.

        Returns:
            The sample, ``[batch, ...]`` or ``[num_samples, batch, ...]``, and the KL in nats, ``[batch]`` or what
            `reduction` says.

        Raises:
            TypeError, ValueError: as of these two.

        Examples:
            >>> posterior = fastvae.DiagonalGaussian(torch.zeros(64, 20), torch.zeros(64, 20))
            >>> z, kl = posterior.rsample_kl(seed=0)
            >>> z.shape, kl.shape
            (torch.Size([64, 20]), torch.Size([64]))
            >>> torch.equal(z, posterior.rsample(seed=0)), torch.equal(kl, posterior.kl())
            (True, True)
        """
        scale, pair, options = self._under_common_options(prior)
        draw: DrawKeywords = {
            "num_samples": num_samples, "eps": eps, "seed": seed, "generator": generator, "shard": shard
        }  # fmt: skip
        if scale is not self.scale:
            return self.rsample(**draw), F.gaussian_kl(self.mu, scale, pair, **options, reduction=reduction)
        if self._packed is None:
            return F.reparameterize_kl(self.mu, scale, pair, **options, **draw, reduction=reduction)
        moments, dim, interleaved = self._packed
        return F.reparameterize_kl_packed(
            moments, pair, dim=dim, interleaved=interleaved, **options, **draw, reduction=reduction
        )

    def _under_common_options(self, prior: Prior) -> tuple[Tensor, tuple[Tensor, Tensor] | None, ScaleKeywords]:
        """This scale and the prior's pair under the same options; both as log variances where their options differ."""
        if prior is None or isinstance(prior, tuple):
            return self.scale, prior, self._options
        if not isinstance(prior, DiagonalGaussian):
            raise ValueError(
                f"prior: got {type(prior).__name__}, to which the KL has no closed form; takes a Gaussian. "
                "log_ratio estimates it at a sample"
            )
        if prior._form == self._form:
            return self.scale, (prior.mu, prior.scale), self._options
        return self.logvar, (prior.mu, prior.logvar), {}

    def log_prob(self, z: Tensor, *, reduction: str = "sample") -> Tensor:
        """log N(z; mu, sigma^2) in nats: `fastvae.functional.log_normal`.

        Args:
            z: points, ``[batch, ...]``, or ``[num_samples, batch, ...]``.
            reduction: as there.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``, or what `reduction` says.

        Raises:
            TypeError, ValueError: a `z` or a reduction that does not fit.

        Examples:
            >>> posterior = fastvae.DiagonalGaussian(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -1.0]]))
            >>> z = torch.tensor([[0.5, 0.5]])
            >>> posterior.log_prob(z), posterior.nll(z)
            (tensor([-1.8027]), tensor([1.8027]))
            >>> torch.distributions.Normal(posterior.mean, posterior.std).log_prob(z).sum(1)
            tensor([-1.8027])
        """
        return F.log_normal(
            z, self.mu, self.scale, **self._options, reduction=reduction, batch_dims=self._batch_dims(z)
        )

    def _batch_dims(self, z: Tensor) -> int:
        return max(1, 1 + z.dim() - self.mu.dim())

    def log_prior(self, z: Tensor, prior: Prior = None, *, reduction: str = "sample") -> Tensor:
        """log p(z) in nats under `prior`.

        Args:
            z: as in `log_prob`.
            prior: as in `kl`, or with ``log_prob(z)`` and ``sample(n)`` of its own, as `fastvae.MixturePrior` has them.
            reduction: as in `log_prob`; ``"sample"`` where the prior has its own ``log_prob``.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``, or what `reduction` says.

        Raises:
            TypeError, ValueError: a `z`, a Gaussian or a reduction that does not fit.

        Examples:
            >>> posterior, z = fastvae.DiagonalGaussian(torch.ones(1, 2), torch.zeros(1, 2)), torch.tensor([[0.5, 0.5]])
            >>> posterior.log_prior(z)  # under N(0, I), whatever the posterior is
            tensor([-2.0879])
            >>> torch.equal(posterior.log_prior(z), F.log_normal(z))
            True
        """
        batch_dims = self._batch_dims(z)
        if prior is None:
            return F.log_normal(z, reduction=reduction, batch_dims=batch_dims)
        if not isinstance(prior, (DiagonalGaussian, tuple)):
            if not callable(getattr(prior, "log_prob", None)):
                got = type(prior).__name__
                raise TypeError(f"prior: got {got}; takes a Gaussian, a pair (mu_p, scale_p), or what has log_prob(z)")
            if reduction != "sample":
                raise ValueError(f"reduction: got {reduction!r} with prior={type(prior).__name__}; takes 'sample'")
            return prior.log_prob(z)
        mu, scale = (prior.mu, prior.scale) if isinstance(prior, DiagonalGaussian) else prior
        options = prior._options if isinstance(prior, DiagonalGaussian) else self._options
        return F.log_normal(z, mu, scale, **options, reduction=reduction, batch_dims=batch_dims)

    def log_mixture(self, z: Tensor, log_weights: Tensor | None = None, *, batch_dims: int = 1) -> Tensor:
        """log sum_k w_k N(z; mu_k, sigma_k^2) in nats over the batch of this distribution, which are the components.

        Args:
            z: points, ``[batch, ...]``; ``[num_samples, batch, ...]`` with ``batch_dims=2``.
            log_weights, batch_dims: as in `fastvae.functional.log_normal_mixture`.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``.

        Raises:
            TypeError, ValueError: as there.

        Examples:
            >>> components = fastvae.DiagonalGaussian(torch.tensor([[-1.0], [1.0]]), torch.zeros(2, 1))
            >>> z = torch.tensor([[0.0], [1.0], [2.0]])
            >>> components.log_mixture(z)
            tensor([-1.4189, -1.4852, -2.0939])
            >>> torch.stack([components[k : k + 1].log_prob(z) for k in range(2)]).exp().mean(0).log()
            tensor([-1.4189, -1.4852, -2.0939])
        """
        return F.log_normal_mixture(z, self.mu, self.scale, log_weights, batch_dims=batch_dims, **self._options)

    def minibatch_log_densities(self, z: Tensor, *, dataset_size: int, weighting: str = "mws") -> tuple[Tensor, Tensor]:
        """(log q(z), sum_d log q(z_d)) of the aggregate posterior in nats.

        Args:
            z: a sample of this batch of posteriors, ``[batch, ...]``.
            dataset_size, weighting: as in `fastvae.functional.minibatch_log_densities`.

        Returns:
            ``[batch]`` each.

        Raises:
            TypeError, ValueError: as there.

        Examples:
            >>> posterior = fastvae.DiagonalGaussian(torch.tensor([[-3.0], [3.0]]), torch.zeros(2, 1))
            >>> log_qz, log_qz_product = posterior.minibatch_log_densities(posterior.mean, dataset_size=2)
            >>> torch.equal(log_qz, log_qz_product)  # one dimension is independent of no other
            True
        """
        return F.minibatch_log_densities(
            z, self.mu, self.scale, dataset_size=dataset_size, weighting=weighting, **self._options
        )

    def log_ratio(self, z: Tensor, prior: Prior = None, *, reduction: str = "sample") -> Tensor:
        """log q(z) - log p(z) in nats: the Monte-Carlo estimate of `kl` where z is a sample.

        Args:
            z, reduction: as in `log_prob`.
            prior: as in `log_prior`.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``, or what `reduction` says.

        Raises:
            TypeError, ValueError: as of these two.

        Examples:
            >>> posterior = fastvae.DiagonalGaussian(torch.ones(1, 2), torch.full((1, 2), -1.0))
            >>> estimate = posterior.log_ratio(posterior.rsample(400, seed=0)).mean()
            >>> bool((estimate - posterior.kl()).abs() < 0.2)  # of a KL of 1.37 nats
            True
        """
        return self.log_prob(z, reduction=reduction) - self.log_prior(z, prior, reduction=reduction)

    def nll(self, z: Tensor, *, reduction: str = "sample") -> Tensor:
        """-log_prob(z) in nats, under the name of diffusers.

        Args:
            z, reduction: as in `log_prob`.

        Returns:
            As of `log_prob`.

        Raises:
            TypeError, ValueError: as of `log_prob`.

        Examples:
            >>> posterior, z = fastvae.DiagonalGaussian(torch.zeros(1, 2), torch.zeros(1, 2)), torch.zeros(1, 2)
            >>> posterior.nll(z)  # log(2 pi)
            tensor([1.8379])
        """
        return -self.log_prob(z, reduction=reduction)

    def entropy(self) -> Tensor:
        """0.5 log(2 pi e sigma^2) in nats, summed per sample.

        Returns:
            ``[batch]``.
        """
        mu = self.mu.detach()
        at_mode = F.log_normal(mu, mu, self.scale, **self._options)
        return 0.5 * self.mu.shape[1:].numel() - at_mode


Prior = DiagonalGaussian | LatentPrior | tuple[Tensor, Tensor] | None


def has_closed_kl(prior: Prior) -> bool:
    """The KL of a Gaussian to `prior` has a closed form; otherwise it is estimated at a sample."""
    return prior is None or isinstance(prior, (DiagonalGaussian, tuple))
