"""The variational autoencoder (Kingma & Welling 2014) and beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

from typing import Any, Final, Unpack

import torch
from torch import Tensor, nn

from fastvae._keywords import DrawKeywords, passes_on
from fastvae._options import shard_of
from fastvae.distributions import DiagonalGaussian, LatentPrior
from fastvae.modules._latent import LatentVariableModel
from fastvae.modules._networks import call
from fastvae.modules._options import ModelKeywords
from fastvae.modules.output import VAEOutput
from fastvae.modules.priors import Mixture, MixturePrior

_BETA: Final = 4.0


class VAE(LatentVariableModel):
    """A variational autoencoder over any two networks.

    A preset, the loss's or one given here, replaces the defaults of the scale and of the packing by its project's.

    With ``reduction="sample"`` the loss is a value a sample. Processes with shards of any sizes, ``total`` rows in all,
    then minimize ``output.loss.sum() * world_size / total``: DDP's and FSDP's mean of their gradients is the gradient
    of the whole batch, which the mean of means over uneven shards is not.

    Training and eval mode treat the latent alike: it is the posterior's mean where ``sample=False`` says so.

    Args:
        encoder: x to a pair ``(mu, scale)``, or to one tensor with both packed along `packed_dim`.
        decoder: z to the likelihood's parameters: logits for ``"bernoulli"``, in the shape of x.
        loss: the objective, a `fastvae.ELBOLoss`. In its place its options may be given here.
        parameterization, clamp, min_std, min_var: what the raw scale means, see `fastvae.functional.reparameterize`.
        packed_dim, interleaved: how a single encoder output packs mu and scale, by default as its halves along dim 1.
        latent_shape: the shape of one sample's latent. Left out, it is that of the latest input, so that `sample`
            needs an input first, and torch.compile compiles twice.
        prior: None for N(0, I); a `fastvae.MixturePrior` or `fastvae.VampPrior`; or a module of your own, a
            `fastvae.distributions.LatentPrior`. The KL to these is estimated at the sample.
        **options: `likelihood`, `beta` and all others of `fastvae.ELBOLoss`, in place of `loss`, and those above.

    Raises:
        TypeError, ValueError: an option out of its range or that contradicts another, or a prior that is none.

    Examples:
        >>> encoder, decoder = torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784)  # any networks
        >>> vae = fastvae.VAE(encoder, decoder, likelihood="bernoulli", latent_shape=20)
        >>> optimizer = torch.optim.Adam(vae.parameters())
        >>> x = torch.rand(64, 784)
        >>> output = vae(x)
        >>> output.loss.backward()
        >>> optimizer.step()
        >>> output.z.shape, output.prediction.shape, output.kl.shape
        (torch.Size([64, 20]), torch.Size([64, 784]), torch.Size([64]))
        >>> vae.sample(16).shape, vae.reconstruct(x).shape
        (torch.Size([16, 784]), torch.Size([64, 784]))
    """

    @passes_on(LatentVariableModel)
    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        prior: nn.Module | None = None,
        **options: Unpack[ModelKeywords],
    ) -> None:
        super().__init__(**options)
        self.encoder = encoder
        self.decoder = decoder
        self.prior = prior
        self._check_prior()

    def _check_prior(self) -> None:
        if self.prior is None:
            return
        if isinstance(self.prior, MixturePrior):
            self.prior.for_latents(self.latent_shape)
        elif not isinstance(self.prior, LatentPrior):
            raise TypeError(f"prior: got {type(self.prior).__name__}; takes a module with log_prob and sample")
        if self.elbo.kl_reduction == "none":
            raise ValueError("prior: got a value with free bits per dimension, which its KL does not have; takes None")

    @property
    def _latent_prior(self) -> LatentPrior | None:
        assert self.prior is None or isinstance(self.prior, LatentPrior)
        return self.prior

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """The posterior q(z | x).

        Args:
            x: the encoder's input, ``[batch, ...]``.

        Returns:
            A `fastvae.DiagonalGaussian` of ``[batch, *latent_shape]``.

        Raises:
            TypeError, ValueError: an `x` that does not fit the encoder, or an encoder whose output is no Gaussian.

        Examples:
            >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784))
            >>> vae.encode(torch.rand(64, 784))
            DiagonalGaussian(shape=[64, 20], dtype=float32, device=cpu, parameterization='logvar')
        """
        return self._gaussian("encoder", self.encoder, x=x)

    def decode(self, z: Tensor, *, mean: bool = False) -> Any:
        """The decoder's own output, logits for ``"bernoulli"``; or with `mean` the mean of p(x|z), their sigmoid.

        Args:
            z: latents, ``[batch, *latent_shape]``.
            mean: whether the output is taken to data space.

        Returns:
            What the decoder returns, ``[batch, ...]`` in the shape of x for most likelihoods.

        Raises:
            TypeError, ValueError: a `z` that does not fit the decoder.

        Examples:
            >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784))
            >>> z = torch.zeros(3, 20)
            >>> torch.equal(vae.decode(z, mean=True), vae.decode(z).sigmoid())
            True
        """
        output = call("decoder", self.decoder, z=z)
        return self.elbo.mean(output) if mean else output

    def forward(
        self,
        x: Tensor,
        target: Tensor | None = None,
        *,
        sample: bool = True,
        num_samples: int | None = None,
        eps: Tensor | None = None,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
        weight: Tensor | None = None,
        return_loss: bool = True,
    ) -> VAEOutput:
        """The negative ELBO of one batch, averaged over `num_samples` latents.

        Args:
            x: the encoder's input, ``[batch, ...]``.
            target: what to reconstruct, `x` when left out: such as the uint8 or binarized form of a float input.
            sample: whether the latent is drawn; False takes the posterior's mean.
            num_samples, eps, seed, generator, shard: as in `fastvae.functional.reparameterize`.
            weight: of the elements of the reconstruction, broadcastable to the prediction; a mask is one of 0 and 1.
            return_loss: False computes no objective: the output has `z`, `mu`, `scale` and `prediction` alone.
                Transformers' Trainer evaluates a model that has this option without labels.

        Returns:
            The loss, and the latent, the posterior, the prediction and per-sample parts of the loss in nats.

        Raises:
            TypeError, ValueError: tensors that do not fit the networks or the likelihood, more than one source of
                noise, or a shard of an objective that mixes the samples of a batch.

        Examples:
            >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784))
            >>> x = torch.rand(64, 784)
            >>> vae(x, seed=0).loss.shape, vae(x, num_samples=5).z.shape
            (torch.Size([]), torch.Size([5, 64, 20]))
            >>> torch.equal(vae(x, seed=0).z, vae(x, seed=0).z), torch.equal(vae(x, sample=False).z, vae.encode(x).mean)
            (True, True)
            >>> vae(x, (255 * x).byte()).prediction.shape  # reconstructing bytes
            torch.Size([64, 784])
        """
        posterior = self.encode(x)
        draw: DrawKeywords = {
            "num_samples": num_samples, "eps": eps, "seed": seed, "generator": generator, "shard": shard
        }  # fmt: skip
        if not return_loss:
            return self._without_loss(posterior, sample=sample, draw=draw, target=target, weight=weight)
        name, target = ("x", x) if target is None else ("target", target)
        if self.elbo.reconstruction is not None:
            self._check_batch(posterior, name, target)
        return self._negative_elbo(posterior, self._latent_prior, target, sample=sample, draw=draw, weight=weight)

    def reconstruct(
        self, x: Tensor, *, sample: bool = False, seed: int | None = None, shard: tuple[int, int] | None = None
    ) -> Any:
        """The decoder's mean in data space for the posterior's mean, or for one sample of it.

        Args:
            x: the encoder's input, ``[batch, ...]``.
            sample: whether the latent is drawn.
            seed, shard: of the noise, as in `fastvae.functional.reparameterize`; only with `sample`.

        Returns:
            ``[batch, ...]``, in the shape of the data.

        Raises:
            TypeError, ValueError: an `x` that does not fit, or a seed or a shard without `sample`.

        Examples:
            >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784))
            >>> x = torch.rand(64, 784)
            >>> torch.equal(vae.reconstruct(x), vae.decode(vae.encode(x).mode(), mean=True))
            True
        """
        z = self._draw(self.encode(x), sample, {"seed": seed, "shard": shard})
        return self.decode(z, mean=True)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Any:
        """The decoder's mean in data space for `n` latents from the prior.

        Args:
            n: how many.
            seed, generator, shard: as in `fastvae.functional.reparameterize`. Of a prior of one's own all latents of
                the whole batch are drawn, and these taken.

        Returns:
            ``[n, ...]``, in the shape of the data.

        Raises:
            RuntimeError: no `latent_shape`, and no input so far that shows it.
            TypeError, ValueError: more than one source of noise, or one of another kind.

        Examples:
            >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784), latent_shape=20)
            >>> images = vae.sample(16, seed=0)
            >>> images.shape, bool((images >= 0).all() and (images <= 1).all())
            (torch.Size([16, 784]), True)
        """
        prior = self._latent_prior
        if prior is None:
            z = self._standard_normal(n).sample(seed=seed, generator=generator, shard=shard)
        elif isinstance(prior, Mixture):
            z = prior.sample(n, seed=seed, generator=generator, shard=shard)
        else:
            start, total = shard_of(shard, n)
            z = prior.sample(total, seed=seed, generator=generator)[start : start + n]
        return self.decode(z, mean=True)

    def log_weights(
        self,
        x: Tensor,
        target: Tensor | None = None,
        *,
        num_samples: int,
        posterior: DiagonalGaussian | None = None,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """log p(x, z_k) - log q(z_k | x) in nats, differentiable.

        IWAE (Burda et al. 2016) minimizes ``-F.importance_weighted_bound(model.log_weights(x, num_samples=k)).mean()``.

        Args:
            x, target: as in `forward`.
            num_samples: K latents of each posterior.
            posterior: of `x`, where it is at hand: it saves a pass of the encoder.
            seed, generator, shard: as in `fastvae.functional.reparameterize`.

        Returns:
            ``[num_samples, batch]``.

        Raises:
            TypeError, ValueError: tensors that do not fit, or more than one source of noise.

        Examples:
            >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784))
            >>> log_w = vae.log_weights(torch.rand(64, 784), num_samples=8)
            >>> log_w.shape
            torch.Size([8, 64])
            >>> (-F.importance_weighted_bound(log_w).mean()).backward()
        """
        posterior = self.encode(x) if posterior is None else posterior
        target = x if target is None else target
        return self._log_weights(
            posterior, self._latent_prior, target, num_samples=num_samples, seed=seed, generator=generator, shard=shard
        )

    @torch.no_grad()
    def log_likelihood(
        self,
        x: Tensor,
        target: Tensor | None = None,
        *,
        num_samples: int = 1000,
        chunk_size: int = 50,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """log p(x) in nats of each sample, by importance sampling from the posterior (Burda et al. 2016).

        A lower bound in expectation, tighter with more samples; one sample gives the ELBO.

        Args:
            x, target: as in `forward`.
            num_samples: latents drawn for each x.
            chunk_size: how many of them go through the decoder at once; it changes the memory and, the draws being
                made chunk by chunk, which latents a seed gives.
            seed, generator, shard: as in `fastvae.functional.reparameterize`, the seed an int; processes that share a
                batch need the same `num_samples` and `chunk_size`, too.

        Returns:
            ``[batch]``, float64.

        Raises:
            TypeError, ValueError: tensors that do not fit, or an option out of its range.

        Examples:
            >>> vae = fastvae.VAE(torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784), likelihood="gaussian")
            >>> x = torch.rand(4, 784)
            >>> log_p = vae.log_likelihood(x, num_samples=100, seed=0)
            >>> log_p.shape, log_p.dtype
            (torch.Size([4]), torch.float64)
        """
        posterior = self.encode(x)
        target = x if target is None else target
        return self._log_likelihood(
            posterior,
            self._latent_prior,
            target,
            num_samples=num_samples,
            chunk_size=chunk_size,
            seed=seed,
            generator=generator,
            shard=shard,
        )


class BetaVAE(VAE):
    """A VAE whose KL is weighted by beta = 4 unless told otherwise (Higgins et al. 2017).

    With `capacity`, the penalty is beta * abs(KL - C) (Burgess et al. 2018); give C as a `LinearWarmup` to raise it.
    Methods are those of `VAE`; with `loss`, beta is the loss's own.

    Args:
        encoder, decoder, prior, **options: as in `VAE`.

    Raises:
        TypeError, ValueError: as there.

    Examples:
        >>> encoder, decoder = torch.nn.Linear(784, 2 * 20), torch.nn.Linear(20, 784)
        >>> fastvae.BetaVAE(encoder, decoder, capacity=fastvae.LinearWarmup(0.0, 25.0, steps=10_000))
        BetaVAE(
          parameterization='logvar'
          (elbo): ELBOLoss(
            beta=4.0, capacity_per='batch'
            (capacity): LinearWarmup(start=0.0, end=25.0, steps=10000)
            (reconstruction): Reconstruction(likelihood='bernoulli')
          )
          (encoder): Linear(in_features=784, out_features=40, bias=True)
          (decoder): Linear(in_features=20, out_features=784, bias=True)
        )
    """

    @passes_on(VAE, beta=_BETA)
    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        prior: nn.Module | None = None,
        **options: Unpack[ModelKeywords],
    ) -> None:
        if options.get("loss") is None:
            options.setdefault("beta", _BETA)
        super().__init__(encoder, decoder, prior=prior, **options)
