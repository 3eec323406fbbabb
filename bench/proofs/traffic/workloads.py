"""What is counted: ops as fastvae runs them and as a user of plain PyTorch writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from bench import ops
from bench.calls import SizedOp
from bench.ops import Function, Inputs, Op, Outputs, Shape


@dataclass(frozen=True)
class Workload:
    """One op with one dtype at one size.

    Attributes:
        dtype: as in tables: `width`, then the target's dtype where that is another, and what the peer does to it.
        peer: the plain PyTorch, for ``eager`` and ``inductor``.
        width: the dtype of what needs a gradient.
    """

    sized: SizedOp
    dtype: str
    peer: Function
    width: torch.dtype

    @property
    def name(self) -> str:
        """Unique among the workloads."""
        return f"{self.sized.op.name} {self.sized.size} {self.dtype}"

    def inputs(self) -> Inputs:
        """Fresh inputs; the upstream gradients still have the dtype of `Op.inputs`."""
        given = self.sized.inputs()
        return given._replace(differentiable=tuple(_leaf(tensor, self.width) for tensor in given.differentiable))


def _leaf(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to(dtype).requires_grad_()


def _packed_widened(moments: Tensor) -> Outputs:
    """As under autocast, where the encoder ends in bfloat16 and the loss is computed in float32."""
    mu, logvar = moments.chunk(2, dim=1)
    return ops.REPARAMETERIZE_KL.peers[""](mu.float(), logvar.float())


def _workloads(latent: Shape, pixels: Shape) -> Iterator[Workload]:
    bf16 = torch.bfloat16
    yield _workload(ops.REPARAMETERIZE_KL, latent)
    yield _workload(ops.REPARAMETERIZE_KL_PACKED, latent)
    yield _workload(ops.REPARAMETERIZE_KL_PACKED, latent, width=bf16)
    yield replace(
        _workload(ops.REPARAMETERIZE_KL_PACKED, latent, width=bf16),
        dtype="bfloat16, peer .float()",
        peer=_packed_widened,
    )
    yield _workload(ops.BCE, pixels)
    yield _workload(ops.BCE_BYTES, pixels)
    yield _workload(ops.BCE_BYTES, pixels, width=bf16)
    yield _workload(ops.MSE, pixels)
    yield _workload(ops.GAUSSIAN_NLL, pixels)
    yield _workload(ops.ELBO, latent, pixels)


def _workload(op: Op, *shapes: Shape, width: torch.dtype = torch.float32) -> Workload:
    names = [str(width).removeprefix("torch."), *(["uint8 target"] if op.target == "uint8" else [])]
    return Workload(SizedOp(op, shapes), ", ".join(names), op.peers[""], width)


EVEN: Final = tuple(_workloads(latent=(512, 128), pixels=(512, 128)))
"""Powers of two, as inductor fuses best, and enough elements for sums and seeds to vanish.

No more than that: what fastvae's kernels move is counted in an interpreter.
"""

MNIST: Final = tuple(_workloads(latent=(128, 20), pixels=(128, 784)))
"""The sizes of an MLP on MNIST, where launches are what counts."""

WORKLOADS: Final = (*EVEN, *MNIST)
