"""The negative ELBO as a module."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from fastvae._likelihoods import Likelihood, likelihood
from fastvae.distributions import DiagonalGaussian
from fastvae.functional._elbo import kl_term, reconstruction_term, times
from fastvae.losses.schedules import Schedule
from fastvae.presets import Preset, preset

CustomLikelihood = Callable[[Any, Tensor], Tensor]
Weight = float | Tensor | Schedule

_FREE_BITS_PER: Final = ("sample", "dimension", "batch_dimension")
_CAPACITY_PER: Final = ("batch", "sample")
_ESTIMATORS: Final = ("analytic", "monte_carlo")
_REDUCTIONS: Final = ("batchmean", "sample")


class ELBOOutput(NamedTuple):
    """What `ELBOLoss` returns.

    Attributes:
        loss: the negative ELBO, differentiable: a scalar, or ``[batch]`` with ``reduction="sample"``.
        reconstruction: the reconstruction term of each sample as it enters `loss`, detached.
        kl: the KL of each sample in nats, before free bits, capacity and beta, detached.
    """

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


class ELBOLoss(nn.Module):
    """Negative ELBO: reconstruction + beta * KL (Kingma & Welling 2014; beta: Higgins et al. 2017).

    Args:
        likelihood: ``"bernoulli"`` (logits, the default), ``"bernoulli_probs"``, ``"gaussian"`` (unit variance),
            ``"squared_error"`` (no factor 0.5), ``"laplace"``, ``"gaussian_learned"`` or ``"laplace_learned"`` (one
            learned `log_scale`), each summed over features per sample; or a callable
            ``(prediction, target) -> negative log-likelihood [batch]``, such as an nn.Module.
        beta: multiplies the KL: a float, a 0-dim tensor (yours to change in place, never read on the host) or a
            schedule, which you `step`.
        free_bits: nats of KL that cost nothing (Kingma et al. 2016): max(KL, free_bits).
        free_bits_per: ``"sample"``, ``"dimension"`` (of each sample) or ``"batch_dimension"`` (each dimension's mean
            over the batch, as in the paper). The last two need the KL elementwise, or a DiagonalGaussian.
        capacity: C of abs(KL - C) (Burgess et al. 2018), given as `beta` may be; None for the KL itself.
        capacity_per: take it of the ``"batch"`` mean, or of each ``"sample"``.
        kl_estimator: ``"analytic"``, or ``"monte_carlo"``: log q(z|x) - log p(z) at `z`.
        preset: a row of `fastvae.presets`. It decides everything above but `beta`, which multiplies its own weight,
            `capacity`, where the project has one, and `likelihood`, where the project offers several.
        reduction: ``"batchmean"`` (a preset's own reduction in its place) or ``"sample"``, a differentiable vector.

    Raises:
        ValueError, TypeError: an unknown name, a value out of range, an option that contradicts the preset.
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
        reduction: str = "batchmean",
    ) -> None:
        super().__init__()
        _one_of("free_bits_per", free_bits_per, _FREE_BITS_PER)
        _one_of("capacity_per", capacity_per, (None, *_CAPACITY_PER))
        _one_of("kl_estimator", kl_estimator, (None, *_ESTIMATORS))
        _one_of("reduction", reduction, _REDUCTIONS)
        if not 0.0 <= free_bits < math.inf:
            raise ValueError(f"free_bits: got {free_bits!r}; takes a finite number of at least 0")
        self.preset = preset
        self.reduction = reduction
        self.beta = _weight("beta", beta)
        self.capacity = None if capacity is None else _weight("capacity", capacity)
        if preset is None:
            self.rule = Preset(
                kl_estimator=kl_estimator or "analytic",
                free_bits=float(free_bits),
                free_bits_per=free_bits_per,
                capacity_per=capacity_per or "batch",
            )
        else:
            self.rule = _preset_rule(preset, free_bits, capacity, capacity_per, kl_estimator)
        self.likelihood, self._factor = _choose(likelihood, preset, self.rule)
        learned = isinstance(self.likelihood, str) and self._likelihood.learned_scale
        self.log_scale = nn.Parameter(torch.zeros(())) if learned else None
        if reduction == "sample":
            self._check_separable()

    @property
    def _likelihood(self) -> Likelihood:
        return likelihood(self.likelihood)

    @property
    def needs_z(self) -> bool:
        """The KL is estimated at z: call with a DiagonalGaussian and `z`."""
        return self.rule.kl_estimator != "analytic"

    @property
    def kl_reduction(self) -> str:
        """What an analytic KL must come as: ``"sample"``, or ``"none"`` (elementwise)."""
        per_dimension = self.rule.free_bits and self.rule.free_bits_per in ("dimension", "batch_dimension")
        return "none" if per_dimension else "sample"

    def _check_separable(self) -> None:
        rule = self.rule
        across = {
            "free_bits_per='batch_dimension'": bool(rule.free_bits) and rule.free_bits_per == "batch_dimension",
            "capacity_per='batch'": self.capacity is not None and rule.capacity_per == "batch",
            f"preset={self.preset!r}": rule.kl_estimator == "masked",
        }
        for cause, present in across.items():
            if present:
                raise ValueError(f"reduction: got 'sample' with {cause}, which mixes samples; takes 'batchmean'")

    def forward(
        self,
        prediction: Any,
        target: Tensor | None,
        kl: Tensor | DiagonalGaussian,
        *,
        z: Tensor | None = None,
        prior: DiagonalGaussian | tuple[Tensor, Tensor] | None = None,
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
            prior: with a posterior as `kl`: None for N(0, I), a DiagonalGaussian or a pair.
            weight: of the reconstruction's elements, broadcastable to `prediction`; a mask is a weight of 0 and 1.
            mask: of the latent's elements, for ``preset="vits"``.
        """
        if mask is not None and self.rule.kl_estimator != "masked":
            raise ValueError(f"mask: got a tensor with preset={self.preset!r}; takes None (a mask of x is a weight)")
        if isinstance(kl, DiagonalGaussian):
            if self.rule.kl_estimator == "masked":
                return self._masked(kl, z, prior, mask)
            latent_shape: torch.Size | None = kl.mu.shape[1:]
            values = self._divergence(kl, z, prior)
        else:
            values, latent_shape = self._given(kl, prior, batch_dims)
        return self.combine(prediction, target, values, latent_shape, weight=weight, batch_dims=batch_dims)

    def _divergence(
        self, posterior: DiagonalGaussian, z: Tensor | None, prior: DiagonalGaussian | tuple[Tensor, Tensor] | None
    ) -> Tensor:
        if not self.needs_z:
            return posterior.kl(prior, reduction=self.kl_reduction)
        if z is None:
            raise ValueError(f"z: got None with kl_estimator={self.rule.kl_estimator!r}; takes the posterior's sample")
        return posterior.log_ratio(z, prior, reduction=self.kl_reduction)

    def _given(self, kl: Tensor, prior: object, batch_dims: int) -> tuple[Tensor, torch.Size | None]:
        if self.needs_z:
            raise TypeError(f"kl: got a tensor with kl_estimator={self.rule.kl_estimator!r}; takes a DiagonalGaussian")
        if prior is not None:
            raise ValueError("prior: got a value with kl as a tensor; takes None, the KL to the prior being kl itself")
        if kl.dim() <= batch_dims:
            if self.kl_reduction == "none":
                raise ValueError(
                    f"kl: got shape {list(kl.shape)}, one value a sample, with free_bits_per="
                    f"{self.rule.free_bits_per!r}; takes a DiagonalGaussian or the KL elementwise"
                )
            return kl, None
        latent_shape = kl.shape[batch_dims:]
        return (kl if self.kl_reduction == "none" else kl.flatten(batch_dims).sum(-1)), latent_shape

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
        """`forward` for who has the KL already, as `kl_reduction` says; `latent_shape` is one sample's."""
        if latent_shape is None and not self._latent_free:
            raise ValueError(f"kl: got one value a sample with preset={self.preset!r}; takes a DiagonalGaussian")
        latent_shape = torch.Size() if latent_shape is None else latent_shape
        per_sample = self.reduction == "sample"
        divergence = kl_term(
            self.rule,
            kl,
            latent_shape,
            beta=_current(self.beta),
            capacity=None if self.capacity is None else _current(self.capacity),
            per_sample=per_sample,
        )
        plain = kl.detach()
        if self.kl_reduction == "none":
            plain = plain.flatten(plain.dim() - len(latent_shape)).sum(-1) if latent_shape else plain
        if self.likelihood is None:
            if prediction is not None or target is not None:
                raise ValueError(f"prediction: got a value with preset={self.preset!r}, which has no reconstruction")
            return ELBOOutput(divergence, torch.zeros_like(plain), plain)
        reconstruction, samples = self.reconstruction(prediction, target, weight=weight, batch_dims=batch_dims)
        return ELBOOutput(reconstruction + divergence, samples, plain)

    def reconstruction(
        self, prediction: Any, target: Tensor | None, *, weight: Tensor | None = None, batch_dims: int = 1
    ) -> tuple[Tensor, Tensor]:
        """The reconstruction term alone, reduced as the loss is, and its per-sample values, detached."""
        return self._reconstruction(
            prediction,
            target,
            weight,
            self._factor,
            self.rule.reconstruction,
            self.reduction == "sample",
            batch_dims,
        )

    @property
    def _latent_free(self) -> bool:
        """No option needs the size of the latent."""
        return self.rule.kl in ("sum", "batchmean") and self.rule.free_bits_per != "latent_size"

    def _reconstruction(
        self,
        prediction: Any,
        target: Tensor | None,
        weight: Tensor | None,
        factor: float,
        reduction: str,
        per_sample: bool,
        batch_dims: int,
    ) -> tuple[Tensor, Tensor]:
        if target is None:
            raise TypeError("target: got None; takes a torch.Tensor")
        if not isinstance(self.likelihood, str):
            nll = self._custom(prediction, target, weight, batch_dims)
            return (nll if per_sample else nll.mean()), nll.detach()
        if not isinstance(prediction, Tensor):
            raise TypeError(
                f"prediction: got {type(prediction).__name__} with likelihood={self.likelihood!r}; takes a torch.Tensor"
            )
        if prediction.shape != target.shape:
            raise ValueError(
                f"prediction: got shape {list(prediction.shape)}; takes the shape of target, {list(target.shape)}"
            )
        return reconstruction_term(
            self._likelihood,
            prediction,
            target,
            factor=factor,
            weight=weight,
            log_scale=self.log_scale,
            reduction=reduction,
            per_sample=per_sample,
            batch_dims=batch_dims,
        )

    def _custom(self, prediction: Any, target: Tensor, weight: Tensor | None, batch_dims: int) -> Tensor:
        """A callable sees one batch dimension, so several samples are folded into it (which copies the target)."""
        assert callable(self.likelihood)
        if weight is not None:
            raise ValueError("weight: got a tensor with a callable likelihood; takes None (weigh inside the callable)")
        lead = target.shape[:batch_dims]
        if batch_dims > 1:
            target = target.flatten(0, batch_dims - 1)
            prediction = prediction.flatten(0, batch_dims - 1) if isinstance(prediction, Tensor) else prediction
        nll = self.likelihood(prediction, target)
        if nll.shape != target.shape[:1]:
            raise ValueError(
                f"likelihood: returned shape {list(nll.shape)}; takes a callable that returns one value a sample, "
                f"{list(target.shape[:1])}"
            )
        return nll.reshape(lead)

    def log_prob(self, prediction: Any, target: Tensor, *, batch_dims: int = 1) -> Tensor:
        """log p(target | z) in nats of each sample, normalized: the constants the training loss leaves out are in.

        A preset's factors are left out: it is the likelihood itself. A callable is taken to be normalized.
        """
        if self.likelihood is None:
            raise ValueError(
                f"likelihood: got None, preset={self.preset!r} having no reconstruction; takes a likelihood"
            )
        nll, _ = self._reconstruction(prediction, target, None, 1.0, "batchmean", True, batch_dims)
        if not isinstance(self.likelihood, str):
            return -nll
        return -nll - self._likelihood.log_normalizer * target.shape[batch_dims:].numel()

    def mean(self, prediction: Any) -> Any:
        """The prediction in data space: the sigmoid of logits, anything else as it is."""
        return self._likelihood.mean(prediction) if isinstance(self.likelihood, str) else prediction

    def _masked(
        self,
        posterior: DiagonalGaussian,
        z: Tensor | None,
        prior: DiagonalGaussian | tuple[Tensor, Tensor] | None,
        mask: Tensor | None,
    ) -> ELBOOutput:
        """VITS (Kim et al. 2021): log sigma_p - log sigma_q - 0.5 + 0.5 ((z - mu_p) / sigma_p)^2, over the mask."""
        for name, value in (("z", z), ("prior", prior), ("mask", mask)):
            if value is None:
                raise ValueError(
                    f"{name}: got None with preset={self.preset!r}; takes the flowed sample, its prior and a mask"
                )
        assert z is not None
        assert mask is not None
        surprise = -posterior.log_prior(z, prior, reduction="none")
        elements = surprise - 0.5 * posterior.logvar - 0.5 * (1 + math.log(2 * math.pi))
        samples = (elements * mask).flatten(1).sum(1)
        return ELBOOutput(
            times(samples.sum() / mask.sum(), _current(self.beta)), torch.zeros_like(samples).detach(), samples.detach()
        )


def _one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}; takes one of {choices}")


