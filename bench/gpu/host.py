"""Where the host's time goes at small sizes, where launches decide: ``python -m bench.gpu.host``.

Times forward alone and with backward, without waiting for the device, and profiles the Python of both: what is neither
a line of ours nor PyTorch's is the launch itself.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import time
from collections.abc import Callable
from typing import Final

import click
import torch
import triton
from torch import Tensor

import fastvae
from bench import ops
from bench.calls import SizedOp
from bench.gpu import providers
from bench.gpu.benchmarks import sizes
from bench.gpu.device import device, synchronize
from fastvae._autograd._function import Context, Op
from fastvae._triton._launch import Launch

# Few enough that the queue of launches never fills, which would make the host wait.
_CALLS: Final = 200
_ROUNDS: Final = 7
_LINES: Final = 25


@triton.jit
def _nothing(pointer):  # type: ignore[no-untyped-def]
    pass


class _Identity(Op, name="identity"):
    """The least that a differentiable op costs."""

    @staticmethod
    def forward(value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Context, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        return (gradient,)


def microseconds(call: Callable[[], object], calls: int) -> float:
    """Of the host, a call: the best of several rounds, since others share it."""
    took = []
    for _ in range(_ROUNDS if calls > 1 else 1):
        for _ in range(3):
            call()
        synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            call()
        took.append(time.perf_counter() - start)
        synchronize()
    return 1e6 * min(took) / calls


def profiled(call: Callable[[], object], calls: int) -> str:
    """The functions with the most time of their own."""
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(calls):
        call()
    profile.disable()
    synchronize()
    out = io.StringIO()
    pstats.Stats(profile, stream=out).sort_stats("tottime").print_stats(_LINES)
    return "\n".join(line for line in out.getvalue().splitlines() if line.strip())


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--dry-run", is_flag=True, help="On the CPU, in Triton's interpreter.")
def main(dry_run: bool) -> None:
    """Print times and profiles."""
    where = device(dry_run)
    calls = _CALLS if where.real else 1
    _, small, *_ = sizes(where)
    some = (SizedOp(ops.MSE, (small.pixels,)), SizedOp(ops.REPARAMETERIZE_KL_PACKED, (small.latent,)))
    one = torch.zeros(4, device=where.name)
    leaf = one.clone().requires_grad_()
    launch = Launch(_nothing, 1, [None], ())
    parts: dict[str, Callable[[], object]] = {
        "a tensor of PyTorch's": lambda: torch.empty_like(one),
        "a launch of PyTorch's": lambda: one.mul(2),
        "a launch of Triton's": lambda: _nothing[(1,)](one),
        "a launch of ours": lambda: launch(one),
        "a backward pass of PyTorch's": lambda: torch.autograd.grad(leaf.view_as(leaf), leaf, one),
        "a backward pass of ours": lambda: torch.autograd.grad(_Identity.apply(leaf), leaf, one),
    }
    for name, call in parts.items():
        click.echo(f"{microseconds(call, calls):8.1f} us {name}")
    with fastvae.use_backend("triton"):
        for sized in some:
            inputs = sized.inputs(where.name)
            for name, function in {"fastvae": sized.op.fastvae, "eager": sized.op.peers[""]}.items():
                for mode in ("forward", "both"):
                    call = providers.call(function, inputs, mode)
                    click.echo(f"{microseconds(call, calls):8.1f} us {name}, {sized.op.name} {sized.size}, {mode}")
            click.echo(profiled(providers.call(sized.op.fastvae, inputs, "both"), calls))


if __name__ == "__main__":
    main()
