"""The variational autoencoder (Kingma & Welling 2014) and beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastvae.distributions import DiagonalGaussian
from fastvae.losses import ELBOLoss
from fastvae.losses._options import CustomLikelihood, Weight
from fastvae.modules._latent import LatentVariableModel, chunks, log_mean_exp, seeded
from fastvae.modules._networks import call, folded, repeated
from fastvae.modules.output import VAEOutput


class VAE(LatentVariableModel):
    """A variational autoencoder over any two networks.

    Args:
        encoder: x to a pair ``(mu, scale)``, or to one tensor with both packed along `packed_dim`.
        decoder: z to the likelihood's parameters: logits for ``"bernoulli"``, in the shape of x.
        likelihood="bernoulli", beta=1.0, free_bits=0.0, free_bits_per="sample", capacity=None, capacity_per="batch",
            kl_estimator="analytic", preset=None: the objective, see `fastvae.ELBOLoss`.
        parameterization="logvar", clamp=None, min_std=0.0, min_var=0.0: what the raw scale means, see
            `fastvae.functional.reparameterize`.
        packed_dim=1, interleaved=False: how a single encoder output packs mu and scale.
        latent_shape=None: the shape of one sample's latent. Left out, it is that of the latest input, so that
            `sample` needs an input first, and torch.compile compiles twice.

    Training and eval mode treat the latent alike: it is the posterior's mean where ``sample=False`` says so.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        likelihood: str | CustomLikelihood | None = None,
        beta: Weight = 1.0,
        free_bits: float = 0.0,
        free_bits_per: str = "sample",
        capacity: Weight | None = None,
        capacity_per: str | None = None,
        kl_estimator: str | None = None,
        preset: str | None = None,
        parameterization: str | None = None,
        clamp: tuple[float, float] | None = None,
        min_std: float | None = None,
        min_var: float | None = None,
        packed_dim: int | None = None,
        interleaved: bool | None = None,
        latent_shape: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            ELBOLoss(
                likelihood, beta=beta, free_bits=free_bits, free_bits_per=free_bits_per, capacity=capacity,
                capacity_per=capacity_per, kl_estimator=kl_estimator, preset=preset,
            ),
            parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var, packed_dim=packed_dim,
            interleaved=interleaved, latent_shape=latent_shape,
        )  # fmt: skip
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """q(z | x)."""
        return self._gaussian("encoder", self.encoder, x=x)

    def decode(self, z: Tensor, *, mean: bool = False) -> Any:
        """The decoder's own output, logits for ``"bernoulli"``; or with `mean` the mean of p(x|z), their sigmoid."""
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
        weight: Tensor | None = None,
    ) -> VAEOutput:
        """The negative ELBO of one batch, averaged over `num_samples` latents.

        Args:
            x: the encoder's input.
            target: what to reconstruct, `x` when left out: such as the uint8 or binarized form of a float input.
            sample: False takes the posterior's mean as the latent.
            num_samples, eps, seed, generator: as in `fastvae.functional.reparameterize`.
            weight: of the elements of the reconstruction, broadcastable to the prediction; a mask is one of 0 and 1.
        """
        posterior = self.encode(x)
        reconstructs = self.elbo.reconstruction is not None
        if reconstructs:
            self._check_batch(posterior, *(("x", x) if target is None else ("target", target)))
        noise = {"num_samples": num_samples, "eps": eps, "seed": seed, "generator": generator}
        z, kl = self._latent(posterior, None, sample, noise)
        prediction = folded(self.decode, z, folds=num_samples is not None)
        loss = self.elbo.combine(
            prediction if reconstructs else None,
            repeated(x if target is None else target, num_samples) if reconstructs else None,
            kl,
            posterior.mu.shape[1:],
            weight=weight,
            batch_dims=1 if num_samples is None else 2,
        )
        return VAEOutput(*loss, z, posterior.mu, posterior.scale, prediction)

    def reconstruct(self, x: Tensor, *, sample: bool = False, seed: int | None = None) -> Any:
        """The decoder's mean in data space for the posterior's mean, or for one sample of it."""
        posterior = self.encode(x)
        z = posterior.rsample(seed=seed) if sample else posterior.mode()
        return self.decode(z, mean=True)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | Tensor | None = None, generator: torch.Generator | None = None) -> Any:
        """The decoder's mean in data space for `n` latents from N(0, I)."""
        z = self._standard(n).sample(seed=seed, generator=generator)
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
    ) -> Tensor:
        """log p(x, z_k) - log q(z_k | x) in nats, ``[num_samples, batch]``, differentiable.

        IWAE (Burda et al. 2016) minimizes ``-F.importance_weighted_bound(model.log_weights(x, num_samples=k)).mean()``.
        A `posterior` at hand saves a pass of the encoder.
        """
        posterior = self.encode(x) if posterior is None else posterior
        target = x if target is None else target
        return self._log_weights(posterior, target, num_samples, seed=seed, generator=generator)

    def _log_weights(self, posterior: DiagonalGaussian, target: Tensor, num_samples: int, **noise: Any) -> Tensor:
        z = posterior.rsample(num_samples, **noise)
        prediction = folded(self.decode, z, folds=True)
        return self.elbo.log_prob(prediction, repeated(target, num_samples), batch_dims=2) - posterior.log_ratio(z)

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
    ) -> Tensor:
        """log p(x) in nats of each sample, by importance sampling from the posterior (Burda et al. 2016).

        A lower bound in expectation, tighter with more samples; one sample gives the ELBO.

        Args:
            num_samples: latents drawn for each x.
            chunk_size: how many of them go through the decoder at once; it changes the memory and, the draws being
                made chunk by chunk, which latents a seed gives.

        Returns:
            ``[batch]``, float64.
        """
        posterior = self.encode(x)
        source = seeded(seed, generator, posterior.mu.device)
        target = x if target is None else target
        pieces = (
            self._log_weights(posterior, target, count, generator=source) for count in chunks(num_samples, chunk_size)
        )
        return log_mean_exp(pieces, num_samples)


class BetaVAE(VAE):
    """A VAE whose KL is weighted by beta = 4 unless told otherwise (Higgins et al. 2017).

    With `capacity`, the penalty is beta * abs(KL - C) (Burgess et al. 2018); give C as a `LinearWarmup` to raise it.
    Arguments and methods are those of `VAE`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        likelihood: str | CustomLikelihood | None = None,
        beta: Weight = 4.0,
        free_bits: float = 0.0,
        free_bits_per: str = "sample",
        capacity: Weight | None = None,
        capacity_per: str | None = None,
        kl_estimator: str | None = None,
        preset: str | None = None,
        parameterization: str | None = None,
        clamp: tuple[float, float] | None = None,
        min_std: float | None = None,
        min_var: float | None = None,
        packed_dim: int | None = None,
        interleaved: bool | None = None,
        latent_shape: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            encoder, decoder, likelihood=likelihood, beta=beta, free_bits=free_bits, free_bits_per=free_bits_per,
            capacity=capacity, capacity_per=capacity_per, kl_estimator=kl_estimator, preset=preset,
            parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var, packed_dim=packed_dim,
            interleaved=interleaved, latent_shape=latent_shape,
        )  # fmt: skip
