"""Compile launches of the real ops for sm_90 without a GPU, and print what became of each kernel as JSON.

Run as a script, without the interpreter: a stub driver names the target, and every launch stops after compiling.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

import fastvae
import fastvae.functional as F
from fastvae._triton import _launch, _layout

_TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


class _StubDriver:
    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


def _output(tool: str, *arguments: str) -> str:
    return subprocess.run([_TOOLS / tool, *arguments], capture_output=True, text=True, check=True).stdout


def facts(kernel: Any) -> dict[str, Any]:
    """Stack bytes and memory instructions of the machine code, float32 arithmetic of the PTX."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        usage = _output("cuobjdump", "--dump-resource-usage", file.name)
        code = _output("nvdisasm", "-c", file.name)
    stack, local = re.search(r"STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", usage).groups()
    arithmetic = re.findall(r"\b((?:add|sub|mul|fma|mad|div|sqrt|rcp|rsqrt)[.\w]*\.f32)\b", kernel.asm["ptx"])
    return {
        "stack": int(stack) + int(local),
        "memory": Counter(re.findall(r"\b((?:LDG|STG|LDL|STL)\b[.\w]*)", code)),
        "arithmetic": sorted(set(arithmetic)),
    }


def latent(dtype: torch.dtype, length: int, *prior: Tensor, **options: Any) -> None:
    moments = torch.zeros(128, 2 * length, dtype=dtype, requires_grad=True)
    z, kl = F.reparameterize_kl_packed(moments, prior or None, **options)
    (z.sum() + kl.sum()).backward()


def leaf(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(shape, dtype=dtype, requires_grad=True)


def wide() -> None:
    """Indices as in a tensor of 2^31 elements."""
    limit, _layout._INT32_ELEMENTS = _layout._INT32_ELEMENTS, 0
    _layout.plan.cache_clear()
    latent(torch.float32, 20, reduction="sample")
    F.mse_loss(leaf(128, 784), torch.zeros(128, 784)).backward()
    _layout._INT32_ELEMENTS = limit
    _layout.plan.cache_clear()


CASES = {
    "latent-float32": lambda: latent(torch.float32, 20),
    "latent-bfloat16": lambda: latent(torch.bfloat16, 20),
    "latent-odd": lambda: latent(torch.float32, 21, reduction="sample"),
    "latent-prior": lambda: latent(
        torch.float32, 32, leaf(32), leaf(32), parameterization="softplus", min_std=1e-4, num_samples=5
    ),
    "latent-float64": lambda: latent(torch.float64, 20, reduction="sample"),
    "logits": lambda: F.binary_cross_entropy_with_logits(leaf(128, 784), torch.zeros(128, 784)).backward(),
    "logits-bytes": lambda: F.binary_cross_entropy_with_logits(
        leaf(128, 784, dtype=torch.bfloat16), torch.zeros(128, 784, dtype=torch.uint8)
    ).backward(),
    "probabilities": lambda: F.binary_cross_entropy(
        leaf(128, 784), torch.zeros(128, 784), weight=torch.ones(128, 1), reduction="sample"
    ).sum().backward(),
    "nll": lambda: F.gaussian_nll(leaf(128, 784), torch.zeros(128, 784), leaf()).backward(),
    "log_normal": lambda: F.log_normal(leaf(50, 128, 20), leaf(128, 20), leaf(128, 20)).sum().backward(),
    "bound": lambda: F.importance_weighted_bound(leaf(50, 128)).sum().backward(),
    "wide": wide,
}  # fmt: skip


def main() -> None:
    driver.set_active(_StubDriver())
    _launch.check_device = lambda like: None
    compiled: list[tuple[str, Any]] = []
    launch = JITFunction.run

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = launch(self, *args, grid=grid, warmup=True, **options)
        compiled.append((self.__name__, kernel))
        return kernel

    JITFunction.run = compile_only
    report = {}
    for name, case in CASES.items():
        compiled.clear()
        with fastvae.use_backend("triton"):
            case()
        report[name] = {kernel_name: facts(kernel) for kernel_name, kernel in compiled}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    assert not os.environ.get("TRITON_INTERPRET")
    main()
