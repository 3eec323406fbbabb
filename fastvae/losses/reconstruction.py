"""The reconstruction term: the negative log-likelihood of the data given the latent."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from fastvae import _likelihoods
from fastvae._describe import named
from fastvae._folding import fold
from fastvae._likelihoods import LIKELIHOODS
from fastvae.functional._elbo import reconstruction_term
from fastvae.losses._options import CustomLikelihood
from fastvae.losses.density import Density


class Reconstruction(nn.Module):
    """-log p(x | z) under a named likelihood or a callable, as an objective weights and reduces it.

    Args:
        likelihood: a name as in `fastvae.ELBOLoss`, but of a `Density`; a callable ``(prediction, target) -> negative
            log-likelihood [batch]``; or a `Density`.
        factor: multiplies a named likelihood in the loss, not in `log_prob`.
        reduction: see `fastvae.presets.Convention.reconstruction`.

    Attributes:
        log_scale: the learned log-scale, ``[1]``, of the likelihoods that have one, else None. Not a scalar, which
            `torch.distributed.fsdp.fully_shard` refuses.

    Raises:
        ValueError: an unknown name.

    Examples:
        >>> term = fastvae.losses.Reconstruction("gaussian")
        >>> prediction, x = torch.zeros(2, 3), torch.ones(2, 3)
        >>> term(prediction, x)  # the mean of 0.5 * squared error, summed over 3 features, and its values
        (tensor(1.5000), tensor([1.5000, 1.5000]))
        >>> term.log_prob(prediction, x)  # with the constant 0.5 log(2 pi) a feature
        tensor([-4.2568, -4.2568])
        >>> torch.distributions.Normal(prediction, 1.0).log_prob(x).sum(1)
        tensor([-4.2568, -4.2568])
        >>> term.mean(prediction) is prediction, term.pixel_range
        (True, (0.0, 1.0))
        >>> learned = fastvae.losses.Reconstruction("gaussian_learned")
        >>> learned.reset_parameters()  # sigma = 1, as it is at first
        >>> learned.log_scale.shape
        torch.Size([1])
    """

    def __init__(self, likelihood: str | CustomLikelihood, factor: float = 1.0, reduction: str = "batchmean") -> None:
        super().__init__()
        self.likelihood = likelihood
        self.factor = factor
        self.reduction = reduction
        learned = isinstance(likelihood, str) and _likelihoods.likelihood(likelihood).learned_scale
        self.log_scale = nn.Parameter(torch.empty(1)) if learned else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The learned log-scale, where there is one, to 0, in place."""
        if self.log_scale is not None:
            nn.init.zeros_(self.log_scale)

    def forward(
        self,
        prediction: Any,
        target: Tensor,
        *,
        weight: Tensor | None = None,
        per_sample: bool = False,
        batch_dims: int = 1,
    ) -> tuple[Tensor, Tensor]:
        """The reconstruction term of one batch.

        Args:
            prediction, target, weight, batch_dims: as in `fastvae.ELBOLoss.forward`.
            per_sample: one value a sample in place of the reduced one.

        Returns:
            The term, a scalar or ``[batch]``, and its values, ``[batch]``, detached; in nats times the factor.

        Raises:
            TypeError, ValueError: tensors that do not fit the likelihood, or a weight for a callable.
        """
        if isinstance(self.likelihood, str):
            return self._named(
                self.likelihood, prediction, target, weight, self.factor, self.reduction, per_sample, batch_dims
            )
        if weight is not None:
            raise ValueError("weight: got a tensor with a callable likelihood; takes None (weigh inside the callable)")
        if isinstance(self.likelihood, Density) and not per_sample and _knows_its_mean(self.likelihood):
            return _batch_mean(self.likelihood, prediction, target, batch_dims)
        nll = _custom("likelihood", self.likelihood, prediction, target, batch_dims)
        return (nll if per_sample else nll.mean()), nll.detach()

    def log_prob(self, prediction: Any, target: Tensor, *, batch_dims: int = 1) -> Tensor:
        """log p(target | z) in nats of each sample, with the constants the loss leaves out.

        That of a callable is its negative, which a `Density` replaces by its own.

        Args:
            prediction, target, batch_dims: as in `fastvae.ELBOLoss.forward`.

        Returns:
            ``[batch]``, or ``[num_samples, batch]``.

        Raises:
            TypeError, ValueError: tensors that do not fit the likelihood.
        """
        if isinstance(self.likelihood, Density):
            return _custom("likelihood.log_prob", self.likelihood.log_prob, prediction, target, batch_dims)
        if not isinstance(self.likelihood, str):
            return -_custom("likelihood", self.likelihood, prediction, target, batch_dims)
        nll, _ = self._named(self.likelihood, prediction, target, None, 1.0, "batchmean", True, batch_dims)
        return -nll - LIKELIHOODS[self.likelihood].log_normalizer * target.shape[batch_dims:].numel()

    def mean(self, prediction: Any) -> Any:
        """The prediction in data space: the mean of p(x | z).

        The sigmoid of logits, the exponential of log rates, a `Density`'s own mean, and anything else as it is.

        Args:
            prediction: as in `fastvae.ELBOLoss.forward`.

        Returns:
            The shape of the data.
        """
        if isinstance(self.likelihood, Density):
            return self.likelihood.mean(prediction)
        return LIKELIHOODS[self.likelihood].mean(prediction) if isinstance(self.likelihood, str) else prediction

    @property
    def pixel_range(self) -> tuple[float, float]:
        """What `mean` is of a black and of a white pixel, bytes of 0 and 255."""
        if isinstance(self.likelihood, Density):
            return self.likelihood.pixel_range
        return LIKELIHOODS[self.likelihood].pixel_range if isinstance(self.likelihood, str) else (0.0, 1.0)

    def extra_repr(self) -> str:
        """The module's options, for `repr`; a likelihood that is a module follows it."""
        likelihood = None if isinstance(self.likelihood, nn.Module) else self.likelihood
        options = {
            "likelihood": getattr(likelihood, "__name__", likelihood),
            "factor": None if self.factor == 1.0 else self.factor,
            "reduction": None if self.reduction == "batchmean" else self.reduction,
        }
        return named(options)

    def _named(
        self,
        name: str,
        prediction: Any,
        target: Tensor,
        weight: Tensor | None,
        factor: float,
        reduction: str,
        per_sample: bool,
        batch_dims: int,
    ) -> tuple[Tensor, Tensor]:
        """The term of the likelihood `name`, whose prediction is one tensor in the shape of the target."""
        if not isinstance(prediction, Tensor):
            raise TypeError(f"prediction: got {type(prediction).__name__}; likelihood {name!r} takes a torch.Tensor")
        if prediction.shape != target.shape:
            raise ValueError(
                f"prediction: got shape {list(prediction.shape)}; takes the shape of target, {list(target.shape)}"
            )
        return reconstruction_term(
            LIKELIHOODS[name],
            prediction,
            target,
            factor=factor,
            weight=weight,
            log_scale=self.log_scale,
            reduction=reduction,
            per_sample=per_sample,
            batch_dims=batch_dims,
        )


