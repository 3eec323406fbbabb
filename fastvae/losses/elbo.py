"""The negative ELBO as a module."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from fastvae._describe import named
from fastvae.distributions import DiagonalGaussian, Prior, has_closed_kl
from fastvae.functional._elbo import kl_term, times
from fastvae.losses._masked import masked_kl
from fastvae.losses._options import (
    CustomLikelihood,
    Weight,
    choose_convention,
    choose_likelihood,
    current,
    one_of,
    weight,
)
from fastvae.losses.output import ELBOOutput
from fastvae.losses.reconstruction import Reconstruction
from fastvae.losses.total_correlation import KLTerms, decomposition

FREE_BITS_PER: Final = ("sample", "dimension", "batch_dimension")
_CAPACITY_PER: Final = ("batch", "sample")
KL_ESTIMATORS: Final = ("analytic", "monte_carlo")
_REDUCTIONS: Final = ("batchmean", "sample")


class ELBOLoss(nn.Module):
    """Negative ELBO: reconstruction + beta * KL (Kingma & Welling 2014; beta: Higgins et al. 2017).

    Args:
        likelihood: ``"bernoulli"`` (logits), ``"bernoulli_probs"``, ``"gaussian"`` (unit variance),
            ``"squared_error"`` (no factor 0.5), ``"laplace"``, ``"gaussian_learned"`` or ``"laplace_learned"`` (one
            learned log-scale) or ``"poisson"`` (log rates of counts), each summed over features per sample; or a
            callable ``(prediction, target) -> negative log-likelihood [batch]``, such as an nn.Module. A
            `fastvae.losses.Density` also says what the normalized `log_prob` and the `mean` are; three have a name:
            ``"negative_binomial"`` and ``"zero_inflated_negative_binomial"`` (`fastvae.losses.NegativeBinomial`: the
            decoder returns two or three parts packed along dim 1) and ``"discretized_logistic_mixture"``
            (`fastvae.losses.DiscretizedLogisticMixture`: 10 parameters a pixel and component, 3 for grey pixels). None:
            the first that the preset's project offers, or ``"bernoulli"``.
        beta: multiplies the KL: a float, a 0-dim tensor (yours to change in place, never read on the host) or a
            schedule, which you `step`.
        free_bits: nats of KL that cost nothing (Kingma et al. 2016): max(KL, free_bits).
        free_bits_per: ``"sample"``, ``"dimension"`` (of each sample) or ``"batch_dimension"`` (each dimension's mean
            over the batch, as in the paper). The last two need the KL elementwise, or a DiagonalGaussian.
        capacity: C of abs(KL - C) (Burgess et al. 2018), given as `beta` may be; None for the KL itself.
        capacity_per: take it of the ``"batch"`` mean or of each ``"sample"``. None: the preset's, or the batch.
        kl_estimator: ``"analytic"`` or ``"monte_carlo"``: log q(z|x) - log p(z) at `z`. None: the preset's, or
            analytic.
        preset: a project's way to write the ELBO, a row of `fastvae.presets`. It decides everything above but `beta`,
            which multiplies its own weight, `capacity`, where the project has one, and `likelihood`, where the project
            offers several.
        total_correlation: a weight of this part of the KL (beta of beta-TC-VAE, Chen et al. 2018): the KL is then that
            of `fastvae.losses.TotalCorrelation`, estimated at `z`, and `beta` multiplies all three parts. None: the
            preset's, or the KL undivided.
        mutual_information, dimension_kl: weights of the other two parts (alpha and gamma of beta-TC-VAE).
        dataset_size, weighting: of the estimate, as in `fastvae.losses.TotalCorrelation`.
        reduction: ``"batchmean"`` (a preset's own reduction in its place) or ``"sample"``, a differentiable vector with
            a value a sample. It is refused where the objective is no sum over samples, as with `total_correlation`.

    Raises:
        ValueError, TypeError: an unknown name, a value out of range, an option that contradicts the preset.

    Examples:
        >>> x, mu, logvar = torch.ones(2, 10), torch.ones(2, 3), torch.zeros(2, 3)
        >>> logits = torch.zeros(2, 10)  # what a decoder makes of a latent
        >>> loss = fastvae.ELBOLoss("bernoulli", beta=4.0)
        >>> loss(logits, x, fastvae.DiagonalGaussian(mu, logvar))
        ELBOOutput(loss=tensor(12.9315), reconstruction=float32[2], kl=float32[2])
        >>> F.binary_cross_entropy_with_logits(logits, x, reduction="batchmean") + 4 * F.gaussian_kl(mu, logvar)
        tensor(12.9315)
        >>> loss.kl_reduction, loss.needs_z, loss.mixes_samples
        ('sample', False, None)
        >>> fastvae.ELBOLoss(beta=fastvae.LinearWarmup(0.0, 1.0, steps=1000), free_bits=0.5)
        ELBOLoss(
          free_bits=0.5, free_bits_per='sample'
          (beta): LinearWarmup(start=0.0, end=1.0, steps=1000)
          (reconstruction): Reconstruction(likelihood='bernoulli')
        )
    """

    def __init__(
        self,
        likelihood: str | CustomLikelihood | None = None,
        *,
        beta: Weight = 1.0,
        free_bits: float = 0.0,
        free_bits_per: str = "sample",
        capacity: Weight | None = None,
        capacity_per: str | None = None,
        kl_estimator: str | None = None,
        preset: str | None = None,
        total_correlation: Weight | None = None,
        mutual_information: Weight = 1.0,
        dimension_kl: Weight = 1.0,
        dataset_size: int | None = None,
        weighting: str | None = None,
        reduction: str = "batchmean",
    ) -> None:
        super().__init__()
        one_of("free_bits_per", free_bits_per, FREE_BITS_PER)
        one_of("capacity_per", capacity_per, (None, *_CAPACITY_PER))
        one_of("kl_estimator", kl_estimator, (None, *KL_ESTIMATORS))
        one_of("reduction", reduction, _REDUCTIONS)
        self.beta = weight("beta", beta)
        self.capacity = None if capacity is None else weight("capacity", capacity)
        self.preset = preset
        self.per_sample = reduction == "sample"
        self.convention = choose_convention(
            preset, free_bits=free_bits, free_bits_per=free_bits_per, capacity=capacity, capacity_per=capacity_per,
            kl_estimator=kl_estimator,
        )  # fmt: skip
        self.decomposition = decomposition(
            self.convention, total_correlation=total_correlation, mutual_information=mutual_information,
            dimension_kl=dimension_kl, dataset_size=dataset_size, weighting=weighting,
            bounded=capacity is not None or self.convention.free_bits > 0,
        )  # fmt: skip
        chosen, factor = choose_likelihood(likelihood, preset, self.convention)
        self.reconstruction = None if chosen is None else Reconstruction(chosen, factor, self.convention.reconstruction)
        if self.per_sample and self.mixes_samples:
            raise ValueError(
                f"reduction: got 'sample' with {self.mixes_samples}, which mixes samples; takes 'batchmean'"
            )

    @property
    def mixes_samples(self) -> str | None:
        """The option by which the objective is no sum of a term a sample, if there is one."""
        row = self.convention
        mixing = {
            "free_bits_per='batch_dimension'": bool(row.free_bits) and row.free_bits_per == "batch_dimension",
            "capacity_per='batch'": self.capacity is not None and row.capacity_per == "batch",
            f"preset={self.preset!r}": row.kl_estimator == "masked",
            "total_correlation": self.decomposition is not None,
        }
        return next((cause for cause, present in mixing.items() if present), None)

    @property
    def needs_z(self) -> bool:
        """Whether the KL is estimated at a sample: such a loss is called with a DiagonalGaussian and `z`."""
        return self.convention.kl_estimator != "analytic" or self.decomposition is not None

    @property
    def kl_reduction(self) -> str:
        """How `combine` takes the KL: ``"sample"``, or ``"none"`` (elementwise)."""
        row = self.convention
        per_dimension = row.free_bits and row.free_bits_per in ("dimension", "batch_dimension")
        return "none" if per_dimension else "sample"

    def forward(
        self,
        prediction: Any,
        target: Tensor | None,
        kl: Tensor | DiagonalGaussian,
        *,
        z: Tensor | None = None,
        prior: Prior = None,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
        batch_dims: int = 1,
    ) -> ELBOOutput:
        """The loss of one batch.

        Args:
            prediction: the decoder's output, ``[batch, ...]``, or ``[num_samples, batch, ...]`` with ``batch_dims=2``.
            target: the data in the shape of `prediction`, an expanded view for several samples. Both are None for a
                preset without a reconstruction term.
            kl: the posterior; or its KL, ``[batch]`` or elementwise ``[batch, ...]`` (of more than `batch_dims`
                dimensions).
            z: the sample, where the KL is estimated at it; ignored otherwise.
            prior: with a posterior as `kl`: None for N(0, I), a DiagonalGaussian or a pair ``(mu, scale)``; or a
                `fastvae.distributions.LatentPrior`, the KL to which is estimated at `z`.
            weight: of the reconstruction's elements, broadcastable to `prediction`; a mask is a weight of 0 and 1.
            mask: of the latent's elements, for ``preset="vits"``.
            batch_dims: how many leading dimensions index samples: 2 for several latents of each.

        Returns:
            The loss, to be minimized, and its parts in nats.

        Raises:
            TypeError, ValueError: tensors that do not fit the likelihood, the KL or the preset; a `z`, a `target` or a
                `mask` that is missing or not taken.

        Examples:
            >>> posterior, x = fastvae.DiagonalGaussian(torch.ones(2, 20), torch.zeros(2, 20)), torch.zeros(2, 784)
            >>> loss = fastvae.ELBOLoss("gaussian", kl_estimator="monte_carlo", reduction="sample")
            >>> loss(torch.ones(2, 784), x, posterior, z=posterior.rsample(seed=0)).loss.shape
            torch.Size([2])
        """
        estimator = self.convention.kl_estimator
        if mask is not None and estimator != "masked":
            raise ValueError(f"mask: got a tensor with preset={self.preset!r}; takes None (a mask of x is a weight)")
        if not isinstance(kl, DiagonalGaussian):
            values, latent_shape = self._computed(kl, prior, batch_dims)
            return self.combine(prediction, target, values, latent_shape, weight=weight, batch_dims=batch_dims)
        estimated = self.needs_z or not has_closed_kl(prior)
        if estimated and z is None:
            cause = "total_correlation" if self.decomposition is not None else f"kl_estimator={estimator!r}"
            cause = cause if has_closed_kl(prior) else f"prior={type(prior).__name__}"
            raise ValueError(f"z: got None with {cause}; takes the posterior's sample")
        if estimator == "masked":
            self._check_no_reconstruction(prediction, target)
            loss, samples = masked_kl(kl, z, prior, mask)
            samples = samples.detach()
            return ELBOOutput(
                loss=times(loss, current(self.beta)), reconstruction=torch.zeros_like(samples), kl=samples
            )
        if z is not None and self.decomposition is not None:
            divided, samples, terms = self.decomposition(z, kl, prior)
            weighted = times(divided, current(self.beta))
            return self._reconstructed(prediction, target, weighted, samples, terms, weight, batch_dims)
        if z is not None and estimated:
            values = kl.log_ratio(z, prior, reduction=self.kl_reduction)
        else:
            values = kl.kl(prior, reduction=self.kl_reduction)
        return self.combine(prediction, target, values, kl.mu.shape[1:], weight=weight, batch_dims=batch_dims)

    def _computed(self, kl: Tensor, prior: object, batch_dims: int) -> tuple[Tensor, torch.Size | None]:
        """A KL computed by the caller, as `kl_reduction` says, and the latent's shape where the tensor shows it."""
        row = self.convention
        if self.needs_z:
            raise TypeError("kl: got a tensor where the KL is estimated at z; takes a DiagonalGaussian")
        if prior is not None:
            raise ValueError("prior: got a value with kl as a tensor; takes None, the KL to the prior being kl itself")
        if kl.dim() > batch_dims:
            values = kl if self.kl_reduction == "none" else kl.flatten(batch_dims).sum(-1)
            return values, kl.shape[batch_dims:]
        by_size = row.free_bits_per == "latent_size" or row.kl in ("mean", "positionmean")
        if by_size or self.kl_reduction == "none":
            raise ValueError(
                f"kl: got shape {list(kl.shape)}, one value a sample, with preset={self.preset!r}, free_bits_per="
                f"{row.free_bits_per!r}; takes a DiagonalGaussian, or the KL elementwise"
            )
        return kl, None

    def combine(
        self,
        prediction: Any,
        target: Tensor | None,
        kl: Tensor,
        latent_shape: torch.Size | None,
        *,
        weight: Tensor | None = None,
        batch_dims: int = 1,
    ) -> ELBOOutput:
        """`forward` for a KL that is reduced as `kl_reduction` says.

        Args:
            prediction, target, weight, batch_dims: as in `forward`.
            kl: ``[batch]``, or elementwise ``[batch, ...]``, in nats.
            latent_shape: of one sample's latent; None where the preset does not ask for it.

        Returns:
            As of `forward`.

        Raises:
            TypeError, ValueError: tensors that do not fit the likelihood or the preset.

        Examples:
            >>> loss, x = fastvae.ELBOLoss("gaussian", beta=2.0), torch.zeros(2, 784)
            >>> loss.combine(x, x, torch.tensor([3.0, 5.0]), torch.Size([20])).loss
            tensor(8.)
        """
        shape = torch.Size() if latent_shape is None else latent_shape
        weighted_kl = kl_term(
            self.convention,
            kl,
            shape,
            beta=current(self.beta),
            capacity=None if self.capacity is None else current(self.capacity),
            per_sample=self.per_sample,
        )
        kl_samples = kl.detach()
        if self.kl_reduction == "none" and shape:
            kl_samples = kl_samples.flatten(-len(shape)).sum(-1)
        return self._reconstructed(prediction, target, weighted_kl, kl_samples, None, weight, batch_dims)

    def _reconstructed(
        self,
        prediction: Any,
        target: Tensor | None,
        weighted_kl: Tensor,
        kl_samples: Tensor,
        kl_terms: KLTerms | None,
        weight: Tensor | None,
        batch_dims: int,
    ) -> ELBOOutput:
        """The weighted KL and the reconstruction term, where there is one."""
        terms = {} if kl_terms is None else {"kl_terms": kl_terms}
        if self.reconstruction is None:
            self._check_no_reconstruction(prediction, target)
            return ELBOOutput(loss=weighted_kl, reconstruction=torch.zeros_like(kl_samples), kl=kl_samples, **terms)
        if target is None:
            raise TypeError("target: got None; takes a torch.Tensor")
        reconstruction, samples = self.reconstruction(
            prediction, target, weight=weight, per_sample=self.per_sample, batch_dims=batch_dims
        )
        return ELBOOutput(loss=reconstruction + weighted_kl, reconstruction=samples, kl=kl_samples, **terms)

    def log_prob(self, prediction: Any, target: Tensor, *, batch_dims: int = 1) -> Tensor:
        """log p(target | z) in nats of each sample, normalized, without the factors of a preset.

        Args:
            prediction, target, batch_dims: as in `forward`.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``.

        Raises:
            TypeError, ValueError: tensors that do not fit the likelihood, or a preset without one.

        Examples:
            >>> x = torch.zeros(2, 4)
            >>> fastvae.ELBOLoss("gaussian").log_prob(x, x)
            tensor([-3.6758, -3.6758])
            >>> torch.distributions.Normal(x, 1.0).log_prob(x).sum(1)
            tensor([-3.6758, -3.6758])
        """
        if self.reconstruction is None:
            raise ValueError(f"preset: got {self.preset!r}, which has no likelihood; takes one that has")
        return self.reconstruction.log_prob(prediction, target, batch_dims=batch_dims)

    def mean(self, prediction: Any) -> Any:
        """The prediction in data space: the mean of p(x | z).

        The sigmoid of logits, the exponential of log rates, a `Density`'s own mean, and anything else as it is.

        Args:
            prediction: as in `forward`.

        Returns:
            The shape of the data.

        Examples:
            >>> prediction = torch.zeros(1, 3)
            >>> for likelihood in ("bernoulli", "poisson", "gaussian"):
            ...     print(fastvae.ELBOLoss(likelihood).mean(prediction))
            tensor([[0.5000, 0.5000, 0.5000]])
            tensor([[1., 1., 1.]])
            tensor([[0., 0., 0.]])
        """
        return prediction if self.reconstruction is None else self.reconstruction.mean(prediction)

    def extra_repr(self) -> str:
        """The module's options, for `repr`; those that are modules follow it, with the likelihood."""
        row = self.convention
        options: dict[str, object] = {
            "preset": self.preset,
            "beta": self.beta,
            "free_bits": row.free_bits or None,
            "free_bits_per": row.free_bits_per if row.free_bits else None,
            "capacity": self.capacity,
            "capacity_per": None if self.capacity is None else row.capacity_per,
            "kl_estimator": None if row.kl_estimator == "analytic" else row.kl_estimator,
            "reduction": "sample" if self.per_sample else None,
        }
        return named({name: value for name, value in options.items() if not isinstance(value, nn.Module)})

    def _check_no_reconstruction(self, prediction: object, target: object) -> None:
        for name, value in (("prediction", prediction), ("target", target)):
            if value is not None:
                raise ValueError(f"{name}: got a value with preset={self.preset!r}, which has no reconstruction")
