"""The negative binomial likelihood of counts, and its zero-inflated form."""

from __future__ import annotations

from torch import Tensor

from fastvae import _checks, _likelihood_checks
from fastvae._autograd import negative_binomial_nll as fused
from fastvae._options import NegativeBinomialOptions
from fastvae.functional._dispatch import use_reference


def negative_binomial_nll(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    *,
    zero_inflation_logits: Tensor | None = None,
    log_input: bool = False,
    weight: Tensor | None = None,
    reduction: str = "batchmean",
    batch_dims: int = 1,
) -> Tensor:
    """-log p(target) in nats under a negative binomial of `mean` m and `inverse_dispersion` t: variance m + m^2 / t.

    With `zero_inflation_logits` q, a count is 0 with probability sigmoid(q) and else drawn from the negative binomial.
    scVI's likelihoods (Lopez et al. 2018): ``-log_nb_positive(target, mean, t)`` and ``-log_zinb_positive(target, mean,
    t, q)`` of scvi-tools, with its 1e-8 added to the mean of a count above 0; but right where float32 leaves that
    formula no digits, for a t of 1e4 and more. As t grows, the Poisson distribution is the limit.

    Args:
        mean: ``[batch, ...]``, positive; 0 is allowed. Its logarithm with ``log_input=True``, which may be so large or
            so small that its exponential is no float.
        target: counts, the shape of `mean`: floating point, or uint8, uint16, int16 or int32, read as they are. A
            constant. Above 2^24, float32 no longer tells neighbours apart.
        inverse_dispersion: positive, of a shape that broadcasts to that of `mean`: ``[genes]`` for one a gene. scVI's
            ``px_r`` is its logarithm.
        zero_inflation_logits: of a shape that broadcasts to that of `mean`, -inf to inf; None for no inflation.
        log_input: is `mean` a logarithm? Nothing is added to it then.
        weight: floating point or bool, of a shape that broadcasts to that of `mean`; a constant.
        reduction, batch_dims: see `fastvae.functional`.

    Returns:
        The loss: a scalar, ``[batch]`` for ``"sample"``, the shape of `mean` for ``"none"``. Gradients reach `mean`,
        `inverse_dispersion` and `zero_inflation_logits`. What a mean or an inverse dispersion below 0, or a quotient of
        the two beyond the range of the dtype, gives has no meaning; nothing looks for one, because a GPU could only
        report it by stopping.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, a target or a weight that
            requires grad, or an unknown reduction.

    Examples:
        >>> mean, theta = torch.tensor([[1.0, 4.0, 20.0]]), torch.tensor([2.0, 2.0, 10.0])  # of 3 genes
        >>> counts = torch.tensor([[0, 5, 17]], dtype=torch.int32)
        >>> F.negative_binomial_nll(mean, counts, theta)
        tensor(6.1679)
        >>> torch_own = torch.distributions.NegativeBinomial(total_count=theta, logits=(mean / theta).log())
        >>> -torch_own.log_prob(counts).sum()
        tensor(6.1679)
        >>> F.negative_binomial_nll(mean, counts, theta, zero_inflation_logits=torch.zeros(3))  # half become 0
        tensor(7.0687)
    """
    _checks.flag("log_input", log_input)
    _likelihood_checks.negative_binomial_nll(
        mean, target, inverse_dispersion, zero_inflation_logits, weight, reduction, batch_dims
    )
    if use_reference("mean", mean):
        from fastvae import reference

        return reference.negative_binomial_nll(
            mean, target, inverse_dispersion, zero_inflation_logits=zero_inflation_logits, log_input=log_input,
            weight=weight, reduction=reduction, batch_dims=batch_dims,
        )  # fmt: skip
    options = NegativeBinomialOptions(log_input, reduction, batch_dims)
    return fused.negative_binomial_nll(mean, target, inverse_dispersion, zero_inflation_logits, weight, options)


def batchmean_with_samples(
    mean: Tensor,
    target: Tensor,
    inverse_dispersion: Tensor,
    *,
    zero_inflation_logits: Tensor | None = None,
    log_input: bool = False,
) -> tuple[Tensor, Tensor]:
    """The mean over the batch, whose gradient the forward pass writes, and the per-sample values without gradient."""
    _likelihood_checks.negative_binomial_nll(
        mean, target, inverse_dispersion, zero_inflation_logits, None, "batchmean", 1
    )
    if use_reference("mean", mean):
        from fastvae import reference

        samples = reference.negative_binomial_nll(
            mean, target, inverse_dispersion, zero_inflation_logits=zero_inflation_logits, log_input=log_input,
            reduction="sample",
        )  # fmt: skip
        return samples.mean(), samples.detach()
    options = NegativeBinomialOptions(log_input, "batchmean", 1)
    loss, of_samples = fused.negative_binomial_nll_with_samples(
        mean, target, inverse_dispersion, zero_inflation_logits, None, options
    )
    assert of_samples is not None
    return loss, of_samples
