"""What the launches of real ops pass to CUDA, down to the C function that Triton compiles: printed as JSON.

Run as a script, without the interpreter; what is called instead of CUDA only takes notes.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor

import fastvae
import fastvae.functional as F
from bench.proofs.compiled.driver import fake_cuda
from fastvae._autograd.reconstruction import reconstruction_with_samples
from fastvae._options import ReconstructionOptions
from fastvae._triton.reparameterize_kl import _FORWARD


def leaf(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype, requires_grad=True)


def packed(moments: Tensor, **options: Any) -> Tensor:
    z, kl = F.reparameterize_kl_packed(moments, **options)
    return z.sum() + kl.sum()


def with_samples(images: Tensor) -> Tensor:
    """A loss and, of the same pass, that of each sample."""
    options = ReconstructionOptions("mse_loss", False, "batchmean", 1)
    return reconstruction_with_samples(images, torch.zeros_like(images), None, None, options)[0]


def total_correlation(moments: Tensor) -> Tensor:
    """Of posteriors of more dimensions than a program covers, and of points drawn from them."""
    joint, product = F.minibatch_log_densities(moments, moments, moments, dataset_size=1000)
    return (joint - product).sum()


def zero_inflated(x: Tensor, counts: Tensor) -> Tensor:
    """A likelihood with gradients of three operands, each elementwise."""
    logits = torch.zeros_like(counts, requires_grad=True)
    return F.negative_binomial_nll(x, counts, counts.exp().requires_grad_(), zero_inflation_logits=logits)


def heard(run: Callable[[], object]) -> list[str]:
    """What a profiler's hook hears of launches that are prepared already."""
    run()
    names: list[str] = []

    def hook(described: Any) -> None:
        names.append(described.get()["name"])

    triton.knobs.runtime.launch_enter_hook.add(hook)
    run()
    triton.knobs.runtime.launch_enter_hook.remove(hook)
    run()
    return names


def main() -> None:
    byte_images = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
    with (
        tempfile.TemporaryDirectory() as folder,
        fake_cuda(Path(folder)) as fake,
        fastvae.use_backend("triton"),
    ):
        launches = ctypes.c_int.in_dll(fake, "fake_launches")
        programs = ctypes.c_uint.in_dll(fake, "fake_programs")
        pointer = ctypes.c_uint64.in_dll(fake, "fake_first_pointer")

        def counted(run: Callable[[], Any]) -> tuple[int, Any]:
            before = launches.value
            result = run()
            return launches.value - before, result

        def passes(run: Callable[[], Tensor]) -> list[list[int]]:
            """Launches of forward and backward, when all is compiled anew and when it was before."""
            found = []
            for _ in range(3):
                forward, loss = counted(run)
                backward, _ = counted(loss.backward)
                found.append([forward, backward])
            return found

        moments, x, target = leaf(128, 40), leaf(128, 784), torch.zeros(128, 784)
        images, rows = leaf(200, 3, 32, 32), leaf(7, 100_000)
        mu, scale = leaf(128, 20), leaf(128, 20)
        counts, params, log_scale = torch.ones(128, 784), leaf(8, 100, 32, 32), leaf()
        report: dict[str, Any] = {
            "passes": {
                "latent": passes(lambda: packed(moments)),
                "latent per sample": passes(lambda: packed(moments, reduction="sample")),
                "separate": passes(lambda: F.reparameterize_kl(mu, scale)[1]),
                "loss": passes(lambda: F.binary_cross_entropy_with_logits(x, target)),
                "large loss": passes(lambda: F.binary_cross_entropy_with_logits(images, torch.zeros_like(images))),
                "loss with samples": passes(lambda: with_samples(images)),
                "rows in parts": passes(lambda: F.mse_loss(rows, torch.zeros_like(rows), reduction="sample").sum()),
                "bytes": passes(lambda: F.mse_loss(x, torch.zeros(128, 784, dtype=torch.uint8))),
                "log density": passes(lambda: F.log_normal(x, reduction="sum")),
                "counts": passes(lambda: F.negative_binomial_nll(x.exp(), counts, torch.ones(128, 784))),
                "learned scale": passes(lambda: F.gaussian_nll(x, target, log_scale)),
                "zero-inflated counts": passes(lambda: zero_inflated(x, counts)),
                "mixture": passes(lambda: F.discretized_logistic_mixture_nll(params, byte_images)),
                "bound": passes(lambda: F.importance_weighted_bound(x).sum()),
            },
            # A walk and what adds up its parts; backward, of the points and of the components. More than 32 dimensions
            # are walked twice, all together and each apart.
            "mixture prior": passes(lambda: F.log_normal_mixture(x, x.detach(), x.detach()).sum()),
            "total correlation": {
                of.shape[1]: passes(lambda of=of: total_correlation(of)) for of in (moments, leaf(128, 20))
            },
        }

        def first_pointer(of: Tensor) -> list[int]:
            F.reparameterize(of, of, seed=torch.tensor([1]))
            return [pointer.value - of.data_ptr(), programs.value]

        storage = torch.zeros(65536, dtype=torch.bfloat16)
        report["begins"] = {
            str(offset): [first_pointer(storage[offset : offset + 1280].view(64, 20)) for _ in range(2)]
            for offset in (0, 1, 4, 8)
        }
        before = len(_FORWARD._launches)
        for tensor in (mu, mu.double(), mu.t(), mu[:, 1:], mu, mu.double()):
            F.reparameterize(tensor.detach(), tensor.detach(), seed=torch.tensor([1]))
        F.reparameterize_kl(mu.detach(), mu.detach(), seed=torch.tensor([1]))
        report["new layouts"] = len(_FORWARD._launches) - before
        report["heard"] = heard(lambda: F.mse_loss(x, target).backward())
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    assert not os.environ.get("TRITON_INTERPRET")
    main()