def _weight(name: str, value: Any) -> Weight:
    if isinstance(value, Schedule):
        return value
    if isinstance(value, Tensor):
        if value.dim() or not value.is_floating_point():
            raise ValueError(
                f"{name}: got a tensor of dtype {value.dtype} and shape {list(value.shape)}; takes a float, a 0-dim "
                "floating-point tensor or a schedule"
            )
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: got {type(value).__name__}; takes a float, a 0-dim tensor or a schedule")
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name}: got {value!r}; takes a finite number of at least 0")
    return float(value)


def _current(value: Weight) -> float | Tensor:
    if isinstance(value, Schedule):
        weight: Tensor = value()
        return weight
    return value


def _preset_rule(
    name: str, free_bits: float, capacity: object, capacity_per: str | None, kl_estimator: str | None
) -> Preset:
    """The row called `name`, refusing options that contradict it."""
    rule = preset(name)
    conflicts = {
        "free_bits": free_bits or None,
        "capacity": capacity if rule.capacity_per is None else None,
        "capacity_per": capacity_per,
        "kl_estimator": kl_estimator,
    }
    for option, value in conflicts.items():
        if value is not None:
            raise ValueError(f"{option}: got {value!r} with preset={name!r}, which decides it; takes the default")
    return rule


def _choose(
    given: str | CustomLikelihood | None, preset_name: str | None, rule: Preset
) -> tuple[str | CustomLikelihood | None, float]:
    """The likelihood and the factor a preset puts on it; None without a reconstruction term."""
    if given is not None and not callable(given):
        likelihood(given)
    if preset_name is None:
        return ("bernoulli" if given is None else given), 1.0
    if rule.likelihoods is None:
        if given is None:
            raise ValueError(f"likelihood: got None with preset={preset_name!r}; takes a name or a callable")
        return given, 1.0
    factors = dict(rule.likelihoods)
    if given is None:
        return next(iter(rule.likelihoods), (None, 1.0))
    if callable(given) or given not in factors:
        raise ValueError(f"likelihood: got {given!r} with preset={preset_name!r}; takes one of {tuple(factors)}")
    return given, factors[given]
