"""Priors that are mixtures of Gaussians: of free components, or of the posteriors of pseudo-inputs (VampPrior)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from fastvae._describe import describe, named
from fastvae._gaussian_options import GaussianKeywords, GaussianOptions
from fastvae._keywords import passes_on
from fastvae._options import shard_of
from fastvae.distributions import DiagonalGaussian
from fastvae.modules import _options
from fastvae.modules._gaussians import gaussian_of


class Mixture(nn.Module):
    """A mixture of the Gaussians `components()`, with unnormalized log weights."""

    log_weights: nn.Parameter

    def components(self) -> DiagonalGaussian:
        """The Gaussians of the mixture.

        Returns:
            A `fastvae.DiagonalGaussian` of ``[K, *latent_shape]``.
        """
        raise NotImplementedError

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) in nats: `fastvae.functional.log_normal_mixture`.

        Args:
            z: latents, ``[batch, *latent_shape]``, or ``[num_samples, batch, *latent_shape]``.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``.

        Raises:
            TypeError, ValueError: a `z` that does not fit.

        Examples:
            >>> prior = fastvae.MixturePrior(50, latent_shape=20)
            >>> prior.log_prob(torch.zeros(64, 20)).shape, prior.log_prob(torch.zeros(5, 64, 20)).shape
            (torch.Size([64]), torch.Size([5, 64]))
        """
        components = self.components()
        batch_dims = max(1, 1 + z.dim() - components.mu.dim())
        return components.log_mixture(z, self.log_weights, batch_dims=batch_dims)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """Latents drawn from the mixture, without gradient.

        Args:
            n: how many.
            seed, generator, shard: of the choice of a component, and of the noise, as in `functional.reparameterize`.
                The choices are torch's: of a shard those of the whole batch are drawn, and its own taken.

        Returns:
            ``[n, *latent_shape]``.

        Raises:
            TypeError, ValueError: more than one source of noise, or one of another kind.

        Examples:
            >>> prior = fastvae.MixturePrior(50, latent_shape=20)
            >>> prior.sample(16, seed=0).shape
            torch.Size([16, 20])
        """
        components = self.components()
        device = components.mu.device
        chosen = generator if seed is None else torch.Generator(device).manual_seed(int(seed))
        start, total = shard_of(shard, n)
        index = torch.multinomial(self.log_weights.float().softmax(0), total, replacement=True, generator=chosen)
        return components[index[start : start + n]].sample(seed=seed, generator=generator, shard=shard)


class MixturePrior(Mixture):
    """A learned mixture of diagonal Gaussians as the prior of a `fastvae.VAE`.

    Args:
        num_components: K.
        latent_shape: of one latent; None takes that of the VAE it is given to.

    Attributes:
        mu, logvar: ``[K, *latent_shape]``; the means begin as draws from N(0, I), the variances as 1.
        log_weights: ``[K]``, unnormalized, equal at first.

    Raises:
        ValueError: a number or a shape out of its range.

    Examples:
        >>> encoder, decoder = torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784)
        >>> prior = fastvae.MixturePrior(50)
        >>> vae = fastvae.VAE(encoder, decoder, prior=prior, latent_shape=20)  # which is the prior's then
        >>> prior, prior.num_components
        (MixturePrior(num_components=50, latent_shape=(20,)), 50)
        >>> prior.components()
        DiagonalGaussian(shape=[50, 20], dtype=float32, device=cpu, parameterization='logvar')
        >>> vae(torch.rand(64, 784)).loss.backward()  # the components learn, too
        >>> prior.mu.grad.shape
        torch.Size([50, 20])
        >>> prior.reset_parameters()
    """

    mu: nn.Parameter
    logvar: nn.Parameter

    def __init__(self, num_components: int, latent_shape: int | Sequence[int] | None = None) -> None:
        super().__init__()
        if isinstance(num_components, bool) or not isinstance(num_components, int) or num_components < 1:
            raise ValueError(f"num_components: got {num_components!r}; takes an int of at least 1")
        self.log_weights = nn.Parameter(torch.empty(num_components))
        self.latent_shape = _options.latent_shape(latent_shape)
        nn.init.zeros_(self.log_weights)
        if self.latent_shape is not None:
            self._make(self.latent_shape)

    def _make(self, shape: tuple[int, ...]) -> None:
        like = self.log_weights
        self.mu = nn.Parameter(like.new_empty(len(like), *shape))
        self.logvar = nn.Parameter(torch.empty_like(self.mu))
        self._reset_components()

    def _reset_components(self) -> None:
        nn.init.normal_(self.mu)
        nn.init.zeros_(self.logvar)

    def reset_parameters(self) -> None:
        """Means drawn anew from N(0, I) by torch's generator, variances of 1, equal weights."""
        nn.init.zeros_(self.log_weights)
        if self.latent_shape is not None:
            self._reset_components()

    @property
    def num_components(self) -> int:
        """K."""
        return len(self.log_weights)

    def for_latents(self, shape: tuple[int, ...] | None) -> None:
        """Take the latent shape of a model, as `fastvae.VAE` has it do.

        Args:
            shape: of one latent; None where the model does not say.

        Raises:
            ValueError: neither has one, or they differ.

        Examples:
            >>> prior = fastvae.MixturePrior(50)
            >>> prior.for_latents((20,))
            >>> prior.components()
            DiagonalGaussian(shape=[50, 20], dtype=float32, device=cpu, parameterization='logvar')
        """
        if self.latent_shape is None:
            if shape is None:
                raise ValueError("latent_shape: got None with prior=MixturePrior; takes the shape of one latent")
            self.latent_shape = shape
            self._make(shape)
        elif shape not in (None, self.latent_shape):
            raise ValueError(f"latent_shape: got {list(shape or ())} with a prior of {list(self.latent_shape)}")

    def components(self) -> DiagonalGaussian:
        """The Gaussians of the mixture.

        Returns:
            A `fastvae.DiagonalGaussian` of ``[K, *latent_shape]``.

        Raises:
            RuntimeError: no latent shape so far.
        """
        if self.latent_shape is None:
            raise RuntimeError("latent_shape: got None; takes MixturePrior(K, latent_shape), or a VAE with one")
        return DiagonalGaussian(self.mu, self.logvar)

    def extra_repr(self) -> str:
        """The sizes, for `repr`."""
        return named({"num_components": self.num_components, "latent_shape": self.latent_shape})


