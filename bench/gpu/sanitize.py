"""Every Triton op, forward and backward, on small odd shapes: a program for compute-sanitizer.

``compute-sanitizer --tool memcheck python -m bench.gpu.sanitize``. It checks nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import click
import torch
from torch import Tensor

import fastvae
import fastvae.functional as F
from bench.gpu.device import device, synchronize

# No multiple of anything, one row and one column, a block and a little more.
_SHAPES: Final = ((3, 7), (1, 1), (5, 20), (1, 1031))
_DTYPES: Final = (torch.float32, torch.bfloat16)


def _leaf(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    # Of any sign, and a probability too.
    return torch.full(shape, 0.25, dtype=dtype).requires_grad_()


def _latents(shape: tuple[int, int], dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    mu, scale, prior = _leaf(shape, dtype), _leaf(shape, dtype), _leaf(shape[1:], dtype)
    moments = _leaf((shape[0], 2 * shape[1]), dtype)
    return {
        "reparameterize_kl": lambda: F.reparameterize_kl(mu, scale, (prior, prior), num_samples=2, reduction="sample"),
        "softplus": lambda: F.reparameterize_kl(mu, scale, parameterization="softplus", min_std=1e-3),
        "reparameterize": lambda: F.reparameterize(mu.T, scale.T),
        "gaussian_kl": lambda: F.gaussian_kl(mu, scale, reduction="none"),
        "packed": lambda: F.reparameterize_kl_packed(moments),
        "interleaved": lambda: F.reparameterize_kl_packed(moments, interleaved=True, reduction="sample"),
        "log_normal": lambda: F.log_normal(mu, scale, prior),
        "importance_weighted_bound": lambda: F.importance_weighted_bound(mu),
    }


def _losses(shape: tuple[int, int], dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    x, target, log_scale = _leaf(shape, dtype), torch.ones(shape, dtype=torch.uint8), _leaf((), dtype)
    weight = torch.ones(shape[0], 1, dtype=dtype)
    names = ("binary_cross_entropy_with_logits", "binary_cross_entropy", "mse_loss", "l1_loss")
    return {
        **{f"{name} sum": partial(getattr(F, name), x, target, reduction="sum") for name in names},
        **{name: partial(getattr(F, name), x, target, weight=weight, reduction="sample") for name in names},
        "gaussian_nll": lambda: F.gaussian_nll(x, target, log_scale, reduction="batchmean"),
        "inplace": lambda: F.mse_loss(x * 2, target, inplace=True),
    }


@click.command()
@click.option("--dry-run", is_flag=True, help="On the CPU, in Triton's interpreter.")
def main(dry_run: bool) -> None:
    """Run every op, forward and backward."""
    name = device(dry_run).name
    for dtype in _DTYPES:
        for shape in _SHAPES:
            with torch.device(name):
                calls = {**_latents(shape, dtype), **_losses(shape, dtype)}
                for call in calls.values():
                    with fastvae.use_backend("triton"):
                        outputs = call()
                        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
                        # Other than 1, so that a gradient of the forward pass is scaled.
                        torch.autograd.backward(outputs, [torch.full_like(output, 2) for output in outputs])
            click.echo(f"{dtype} {shape}: {', '.join(calls)}")
    synchronize()


if __name__ == "__main__":
    main()
