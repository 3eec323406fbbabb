"""The conditional variational autoencoder (Sohn, Lee & Yan 2015)."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Unpack

import torch
from torch import Tensor, nn

from fastvae._describe import describe, named
from fastvae._keywords import DrawKeywords, passes_on
from fastvae.distributions import DiagonalGaussian
from fastvae.losses import ELBOLoss, ELBOOutput
from fastvae.losses._options import one_of
from fastvae.modules._importance import chunks, seeded
from fastvae.modules._latent import LatentVariableModel, mode_of
from fastvae.modules._networks import call, folded, repeated
from fastvae.modules._options import ModelKeywords
from fastvae.modules.output import VAEOutput

OBJECTIVES: Final = ("cvae", "gsnn", "hybrid")
METHODS: Final = ("importance", "monte_carlo")


def _option_of_the_kl(loss: ELBOLoss) -> str | None:
    """One that has another value than its default, if there is one."""
    row = loss.convention
    given = {
        "beta": not isinstance(loss.beta, float) or loss.beta != 1.0,
        "free_bits": bool(row.free_bits),
        "capacity": loss.capacity is not None,
        "total_correlation": loss.decomposition is not None,
        "kl_estimator": row.kl_estimator != "analytic",
    }
    return next((name for name, present in given.items() if present), None)


class CVAE(LatentVariableModel):
    """A model of p(target | condition) with a latent z (Sohn et al. 2015).

    A recognition or prior network returns a pair ``(mu, scale)`` or one tensor packed along `packed_dim`.

    Args:
        recognition: ``recognition(target, condition)``, q(z | condition, target).
        generation: ``generation(z, condition)``, the likelihood's parameters, in the shape of the target.
        prior: ``prior(condition)``, p(z | condition); None for N(0, I), where ``"gsnn"`` needs `latent_shape`, because
            it asks no recognition network. The options of scale and packing hold for both networks.
        objective: ``"cvae"`` (equation 5); ``"gsnn"``, z from the prior and no KL, nor options of one, so that training
            draws as prediction does (equation 7); ``"hybrid"``, alpha * cvae + (1 - alpha) * gsnn (equation 8).
        alpha: the share of the CVAE objective in ``"hybrid"``, from 0 to 1.
        **options: as in `fastvae.VAE`. A write-up's KL weight of 1 + b is ``beta=1 + b``.

    Raises:
        TypeError, ValueError: an option out of its range or that contradicts another.

    Examples:
        >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
        >>> cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
        >>> labels = torch.nn.functional.one_hot(torch.arange(4), 10).float()  # the condition
        >>> images = torch.rand(4, 784)  # the target
        >>> cvae(labels, images).loss.backward()
        >>> cvae.sample(labels, 3).shape, cvae.predict(labels).shape
        (torch.Size([3, 4, 784]), torch.Size([4, 784]))
    """

    @passes_on(LatentVariableModel)
    def __init__(
        self,
        recognition: nn.Module,
        generation: nn.Module,
        prior: nn.Module | None = None,
        *,
        objective: str = "cvae",
        alpha: float = 1.0,
        **options: Unpack[ModelKeywords],
    ) -> None:
        one_of("objective", objective, OBJECTIVES)
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha: got {alpha!r}; takes a number from 0 to 1")
        super().__init__(**options)
        if self.elbo.reconstruction is None:
            raise ValueError(f"preset: got {self.elbo.preset!r}, which has no reconstruction; takes one that has")
        if objective == "gsnn" and (name := _option_of_the_kl(self.elbo)):
            raise ValueError(f"{name}: got a value with objective='gsnn', which has no KL; takes none")
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
        """The posterior q(z | condition, target).

        Args:
            target, condition: ``[batch, ...]`` each.

        Returns:
            A `fastvae.DiagonalGaussian` of ``[batch, *latent_shape]``.

        Raises:
            TypeError, ValueError: tensors that do not fit the recognition network, or one whose output is no Gaussian.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
            >>> cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
            >>> cvae.encode(torch.rand(4, 784), torch.zeros(4, 10))
            DiagonalGaussian(shape=[4, 8], dtype=float32, device=cpu, parameterization='logvar')
        """
        return self._gaussian("recognition", self.recognition, target=target, condition=condition)

    def encode_prior(self, condition: Tensor) -> DiagonalGaussian:
        """The prior p(z | condition).

        Args:
            condition: ``[batch, ...]``.

        Returns:
            A `fastvae.DiagonalGaussian` of ``[batch, *latent_shape]``: N(0, I) without a prior network.

        Raises:
            TypeError, ValueError: a condition that does not fit the prior network, or is no batch.
            RuntimeError: no prior network, no `latent_shape`, and no input so far that shows it.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
            >>> cvae = fastvae.CVAE(encoder, decoder, prior=torch.nn.Linear(10, 2 * 8), latent_shape=latent_shape)
            >>> cvae.encode_prior(torch.zeros(4, 10))
            DiagonalGaussian(shape=[4, 8], dtype=float32, device=cpu, parameterization='logvar')
        """
        if self.prior is not None:
            return self._gaussian("prior", self.prior, condition=condition)
        if not isinstance(condition, Tensor) or not condition.dim():
            raise TypeError(f"condition: got {describe(condition)}; takes a torch.Tensor, [batch, ...]")
        return self._standard_normal(condition.shape[0])

    def _learned_prior(self, condition: Tensor) -> DiagonalGaussian | None:
        """p(z | condition) of a prior network; None for N(0, I)."""
        return None if self.prior is None else self.encode_prior(condition)

    def decode(self, z: Tensor, condition: Tensor, *, mean: bool = False) -> Any:
        """The generation network's own output; or with `mean` the mean of p(target | z, condition).

        Args:
            z: latents, ``[batch, *latent_shape]``.
            condition: ``[batch, ...]``.
            mean: whether the output is taken to data space.

        Returns:
            What the network returns, ``[batch, ...]``.

        Raises:
            TypeError, ValueError: tensors that do not fit the generation network.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
            >>> cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
            >>> cvae.decode(torch.zeros(4, 8), torch.zeros(4, 10)).shape
            torch.Size([4, 784])
        """
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
        shard: tuple[int, int] | None = None,
        weight: Tensor | None = None,
        return_loss: bool = True,
    ) -> VAEOutput:
        """The objective for one batch, averaged over `num_samples` latents.

        With ``"hybrid"`` the vectors and the latent are those of the CVAE part, with ``"gsnn"`` mu and scale are the
        prior's. The two parts of ``"hybrid"`` draw separately unless `eps` or `seed` fixes the noise of both.

        Args:
            condition, target: ``[batch, ...]`` each.
            sample, num_samples, eps, seed, generator, shard, weight: as in `VAE.forward`.
            return_loss: False computes no objective: the output has the latent, the posterior and the prediction alone.

        Returns:
            As of `VAE.forward`.

        Raises:
            TypeError, ValueError: as of `VAE.forward`.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
            >>> cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
            >>> output = cvae(torch.zeros(4, 10), torch.rand(4, 784), num_samples=5)
            >>> output.loss.shape, output.z.shape, output.prediction.shape
            (torch.Size([]), torch.Size([5, 4, 8]), torch.Size([5, 4, 784]))
        """
        draw: DrawKeywords = {
            "num_samples": num_samples, "eps": eps, "seed": seed, "generator": generator, "shard": shard
        }  # fmt: skip
        if not return_loss:
            latents = self.encode_prior(condition) if self.objective == "gsnn" else self.encode(target, condition)
            return self._without_loss(latents, condition, sample=sample, draw=draw, weight=weight)
        if self.objective == "gsnn":
            return self._gsnn(self.encode_prior(condition), condition, target, sample, draw, weight)
        prior = self._learned_prior(condition)
        posterior = self.encode(target, condition)
        self._check_batch(posterior, "target", target)
        output = self._negative_elbo(posterior, prior, target, condition, sample=sample, draw=draw, weight=weight)
        if self.objective == "cvae":
            return output
        # Of this batch's latent shape, where `encode_prior` would take the shape of an earlier one.
        prior = self._standard_normal_like(posterior) if prior is None else prior
        gsnn = self._gsnn(prior, condition, target, sample, draw, weight)
        # One decoder pass each, because in one for both a batch norm would average over the latents of both. alpha
        # scales the losses, which costs a pass over the gradient that each kernel has written for a factor of 1.
        return VAEOutput(output, loss=self.alpha * output.loss + (1 - self.alpha) * gsnn.loss)

    def _gsnn(
        self,
        prior: DiagonalGaussian,
        condition: Tensor,
        target: Tensor,
        sample: bool,
        draw: DrawKeywords,
        weight: Tensor | None,
    ) -> VAEOutput:
        """The Gaussian stochastic network: recognition equals prior, so that there is no KL term."""
        self._check_batch(prior, "target", target)
        z = self._draw(prior, sample, draw)
        num_samples = draw["num_samples"]
        prediction = folded(self.decode, z, condition, folds=num_samples is not None)
        assert self.elbo.reconstruction is not None
        loss, samples = self.elbo.reconstruction(
            prediction,
            repeated(target, num_samples),
            weight=weight,
            per_sample=self.elbo.per_sample,
            batch_dims=1 if num_samples is None else 2,
        )
        kl = samples.new_zeros(target.shape[:1])
        return self._output(ELBOOutput(loss=loss, reconstruction=samples, kl=kl), prior, z, prediction)

    @torch.no_grad()
    def predict(
        self,
        condition: Tensor,
        num_samples: int | None = None,
        *,
        chunk_size: int = 50,
        seed: int | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """The expected target in data space, in the shape of the target.

        Args:
            condition: ``[batch, ...]``.
            num_samples: None for the prediction at the prior's mean (deterministic); K for the average over K latents
                from the prior.
            chunk_size: how many of these are decoded at once.
            seed, generator, shard: of these latents, as in `VAE.log_likelihood`.

        Returns:
            ``[batch, ...]``.

        Raises:
            RuntimeError: no prior network, no `latent_shape`, and no input so far that shows it.
            TypeError, ValueError: a condition that does not fit, an option out of its range, or noise for a
                deterministic prediction.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
            >>> cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
            >>> condition = torch.zeros(4, 10)
            >>> torch.equal(cvae.predict(condition), cvae.decode(torch.zeros(4, 8), condition, mean=True))
            True
            >>> cvae.predict(condition, num_samples=100, seed=0).shape
            torch.Size([4, 784])
        """
        prior = self.encode_prior(condition)
        if num_samples is None:
            z = mode_of(prior, "num_samples=None", {"seed": seed, "generator": generator, "shard": shard})
            target: Tensor = self.decode(z, condition, mean=True)
            return target
        source = seeded(seed, generator, prior.mu.device)
        sums = [
            self._means(prior, condition, count, generator=source, shard=shard).sum(0)
            for count in chunks(num_samples, chunk_size)
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
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """Means in data space for latents from the prior of each condition.

        Args:
            condition: ``[batch, ...]``.
            n: how many latents of each.
            seed, generator: as in `fastvae.functional.reparameterize`.
            shard: of the conditions: row b of them is row start + b of `total`.

        Returns:
            ``[n, batch, ...]``.

        Raises:
            RuntimeError: no prior network, no `latent_shape`, and no input so far that shows it.
            TypeError, ValueError: a condition that does not fit, an `n` that is no int of at least 1, or more than one
                source of noise.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
            >>> cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
            >>> cvae.sample(torch.eye(10), 3, seed=0).shape  # three of each digit
            torch.Size([3, 10, 784])
        """
        _check_order(condition, n)
        return self._means(self.encode_prior(condition), condition, n, seed=seed, generator=generator, shard=shard)

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
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """log p(target | condition) in nats of each sample (Sohn et al. 2015, section 4.3).

        Args:
            condition, target: ``[batch, ...]`` each.
            num_samples: latents drawn for each sample.
            chunk_size: how many of these are decoded at once.
            method: ``"importance"`` draws from the recognition network and weights by p(z | x) / q(z | x, y);
                ``"monte_carlo"`` draws from the prior. With objective ``"gsnn"``, whose recognition is the prior and
                whose recognition network is never trained, both draw from the prior.
            seed, generator, shard: as in `VAE.log_likelihood`.

        Returns:
            ``[batch]``, float64.

        Raises:
            TypeError, ValueError: tensors that do not fit, or an option out of its range.

        Examples:
            >>> encoder, decoder, latent_shape = fastvae.networks.build("mlp", (784,), 8, condition=10)
            >>> cvae = fastvae.CVAE(encoder, decoder, latent_shape=latent_shape)
            >>> cvae.log_likelihood(torch.zeros(4, 10), torch.rand(4, 784), num_samples=10).shape
            torch.Size([4])
        """
        one_of("method", method, METHODS)
        prior: DiagonalGaussian | None
        if method == "monte_carlo" or self.objective == "gsnn":
            posterior = prior = self.encode_prior(condition)
        else:
            prior, posterior = self._learned_prior(condition), self.encode(target, condition)
        return self._log_likelihood(
            posterior, prior, target, condition, num_samples=num_samples, chunk_size=chunk_size, seed=seed,
            generator=generator, shard=shard,
        )  # fmt: skip


def _check_order(condition: object, n: object) -> None:
    if isinstance(condition, int):
        raise TypeError(
            f"condition, n: got {describe(condition)} and {describe(n)}; takes the condition, a torch.Tensor, before n"
        )