class VampPrior(Mixture):
    """The mixture of the posteriors of learned pseudo-inputs (Tomczak & Welling 2018, equation 9).

    Its weights are learned, too; they begin equal, which is where the paper leaves them.

    Args:
        pseudo_inputs: ``[K, ...]``, what they begin as: data, or noise like it. They become a parameter.
        encoder: the model's own. It is used, and belongs to the model: its parameters are not counted twice.
        **options: how its output is read, see `fastvae.VAE`: the same as the model's.

    Raises:
        TypeError, ValueError: pseudo-inputs that are no floating-point batch, or an option out of its range.

    Examples:
        >>> encoder, decoder = torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784)
        >>> prior = fastvae.VampPrior(torch.rand(50, 784), encoder)
        >>> vae = fastvae.VAE(encoder, decoder, prior=prior, latent_shape=20)
        >>> prior
        VampPrior(pseudo_inputs=[50, 784], parameterization='logvar')
        >>> prior.components(), prior.encoder is vae.encoder
        (DiagonalGaussian(shape=[50, 20], dtype=float32, device=cpu, parameterization='logvar'), True)
        >>> vae(torch.rand(64, 784)).loss.backward()  # the pseudo-inputs learn
        >>> prior.pseudo_inputs.grad.shape
        torch.Size([50, 784])
        >>> prior.reset_parameters()
    """

    @passes_on(GaussianOptions)
    def __init__(self, pseudo_inputs: Tensor, encoder: nn.Module, **options: Unpack[GaussianKeywords]) -> None:
        super().__init__()
        if not isinstance(pseudo_inputs, Tensor) or not pseudo_inputs.is_floating_point() or pseudo_inputs.dim() < 2:
            raise TypeError(f"pseudo_inputs: got {describe(pseudo_inputs)}; takes a floating-point tensor [K, ...]")
        self.pseudo_inputs = nn.Parameter(torch.empty_like(pseudo_inputs))
        self.log_weights = nn.Parameter(pseudo_inputs.new_empty(len(pseudo_inputs)))
        self._initial = pseudo_inputs.detach().clone()
        self.reset_parameters()
        self._encoder = (encoder,)  # in a tuple, which registers no module
        self._gaussian_options = GaussianOptions(**options)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The pseudo-inputs as they were given, equal weights.

        Raises:
            ValueError: they were given on ``meta``, where tensors have no values.
        """
        if self._initial.is_meta and not self.pseudo_inputs.is_meta:
            raise ValueError(
                f"pseudo_inputs: got {describe(self._initial)}, without values; takes a tensor that has them"
            )
        _fill(self.pseudo_inputs, self._initial)
        nn.init.zeros_(self.log_weights)

    @property
    def encoder(self) -> nn.Module:
        """The one given, which is not counted among the prior's own modules."""
        return self._encoder[0]

    def components(self) -> DiagonalGaussian:
        """The posteriors of the pseudo-inputs.

        Returns:
            A `fastvae.DiagonalGaussian` of ``[K, *latent_shape]``.

        Raises:
            TypeError, ValueError: pseudo-inputs that do not fit the encoder, or an encoder whose output is no Gaussian.
        """
        return gaussian_of("encoder", self.encoder, self._gaussian_options, pseudo_inputs=self.pseudo_inputs)

    def extra_repr(self) -> str:
        """The shape and the options, for `repr`."""
        return named({"pseudo_inputs": list(self.pseudo_inputs.shape)} | self._gaussian_options.described())


def _fill(parameter: Any, values: Tensor) -> None:
    """``parameter.copy_(values)``, also where `parameter` is a part of a tensor sharded over processes."""
    mesh = getattr(parameter, "device_mesh", None)
    if mesh is not None:
        from torch.distributed.tensor import distribute_tensor

        values = distribute_tensor(values, mesh, parameter.placements)
    parameter.copy_(values)
