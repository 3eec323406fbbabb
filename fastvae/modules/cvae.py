"""The conditional variational autoencoder (Sohn, Lee & Yan 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from fastvae._describe import describe, named
from fastvae.distributions import DiagonalGaussian
from fastvae.losses import ELBOLoss
from fastvae.losses._options import CustomLikelihood, Weight
from fastvae.modules._latent import LatentVariableModel, chunks, log_mean_exp, seeded
from fastvae.modules._networks import call, folded, repeated
from fastvae.modules.output import VAEOutput

OBJECTIVES: Final = ("cvae", "gsnn", "hybrid")
METHODS: Final = ("importance", "monte_carlo")


class CVAE(LatentVariableModel):
    """A model of p(target | condition) with a latent z (Sohn et al. 2015).

    Args:
        recognition: ``recognition(target, condition)``, q(z | condition, target).
        generation: ``generation(z, condition)``, the likelihood's parameters, in the shape of the target.
        prior: ``prior(condition)``, p(z | condition); None for N(0, I), where ``"gsnn"`` needs `latent_shape`, because
            it asks no recognition network. Both distributions share the options of scale and packing below.
        objective: ``"cvae"`` (equation 5); ``"gsnn"``, z from the prior and no KL, so that training draws as
            prediction does (equation 7); ``"hybrid"``, alpha * cvae + (1 - alpha) * gsnn (equation 8).
        alpha: the share of the CVAE objective in ``"hybrid"``, from 0 to 1.
        likelihood, beta, ... latent_shape: as in `fastvae.VAE`. A write-up's KL weight of 1 + b is ``beta=1 + b``.

    A network returns a pair ``(mu, scale)`` or one tensor packed along `packed_dim`.
    """

    def __init__(
        self,
        recognition: nn.Module,
        generation: nn.Module,
        prior: nn.Module | None = None,
        *,
        objective: str = "cvae",
        alpha: float = 1.0,
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
        if objective not in OBJECTIVES:
            raise ValueError(f"objective: got {objective!r}; takes one of {OBJECTIVES}")
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha: got {alpha!r}; takes a number from 0 to 1")
        super().__init__(
            ELBOLoss(
                likelihood, beta=beta, free_bits=free_bits, free_bits_per=free_bits_per, capacity=capacity,
                capacity_per=capacity_per, kl_estimator=kl_estimator, preset=preset,
            ),
            parameterization=parameterization, clamp=clamp, min_std=min_std, min_var=min_var, packed_dim=packed_dim,
            interleaved=interleaved, latent_shape=latent_shape,
        )  # fmt: skip
        if self.elbo.reconstruction is None:
            raise ValueError(f"preset: got {self.elbo.preset!r}, which has no reconstruction; takes one that has")
        self.recognition = recognition
        self.generation = generation
        self.prior = prior
        self.objective = objective
        self.alpha = float(alpha)

    def extra_repr(self) -> str:
        """The module's options, for `repr`; the objective's follow it."""
        alpha = self.alpha if self.objective == "hybrid" else None
        return f"{named({'objective': self.objective, 'alpha': alpha})}, {super().extra_repr()}"

    def encode(self, target: Tensor, condition: Tensor) -> DiagonalGaussian:
        """q(z | condition, target)."""
        return self._gaussian("recognition", self.recognition, target=target, condition=condition)

    def encode_prior(self, condition: Tensor) -> DiagonalGaussian:
        """p(z | condition)."""
        if self.prior is not None:
            return self._gaussian("prior", self.prior, condition=condition)
        if not isinstance(condition, Tensor) or not condition.dim():
            raise TypeError(f"condition: got {describe(condition)}; takes a torch.Tensor, [batch, ...]")
        return self._standard(condition.shape[0])

    def _learned_prior(self, condition: Tensor) -> DiagonalGaussian | None:
        """p(z | condition) of a prior network; None for N(0, I)."""
        return None if self.prior is None else self.encode_prior(condition)

    def decode(self, z: Tensor, condition: Tensor, *, mean: bool = False) -> Any:
        """The generation network's own output for z of ``[batch, ...]``; or with `mean` the mean of p(target|z)."""
        output = call("generation", self.generation, z=z, condition=condition)
        return self.elbo.mean(output) if mean else output

    def forward(
        self,
        condition: Tensor,
        target: Tensor,
        *,
        sample: bool = True,
        num_samples: int | None = None,
        eps: Tensor | None = None,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        weight: Tensor | None = None,
    ) -> VAEOutput:
        """The objective for one batch, averaged over `num_samples` latents; arguments as in `VAE.forward`.

        With ``"hybrid"`` the vectors and the latent are those of the CVAE part, with ``"gsnn"`` mu and scale are the
        prior's. The two parts of ``"hybrid"`` draw separately unless `eps` or `seed` fixes the noise of both.
        """
        noise = {"num_samples": num_samples, "eps": eps, "seed": seed, "generator": generator}
        if self.objective == "gsnn":
            return self._stochastic(self.encode_prior(condition), condition, target, sample, noise, weight)
        prior = self._learned_prior(condition)
        posterior = self.encode(target, condition)
        self._check_batch(posterior, "target", target)
        z, kl = self._latent(posterior, prior, sample, noise)
        prediction = folded(self.decode, z, condition, folds=num_samples is not None)
        elbo = self.elbo.combine(
            prediction,
            repeated(target, num_samples),
            kl,
            posterior.mu.shape[1:],
            weight=weight,
            batch_dims=1 if num_samples is None else 2,
        )
        output = VAEOutput(*elbo, z, posterior.mu, posterior.scale, prediction)
        if self.objective == "cvae":
            return output
        # Without a network the prior's latents are those of this batch, whatever came before it.
        prior = self._standard_like(posterior) if prior is None else prior
        stochastic = self._stochastic(prior, condition, target, sample, noise, weight)
        # Two decoder passes, so that batch statistics stay those of one; alpha costs a pass over each written gradient.
        return output._replace(loss=self.alpha * output.loss + (1 - self.alpha) * stochastic.loss)

    def _stochastic(
        self,
        prior: DiagonalGaussian,
        condition: Tensor,
        target: Tensor,
        sample: bool,
        noise: dict[str, Any],
        weight: Tensor | None,
    ) -> VAEOutput:
        """The Gaussian stochastic network: recognition equals prior, so that there is no KL term."""
        self._check_batch(prior, "target", target)
        z = self._draw(prior, sample, noise)
        num_samples = noise["num_samples"]
        prediction = folded(self.decode, z, condition, folds=num_samples is not None)
        assert self.elbo.reconstruction is not None
        loss, samples = self.elbo.reconstruction(
            prediction,
            repeated(target, num_samples),
            weight=weight,
            batch_dims=1 if num_samples is None else 2,
        )
        kl = samples.new_zeros(target.shape[:1])
        return VAEOutput(loss, samples, kl, z, prior.mu, prior.scale, prediction)

    @torch.no_grad()
    def predict(
        self,
        condition: Tensor,
        num_samples: int | None = None,
        *,
        chunk_size: int = 50,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The expected target in data space, in the shape of the target.

        Args:
            num_samples: None for the prediction at the prior's mean (deterministic); K for the average over K latents
                from the prior, `chunk_size` of them decoded at once.
        """
        prior = self.encode_prior(condition)
        if num_samples is None:
            target: Tensor = self.decode(prior.mode(), condition, mean=True)
            return target
        source = seeded(seed, generator, prior.mu.device)
        sums = [
            self._means(prior, condition, count, generator=source).sum(0) for count in chunks(num_samples, chunk_size)
        ]
        return torch.stack(sums).sum(0) / num_samples

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        n: int,
        *,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Means in data space for `n` latents from the prior of each condition, ``[n, batch, ...]``."""
        _check_order(condition, n)
        return self._means(self.encode_prior(condition), condition, n, seed=seed, generator=generator)

    def _means(self, prior: DiagonalGaussian, condition: Tensor, num_samples: int, **noise: Any) -> Tensor:
        decode = partial(self.decode, mean=True)
        means: Tensor = folded(decode, prior.rsample(num_samples, **noise), condition, folds=True)
        return means

    @torch.no_grad()
    def log_likelihood(
        self,
        condition: Tensor,
        target: Tensor,
        *,
        num_samples: int = 100,
        method: str = "importance",
        chunk_size: int = 50,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """log p(target | condition) in nats of each sample: ``[batch]``, float64 (Sohn et al. 2015, section 4.3).

        Args:
            num_samples: latents drawn for each sample, `chunk_size` of them decoded at once.
            method: ``"importance"`` draws from the recognition network and weights by p(z | x) / q(z | x, y);
                ``"monte_carlo"`` draws from the prior. With objective ``"gsnn"``, whose recognition is the prior and
                whose recognition network is never trained, both draw from the prior.
        """
        if method not in METHODS:
            raise ValueError(f"method: got {method!r}; takes one of {METHODS}")
        prior: DiagonalGaussian | None
        if method == "monte_carlo" or self.objective == "gsnn":
            posterior = prior = self.encode_prior(condition)
        else:
            prior, posterior = self._learned_prior(condition), self.encode(target, condition)
        source = seeded(seed, generator, posterior.mu.device)
        pieces = (
            self._log_weights(posterior, prior, condition, target, count, source)
            for count in chunks(num_samples, chunk_size)
        )
        return log_mean_exp(pieces, num_samples)

    def _log_weights(
        self,
        posterior: DiagonalGaussian,
        prior: DiagonalGaussian | None,
        condition: Tensor,
        target: Tensor,
        num_samples: int,
        generator: torch.Generator | None,
    ) -> Tensor:
        z = posterior.rsample(num_samples, generator=generator)
        prediction = folded(self.decode, z, condition, folds=True)
        log_p = self.elbo.log_prob(prediction, repeated(target, num_samples), batch_dims=2)
        return log_p if posterior is prior else log_p - posterior.log_ratio(z, prior)


def _check_order(condition: object, n: object) -> None:
    if isinstance(condition, int):
        raise TypeError(
            f"condition, n: got {describe(condition)} and {describe(n)}; takes the condition, a torch.Tensor, before n"
        )
