"""Reconstruction losses. One call computes the loss and, where it is wanted, its gradient."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks
from fastvae._autograd import reconstruction as fused
from fastvae._options import ReconstructionOptions
from fastvae.functional._dispatch import use_reference


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    inplace: bool = False,
    batch_dims: int = 1,
) -> Tensor:
    """Bernoulli negative log-likelihood of `target` under logits `input`; torch's values and gradients.

    Equivalent to ``torch.nn.functional.binary_cross_entropy_with_logits(input, target, weight)``.

    Args:
        input: logits, ``[batch, ...]``.
        target: the shape of `input`: floating point, uint8 (read as value / 255) or bool. An expanded (stride-0)
            view is read in place.
        weight: floating point or bool, of a shape that broadcasts to that of `input`; a mask is a weight of 0 and 1.
            A constant: no gradient flows to it.
        inplace: write the gradient over `input`'s storage. Only where nothing else needs the values of `input`:
            its version counter is bumped, so that autograd raises otherwise. Needs a scalar reduction, and memory
            that neither `weight` nor `target` shares, but for a target that is the very same view. A permission:
            under `torch.compile` and functorch it is not used. In float16 small gradients are lost before a loss
            scale reaches them.
        reduction, batch_dims: see `fastvae.functional`.

    Returns:
        The loss in nats: a scalar, ``[batch]`` for ``"sample"``, the shape of `input` for ``"none"``.
    """
    _checks.reconstruction(input, target, weight, reduction, batch_dims)
    if use_reference("input", input):
        from fastvae import reference

        return reference.binary_cross_entropy_with_logits(
            input, target, weight=weight, reduction=reduction, batch_dims=batch_dims
        )
    options = ReconstructionOptions("binary_cross_entropy_with_logits", False, reduction, batch_dims)
    return fused.reconstruction(input, target, weight, None, options, inplace=inplace)


def binary_cross_entropy(
    input: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean", batch_dims: int = 1
) -> Tensor:
    """Bernoulli negative log-likelihood of `target` under probabilities `input`; torch's values and gradients.

    Equivalent to ``torch.nn.functional.binary_cross_entropy(input, target, weight)``: each logarithm is clamped at
    -100. A probability outside [0, 1] gives NaN instead of torch's error, which a GPU could only report by
    stopping. Arguments and result as in `binary_cross_entropy_with_logits`.
    """
    _checks.reconstruction(input, target, weight, reduction, batch_dims)
    if use_reference("input", input):
        from fastvae import reference

        return reference.binary_cross_entropy(input, target, weight=weight, reduction=reduction, batch_dims=batch_dims)
    options = ReconstructionOptions("binary_cross_entropy", False, reduction, batch_dims)
    return fused.reconstruction(input, target, weight, None, options)


def mse_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    inplace: bool = False,
    batch_dims: int = 1,
) -> Tensor:
    """Squared error; torch's values and gradients.

    Equivalent to ``torch.nn.functional.mse_loss(input, target)``, without its silent broadcasting. Arguments and
    result as in `binary_cross_entropy_with_logits`.
    """
    _checks.reconstruction(input, target, weight, reduction, batch_dims)
    if use_reference("input", input):
        from fastvae import reference

        return reference.mse_loss(input, target, weight=weight, reduction=reduction, batch_dims=batch_dims)
    options = ReconstructionOptions("mse_loss", False, reduction, batch_dims)
    return fused.reconstruction(input, target, weight, None, options, inplace=inplace)


def l1_loss(
    input: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    inplace: bool = False,
    batch_dims: int = 1,
) -> Tensor:
    """Absolute error; torch's values and gradients (0 at a tie), except that the gradient at NaN is NaN, not 0.

    Equivalent to ``torch.nn.functional.l1_loss(input, target)``, without its silent broadcasting. Arguments and
    result as in `binary_cross_entropy_with_logits`.
    """
    _checks.reconstruction(input, target, weight, reduction, batch_dims)
    if use_reference("input", input):
        from fastvae import reference

        return reference.l1_loss(input, target, weight=weight, reduction=reduction, batch_dims=batch_dims)
    options = ReconstructionOptions("l1_loss", False, reduction, batch_dims)
    return fused.reconstruction(input, target, weight, None, options, inplace=inplace)


def gaussian_nll(
    input: Tensor,
    target: Tensor,
    log_scale: Tensor,
    *,
    weight: Tensor | None = None,
    full: bool = False,
    reduction: str = "mean",
    batch_dims: int = 1,
) -> Tensor:
    """Gaussian negative log-likelihood: 0.5 ((input - target) / sigma)^2 + log sigma, sigma = exp(log_scale).

    Equivalent to ``torch.nn.functional.gaussian_nll_loss(input, target, (2 * log_scale).exp())``.

    Args:
        log_scale: log sigma, a scalar tensor (learned global sigma), per channel, or elementwise: any shape that
            broadcasts to that of `input`. Gradients reach it.
        full: add the constant 0.5 log 2 pi.
        input, target, weight, reduction, batch_dims: as in `binary_cross_entropy_with_logits`.
    """
    _checks.log_scale(log_scale, input)
    _checks.reconstruction(input, target, weight, reduction, batch_dims)
    if use_reference("input", input):
        from fastvae import reference

        return reference.gaussian_nll(
            input, target, log_scale, weight=weight, full=full, reduction=reduction, batch_dims=batch_dims
        )
    options = ReconstructionOptions("gaussian_nll", full, reduction, batch_dims)
    return fused.reconstruction(input, target, weight, log_scale, options)


def poisson_nll(
    log_rate: Tensor,
    target: Tensor,
    *,
    log_input: bool = True,
    full: bool = True,
    weight: Tensor | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    """Poisson negative log-likelihood of counts: rate - target * log rate + log(target!).

    Equivalent to ``torch.nn.functional.poisson_nll_loss(log_rate, target)``, but for log(target!), which torch
    approximates by Stirling's formula and leaves out for targets of 0 and 1.

    Args:
        log_rate: logarithms of the rates, ``[batch, ...]``; the rates themselves with ``log_input=False``, to which
            torch's 1e-8 is added where their logarithm is taken.
        target: counts, the shape of `log_rate`: floating point, uint8 (read as they are) or bool. Constants.
        full: add log(target!), which has no gradient.
        weight, reduction, batch_dims: as in `binary_cross_entropy_with_logits`.
    """
    if not log_input:
        return poisson_nll_of_rate(
            log_rate, target, full=full, weight=weight, reduction=reduction, batch_dims=batch_dims
        )
    _checks.reconstruction(log_rate, target, weight, reduction, batch_dims)
    _checks.constant("target", target)
    if use_reference("log_rate", log_rate):
        from fastvae import reference

        return reference.poisson_nll(
            log_rate, target, full=full, weight=weight, reduction=reduction, batch_dims=batch_dims
        )
    options = ReconstructionOptions("poisson_nll", full, reduction, batch_dims)
    return fused.reconstruction(log_rate, target, weight, None, options)


def poisson_nll_of_rate(
    rate: Tensor,
    target: Tensor,
    *,
    full: bool = True,
    weight: Tensor | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    """`poisson_nll` of the rates themselves: what ``poisson_nll(..., log_input=False)`` calls."""
    _checks.reconstruction(rate, target, weight, reduction, batch_dims)
    _checks.constant("target", target)
    if use_reference("rate", rate):
        from fastvae import reference

        return reference.poisson_nll_of_rate(
            rate, target, full=full, weight=weight, reduction=reduction, batch_dims=batch_dims
        )
    options = ReconstructionOptions("poisson_nll_of_rate", full, reduction, batch_dims)
    return fused.reconstruction(rate, target, weight, None, options)
