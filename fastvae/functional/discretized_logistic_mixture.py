"""The likelihood of pixels under a mixture of discretized logistics."""

from __future__ import annotations

from torch import Tensor

from fastvae import _likelihood_checks
from fastvae._autograd import discretized_logistic_mixture as fused
from fastvae._options import DiscretizedMixtureOptions
from fastvae.functional._dispatch import use_reference


def discretized_logistic_mixture_nll(
    params: Tensor,
    target: Tensor,
    *,
    num_mixtures: int = 10,
    dim: int = 1,
    bits: int = 8,
    reduction: str = "batchmean",
) -> Tensor:
    """-log p(target) in nats under the mixture of discretized logistics of PixelCNN++ (Salimans et al. 2017).

    A pixel comes from one of M = `num_mixtures` components. In each a channel is logistic, with a mean and scale of its
    own, and each of the ``2**bits`` levels between -1 and 1 has the mass of the bin around it; the first and the last
    have all that lies beyond. Where there are three channels, mean 1 is shifted by ``tanh(k_0) x_0`` and mean 2 by
    ``tanh(k_1) x_0 + tanh(k_2) x_1``, x being the target. The order of `params` is that of PixelCNN++, VDVAE and NVAE.
    The log-probability is exact in every tail, where theirs takes a constant density for probabilities below 1e-5.

    Args:
        params: ``[batch, 10 M, H, W]`` for three channels: M logits of the mixture, then for each channel c its M
            means, M log scales and M coefficients k_c. ``[batch, 3 M, H, W]`` for one channel: M logits, M means, M log
            scales. Any dimensions in place of H and W. A log scale below -7 counts as -7, without gradient.
        target: ``[batch, 3, H, W]`` or ``[batch, 1, H, W]``: floating point in [-1, 1], or uint8, whose levels 0 to
            ``2**bits - 1`` count as ``2 * (value / (2**bits - 1)) - 1``. A constant: it may not require grad.
        num_mixtures: M.
        dim: the dimension of the channels, in both.
        bits: of a channel, 1 to 16; at most 8 for uint8.
        reduction: ``"none"`` is one value a pixel, ``[batch, H, W]``, whose channels are one draw; ``"mean"`` averages
            over pixels. Otherwise see `fastvae.functional`. Bits a dimension are the batch mean over
            ``channels * H * W * log(2)``.

    Returns:
        The loss in nats: a scalar, ``[batch]`` for ``"sample"``, one value a pixel for ``"none"``. Gradients reach
        `params`.

    Raises:
        TypeError, ValueError: tensors whose kind, shape, dtype or device does not fit, a number of channels that does
            not fit `num_mixtures`, a target that requires grad, or an option out of its range.

    Examples:
        >>> params = torch.zeros(2, 100, 8, 8)  # 10 logistics about 0, of scale 1
        >>> image = torch.full((2, 3, 8, 8), 128, dtype=torch.uint8)
        >>> nll = F.discretized_logistic_mixture_nll(params, image)
        >>> nll / (3 * 8 * 8)  # nats a channel: a bin of width 2 / 255 where the density is 1 / 4
        tensor(6.2344)
        >>> -torch.tensor(2 / 255 / 4).log()
        tensor(6.2344)
    """
    dim = _likelihood_checks.discretized_logistic_mixture_nll(params, target, num_mixtures, dim, bits, reduction)
    options = DiscretizedMixtureOptions(num_mixtures, dim, bits, reduction)
    if use_reference("params", params):
        return _in_reference(params, target, options)
    loss, _ = fused.discretized_logistic_mixture_nll(params, target, options)
    return loss


def batchmean_with_samples(
    params: Tensor, target: Tensor, *, num_mixtures: int, dim: int, bits: int
) -> tuple[Tensor, Tensor]:
    """The mean over the batch, whose gradient the forward pass writes, and the per-sample values without gradient."""
    dim = _likelihood_checks.discretized_logistic_mixture_nll(params, target, num_mixtures, dim, bits, "batchmean")
    options = DiscretizedMixtureOptions(num_mixtures, dim, bits, "batchmean")
    if use_reference("params", params):
        samples = _in_reference(params, target, options._replace(reduction="sample"))
        return samples.mean(), samples.detach()
    loss, of_samples = fused.discretized_logistic_mixture_nll(params, target, options, per_sample=True)
    assert of_samples is not None
    return loss, of_samples


def _in_reference(params: Tensor, target: Tensor, options: DiscretizedMixtureOptions) -> Tensor:
    from fastvae import reference

    return reference.discretized_logistic_mixture_nll(params, target, **options._asdict())
