"""Every Triton op, forward and backward, on small odd shapes: a program for compute-sanitizer.

``compute-sanitizer --tool memcheck python -m bench.gpu.sanitize``. It checks nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click
import torch
from torch import Tensor

import fastvae
import fastvae.functional as F
from bench.gpu.device import device, synchronize

# Odd lengths, rows that are multiples of four, and a block and a little more. Few, since each is compiled.
_SHAPES: Final = (((3, 7), torch.float32), ((5, 20), torch.bfloat16), ((2, 1031), torch.float32))


def _calls(shape: tuple[int, int], dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    def leaf(*sizes: int) -> Tensor:
        # Valid as a mean, as a raw scale and as a probability.
        return torch.full(sizes, 0.25, dtype=dtype).requires_grad_()

    mu, scale, prior, one = leaf(*shape), leaf(*shape), leaf(shape[1]), leaf()
    moments = leaf(shape[0], 2 * shape[1])
    # A mixture of two logistics a pixel, in one channel.
    parts, pixels = leaf(shape[0], 6, shape[1]), torch.zeros(shape[0], 1, shape[1], dtype=dtype)
    target, weight = torch.ones(shape, dtype=torch.uint8), torch.ones(shape[0], 1, dtype=dtype)
    return {
        "reparameterize_kl": lambda: F.reparameterize_kl(mu, scale, (prior, prior), num_samples=2, reduction="sample"),
        "reparameterize": lambda: F.reparameterize(mu.T, scale.T),
        "gaussian_kl": lambda: F.gaussian_kl(mu, scale, parameterization="softplus", reduction="none"),
        "packed": lambda: F.reparameterize_kl_packed(moments),
        "interleaved": lambda: F.reparameterize_kl_packed(moments, interleaved=True),
        "log_normal": lambda: F.log_normal(mu, scale, prior),
        "importance_weighted_bound": lambda: F.importance_weighted_bound(mu),
        "log_normal_mixture": lambda: F.log_normal_mixture(mu, scale[:2], scale[:2], one.expand(2)),
        "minibatch_log_densities": lambda: F.minibatch_log_densities(mu, scale, scale * 2, dataset_size=99),
        "negative_binomial_nll": lambda: F.negative_binomial_nll(mu, target, scale, zero_inflation_logits=mu),
        "discretized_logistic_mixture_nll": lambda: F.discretized_logistic_mixture_nll(parts, pixels, num_mixtures=2),
        "sum": lambda: F.binary_cross_entropy_with_logits(mu, target, reduction="sum"),
        "sample": lambda: F.binary_cross_entropy(mu, target, weight=weight, reduction="sample"),
        "none": lambda: F.l1_loss(mu, target, reduction="none"),
        "learned scale": lambda: F.gaussian_nll(mu, target, one, reduction="batchmean"),
        "inplace": lambda: F.mse_loss(mu * 2, target, inplace=True),
    }


@click.command()
@click.option("--dry-run", is_flag=True, help="On the CPU, in Triton's interpreter.")
def main(dry_run: bool) -> None:
    """Run every op, forward and backward."""
    name = device(dry_run).name
    for shape, dtype in _SHAPES:
        with torch.device(name), fastvae.use_backend("triton"):
            calls = _calls(shape, dtype)
            for call in calls.values():
                results = call()
                outputs = results if isinstance(results, tuple) else (results,)
                # Not 1, so that backward scales the gradients that the forward pass wrote.
                torch.autograd.backward(outputs, [torch.full_like(output, 2) for output in outputs])
        click.echo(f"{shape} {dtype}: {', '.join(calls)}")
    synchronize()


if __name__ == "__main__":
    main()
