"""What the latent-variable models share: Gaussians from network outputs, the objective, importance sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from fastvae import _backend
from fastvae._describe import describe, named
from fastvae._gaussian_options import GaussianOptions
from fastvae._keywords import DrawKeywords, passes_on
from fastvae._options import shard_of
from fastvae.distributions import DiagonalGaussian, Prior, has_closed_kl
from fastvae.losses import ELBOLoss, ELBOOutput
from fastvae.modules import _options
from fastvae.modules._gaussians import gaussian_of
from fastvae.modules._importance import chunks, log_mean_exp, seeded
from fastvae.modules._networks import folded, repeated
from fastvae.modules._saved import Saved
from fastvae.modules._sharded import gather_in_methods
from fastvae.modules.output import VAEOutput


def mode_of(gaussian: DiagonalGaussian, cause: str, draw: DrawKeywords) -> Tensor:
    """The mean, because of an option, `cause`: what says how to draw has no meaning then."""
    unused = [name for name, value in draw.items() if value is not None]
    if unused:
        raise ValueError(f"{', '.join(unused)}: got a value with {cause}, which draws nothing; takes None")
    return gaussian.mode()


class LatentVariableModel(Saved, nn.Module):
    """A model with Gaussian latents and an `ELBOLoss`, `elbo`; the options are described in `fastvae.VAE`.

    A subclass decodes: ``decode(z, *condition)`` gives the likelihood's parameters.
    """

    decode: Callable[..., Any]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        gather_in_methods(cls)

    @passes_on(ELBOLoss, GaussianOptions)
    def __init__(
        self,
        *,
        loss: ELBOLoss | None = None,
        latent_shape: int | Sequence[int] | None = None,
        **options: Unpack[_options.ObjectiveAndGaussian],
    ) -> None:
        super().__init__()
        objective, gaussian = _options.told_apart(type(self).__name__, options)
        self.elbo = _options.objective(loss, objective)
        self.latent_shape = _options.latent_shape(latent_shape)
        self._latest_shape: tuple[int, ...] | None = None
        self._gaussian_options = replace(self.elbo.convention.gaussian, **gaussian)

    def extra_repr(self) -> str:
        """The options of the latent, for `repr`; the objective's follow it."""
        return named(self._gaussian_options.described() | {"latent_shape": self.latent_shape})

    def _gaussian(self, name: str, network: nn.Module, **inputs: object) -> DiagonalGaussian:
        """The distribution that a network's output stands for."""
        gaussian = gaussian_of(name, network, self._gaussian_options, **inputs)
        if _backend.leaves():
            return gaussian  # whose sizes are the program's, not this model's to keep or to compare
        shape = tuple(gaussian.mu.shape[1:])
        if self.latent_shape is None:
            if self._latest_shape != shape:
                self._latest_shape = shape
        elif shape != self.latent_shape:
            raise ValueError(
                f"latent_shape: got {list(self.latent_shape)}; {name} returned a latent of shape {list(shape)}"
            )
        return gaussian

    def _standard_normal(self, batch: int) -> DiagonalGaussian:
        """N(0, I) for `batch` latents, on the device and in the dtype of the parameters."""
        shape = self._latest_shape if self.latent_shape is None else self.latent_shape
        if shape is None:
            raise RuntimeError(
                "latent_shape: got None and no input so far that an encoder or a recognition or prior network has "
                f"seen; takes the shape of one sample's latent, as {type(self).__name__}(..., latent_shape=...)"
            )
        like = next((p for p in self.parameters() if p.is_floating_point()), torch.empty(0))
        zeros = torch.zeros((batch, *shape), dtype=like.dtype, device=like.device)
        return DiagonalGaussian(zeros, zeros)

    @staticmethod
    def _standard_normal_like(posterior: DiagonalGaussian) -> DiagonalGaussian:
        """N(0, I) for latents such as those of `posterior`."""
        zeros = torch.zeros_like(posterior.mu)
        return DiagonalGaussian(zeros, zeros)

    @staticmethod
    def _check_batch(posterior: DiagonalGaussian, name: str, value: object) -> None:
        """What is reconstructed, the argument `name`, has as many samples as there are latents, one or more."""
        batch = posterior.mu.shape[0]
        if isinstance(value, Tensor) and (value.dim() == 0 or value.shape[0] != batch or batch == 0):
            raise ValueError(
                f"{name}: got {describe(value)} for latents {describe(posterior.mu)}; takes [batch, ...], a sample or "
                "more and a latent for each"
            )

    def _negative_elbo(
        self,
        posterior: DiagonalGaussian,
        prior: Prior,
        target: Tensor,
        *condition: Tensor,
        sample: bool,
        draw: DrawKeywords,
        weight: Tensor | None,
    ) -> VAEOutput:
        """The objective for latents of `posterior`, decoded with `condition`."""
        num_samples = draw["num_samples"]
        self._check_shard(draw["shard"], posterior.mu)
        if self.elbo.decomposition is not None:
            return self._divided_elbo(posterior, prior, target, *condition, sample=sample, draw=draw, weight=weight)
        z, kl = self._draw_with_kl(posterior, prior, sample, draw)
        prediction = folded(self.decode, z, *condition, folds=num_samples is not None)
        reconstructs = self.elbo.reconstruction is not None
        loss = self.elbo.combine(
            prediction if reconstructs else None,
            repeated(target, num_samples) if reconstructs else None,
            kl,
            posterior.mu.shape[1:],
            weight=weight,
            batch_dims=1 if num_samples is None else 2,
        )
        return self._output(loss, posterior, z, prediction)

    @classmethod
    def _output(cls, loss: ELBOOutput, posterior: DiagonalGaussian, z: Tensor, prediction: Any) -> VAEOutput:
        terms = {} if loss.kl_terms is None else {"kl_terms": loss.kl_terms}
        return VAEOutput(
            loss=cls._over_latents(loss.loss), reconstruction_loss=loss.reconstruction, kl=loss.kl, z=z,
            mu=posterior.mu, scale=posterior.scale, prediction=prediction, **terms,
        )  # fmt: skip

    def _without_loss(
        self, posterior: DiagonalGaussian, *condition: Tensor, sample: bool, draw: DrawKeywords, **unused: Tensor | None
    ) -> VAEOutput:
        """The latents and their predictions; what only an objective takes is refused."""
        for name, value in unused.items():
            if value is not None:
                raise ValueError(
                    f"{name}: got {describe(value)} with return_loss=False, which computes none; takes None"
                )
        z = self._draw(posterior, sample, draw)
        prediction = folded(self.decode, z, *condition, folds=draw["num_samples"] is not None)
        return VAEOutput(z=z, mu=posterior.mu, scale=posterior.scale, prediction=prediction)

    def _check_shard(self, shard: tuple[int, int] | None, mu: Tensor) -> None:
        """A part of a batch has an objective that is a part of the batch's."""
        cause = self.elbo.mixes_samples
        if shard is not None and cause and shard_of(shard, len(mu))[1] != len(mu):
            raise ValueError(f"shard: got {shard} with {cause}, which mixes the samples of the whole batch; takes None")

    @staticmethod
    def _over_latents(loss: Tensor) -> Tensor:
        """The mean over the latents of each sample, ``[batch]``; a scalar is one already."""
        return loss.mean(0) if loss.dim() > 1 else loss

    def _divided_elbo(
        self,
        posterior: DiagonalGaussian,
        prior: Prior,
        target: Tensor,
        *condition: Tensor,
        sample: bool,
        draw: DrawKeywords,
        weight: Tensor | None,
    ) -> VAEOutput:
        """`_negative_elbo` with the KL in parts, which are estimated at one sample of each posterior."""
        for name, value, taken in (("sample", sample, True), ("num_samples", draw["num_samples"], None)):
            if value is not taken:
                raise ValueError(f"{name}: got {value!r} with total_correlation, estimated at a sample; takes {taken}")
        z = self._draw(posterior, sample, draw)
        prediction = folded(self.decode, z, *condition, folds=False)
        loss = self.elbo(prediction, target, posterior, z=z, prior=prior, weight=weight)
        return self._output(loss, posterior, z, prediction)

    def _draw_with_kl(
        self, posterior: DiagonalGaussian, prior: Prior, sample: bool, draw: DrawKeywords
    ) -> tuple[Tensor, Tensor]:
        """(z, KL), the KL reduced as the objective takes it."""
        reduction = self.elbo.kl_reduction
        estimated = not has_closed_kl(prior)
        if estimated and not sample:
            raise ValueError(
                f"sample: got False with prior={type(prior).__name__}, whose KL is estimated at a sample; takes True"
            )
        if not sample:
            return self._draw(posterior, sample, draw), posterior.kl(prior, reduction=reduction)
        if self.elbo.needs_z or estimated:
            z = self._draw(posterior, sample, draw)
            return z, posterior.log_ratio(z, prior, reduction=reduction)
        return posterior.rsample_kl(prior, reduction=reduction, **draw)

    @staticmethod
    def _draw(gaussian: DiagonalGaussian, sample: bool, draw: DrawKeywords) -> Tensor:
        """A sample, or without `sample` the mean."""
        return gaussian.rsample(**draw) if sample else mode_of(gaussian, "sample=False", draw)

    def _log_weights(
        self,
        posterior: DiagonalGaussian,
        prior: Prior,
        target: Tensor,
        *condition: Tensor,
        num_samples: int,
        seed: int | Tensor | None = None,
        generator: torch.Generator | None = None,
        shard: tuple[int, int] | None = None,
    ) -> Tensor:
        """log p(target, z_k) - log q(z_k), ``[num_samples, batch]``, for draws z_k of `posterior`."""
        z = posterior.rsample(num_samples, seed=seed, generator=generator, shard=shard)
        prediction = folded(self.decode, z, *condition, folds=True)
        log_p = self.elbo.log_prob(prediction, repeated(target, num_samples), batch_dims=2)
        return log_p if posterior is prior else log_p - posterior.log_ratio(z, prior)

    def _log_likelihood(
        self,
        posterior: DiagonalGaussian,
        prior: Prior,
        target: Tensor,
        *condition: Tensor,
        num_samples: int,
        chunk_size: int,
        seed: int | None,
        generator: torch.Generator | None,
        shard: tuple[int, int] | None,
    ) -> Tensor:
        """log of the mean importance weight of each sample, ``[batch]``, in float64."""
        source = seeded(seed, generator, posterior.mu.device)
        log_w = (
            self._log_weights(posterior, prior, target, *condition, num_samples=count, generator=source, shard=shard)
            for count in chunks(num_samples, chunk_size)
        )
        return log_mean_exp(log_w, num_samples)