def _custom(name: str, function: CustomLikelihood, prediction: Any, target: Tensor, batch_dims: int) -> Tensor:
    """One value a sample from a callable, which sees one batch dimension: the others are flattened into it.

    That copies a target which is an expanded view.
    """
    flat = _one_batch(prediction, target, batch_dims)
    return _per_sample(name, function(*flat), target, batch_dims)


def _knows_its_mean(density: Density) -> bool:
    return type(density).batch_mean is not Density.batch_mean


def _batch_mean(density: Density, prediction: Any, target: Tensor, batch_dims: int) -> tuple[Tensor, Tensor]:
    """The mean of a density's loss and its values, detached."""
    mean, values = density.batch_mean(*_one_batch(prediction, target, batch_dims))
    return mean, _per_sample("likelihood", values, target, batch_dims)


def _one_batch(prediction: Any, target: Tensor, batch_dims: int) -> tuple[Any, Tensor]:
    if batch_dims == 1:
        return prediction, target
    return fold(prediction, target.shape[:batch_dims]), target.flatten(0, batch_dims - 1)


def _per_sample(name: str, values: object, target: Tensor, batch_dims: int) -> Tensor:
    """What a callable returned for one batch, in the shape of all batch dimensions."""
    batch_shape = target.shape[:batch_dims]
    expected = [math.prod(batch_shape)]
    if not isinstance(values, Tensor) or list(values.shape) != expected:
        returned = f"shape {list(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"{name}: returned {returned}; takes a callable that returns one value a sample, {expected}")
    return values.reshape(batch_shape)
