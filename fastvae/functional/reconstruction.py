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

    The likelihood of Kingma & Welling 2014, appendix C.1, its probabilities given as logits.
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
            under `torch.compile` and functorch it is not used. In float16 small gradients are lost, and large ones
            infinite, before a loss scale, or whatever else the loss is multiplied by, reaches them.
        reduction, batch_dims: see `fastvae.functional`.

    Returns:
        The loss in nats: a scalar, ``[batch]`` for ``"sample"``, the shape of `input` for ``"none"``. Gradients reach
        `input` and a floating-point `target`.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit; a weight that requires grad; an
            unknown reduction; `inplace` where it may not be.

    Examples:
        >>> logits, target = torch.tensor([[0.0, 2.0], [-1.0, 3.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
        >>> F.binary_cross_entropy_with_logits(logits, target)
        tensor(0.2955)
        >>> torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        tensor(0.2955)
        >>> F.binary_cross_entropy_with_logits(logits, target, reduction="sample")  # one value a sample
        tensor([0.8201, 0.3618])
        >>> pixels = (255 * target).to(torch.uint8)  # bytes are read as they are, without a copy in float
        >>> F.binary_cross_entropy_with_logits(logits, pixels)
        tensor(0.2955)
    """
    _checks.flag("inplace", inplace)
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
    stopping. Logits are more accurate: see `binary_cross_entropy_with_logits`.

    Args:
        input: probabilities, ``[batch, ...]``.
        target, weight, reduction, batch_dims: as in `binary_cross_entropy_with_logits`.

    Returns:
        The loss in nats, in a shape as there.

    Raises:
        TypeError, ValueError: as there.

    Examples:
        >>> probabilities, target = torch.tensor([[0.9, 0.2], [0.5, 0.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        >>> F.binary_cross_entropy(probabilities, target, reduction="sum")
        tensor(1.0217)
        >>> torch.nn.functional.binary_cross_entropy(probabilities, target, reduction="sum")
        tensor(1.0217)
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
    """Squared error, (input - target)^2; torch's values and gradients.

    Equivalent to ``torch.nn.functional.mse_loss(input, target)``, without its silent broadcasting. Half of it is the
    negative log-likelihood of a Gaussian of unit variance, but for a constant: in nats then.

    Args:
        input: predictions, ``[batch, ...]``.
        target, weight, inplace, reduction, batch_dims: as in `binary_cross_entropy_with_logits`.

    Returns:
        The loss in squared units of `input`, in a shape as there.

    Raises:
        TypeError, ValueError: as there.

    Examples:
        >>> input, target = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
        >>> F.mse_loss(input, target)
        tensor(3.5000)
        >>> torch.nn.functional.mse_loss(input, target)
        tensor(3.5000)
        >>> F.mse_loss(input, target, weight=torch.tensor([1.0, 0.0]), reduction="sample")  # of the first column alone
        tensor([0., 4.])
    """
    _checks.flag("inplace", inplace)
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

    Equivalent to ``torch.nn.functional.l1_loss(input, target)``, without its silent broadcasting. It is the negative
    log-likelihood of a Laplace distribution of scale 1, but for the constant log 2: in nats then.

    Args:
        input: predictions, ``[batch, ...]``.
        target, weight, inplace, reduction, batch_dims: as in `binary_cross_entropy_with_logits`.

    Returns:
        The loss in units of `input`, in a shape as there.

    Raises:
        TypeError, ValueError: as there.

    Examples:
        >>> input, target = torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
        >>> F.l1_loss(input, target)
        tensor(1.5000)
        >>> torch.nn.functional.l1_loss(input, target)
        tensor(1.5000)
    """
    _checks.flag("inplace", inplace)
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

    Equivalent to ``torch.nn.functional.gaussian_nll_loss(input, target, (2 * log_scale).exp())`` (Kingma & Welling
    2014, appendix C.2; one learned sigma for all pixels: Rybkin et al. 2021).

    Args:
        input: means, ``[batch, ...]``.
        log_scale: log sigma, a scalar tensor (learned global sigma), per channel, or elementwise: any shape that
            broadcasts to that of `input`. Gradients reach it.
        full: add the constant 0.5 log 2 pi.
        target, weight, reduction, batch_dims: as in `binary_cross_entropy_with_logits`.

    Returns:
        The loss in nats, in a shape as there.

    Raises:
        TypeError, ValueError: as there, or a log_scale that does not broadcast to `input`.

    Examples:
        >>> input, target = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 1.0]])
        >>> log_scale = torch.tensor(-0.5, requires_grad=True)
        >>> loss = F.gaussian_nll(input, target, log_scale)
        >>> torch.testing.assert_close(
        ...     loss, torch.nn.functional.gaussian_nll_loss(input, target, (2 * log_scale).exp().expand(1, 2))
        ... )
        >>> loss.backward()
        >>> log_scale.grad  # below 0: a larger sigma fits better
        tensor(-0.3591)
    """
    _checks.flag("full", full)
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

    Equivalent to ``torch.nn.functional.poisson_nll_loss(log_rate, target, full=True)``, but for log(target!), which
    torch approximates by Stirling's formula and leaves out for targets of 0 and 1.

    Args:
        log_rate: logarithms of the rates, ``[batch, ...]``; the rates themselves with ``log_input=False``.
        target: counts, the shape of `log_rate`: floating point, uint8 (read as they are) or bool. Constants.
        log_input: whether `log_rate` is a logarithm. If not, torch's 1e-8 is added where the rate's logarithm is taken.
        full: add log(target!), which has no gradient.
        weight, reduction, batch_dims: as in `binary_cross_entropy_with_logits`.

    Returns:
        The loss in nats, in a shape as there. Gradients reach `log_rate`.

    Raises:
        TypeError, ValueError: as there, or a target that requires grad.

    Examples:
        >>> log_rate, counts = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[0.0, 3.0, 7.0]])
        >>> F.poisson_nll(log_rate, counts)
        tensor(4.4243)
        >>> -torch.distributions.Poisson(log_rate.exp()).log_prob(counts).sum()
        tensor(4.4243)
    """
    _checks.flag("log_input", log_input)
    if not log_input:
        _checks.tensor("log_rate", log_rate)
        return poisson_nll_of_rate(
            log_rate, target, full=full, weight=weight, reduction=reduction, batch_dims=batch_dims
        )
    _checks.flag("full", full)
    _checks.reconstruction(log_rate, target, weight, reduction, batch_dims, "log_rate")
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
    """`poisson_nll` of the rates themselves: what ``poisson_nll(..., log_input=False)`` calls.

    Args:
        rate: rates, ``[batch, ...]``, at least 0; torch's 1e-8 is added where their logarithm is taken.
        target, full, weight, reduction, batch_dims: as in `poisson_nll`.

    Returns:
        The loss in nats, in a shape as there. Gradients reach `rate`.

    Raises:
        TypeError, ValueError: as there.

    Examples:
        >>> rate, counts = torch.tensor([[1.0, 2.0, 8.0]]), torch.tensor([[0, 3, 7]], dtype=torch.uint8)
        >>> F.poisson_nll_of_rate(rate, counts)
        tensor(4.6814)
        >>> F.poisson_nll(rate.log(), counts)
        tensor(4.6814)
    """
    _checks.flag("full", full)
    _checks.reconstruction(rate, target, weight, reduction, batch_dims, "rate")
    _checks.constant("target", target)
    if use_reference("rate", rate):
        from fastvae import reference

        return reference.poisson_nll_of_rate(
            rate, target, full=full, weight=weight, reduction=reduction, batch_dims=batch_dims
        )
    options = ReconstructionOptions("poisson_nll_of_rate", full, reduction, batch_dims)
    return fused.reconstruction(rate, target, weight, None, options)
