"""What is counted: ops as fastvae runs them and as a user of plain PyTorch writes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from bench import ops
from bench.ops import Function, Inputs, Op, Outputs, Shape, size_name


@dataclass(frozen=True)
class Case:
    """One op with one dtype at one size.

    Attributes:
        dtype: as in tables: `width`, then the target's dtype where that is another, and what the peer does to it.
        peer: the plain PyTorch, for ``eager`` and ``inductor``.
        shapes: of the latent, of the pixels, or of both.
        width: the dtype of what needs a gradient.
    """

    op: Op
    dtype: str
    peer: Function
    shapes: tuple[Shape, ...]
    width: torch.dtype

    @property
    def name(self) -> str:
        """Unique among the cases."""
        return f"{self.op.name} {self.size} {self.dtype}"

    @property
    def size(self) -> str:
        """The shapes in one word."""
        return size_name(self.shapes)

    @property
    def elements(self) -> int:
        """Of the pixels, or of the latent where there are none."""
        return math.prod(self.shapes[-1])

    def inputs(self) -> Inputs:
        """Fresh inputs; the upstream gradients still have the dtype of `Op.inputs`."""
        given = self.op.inputs(*self.shapes)
        return given._replace(differentiable=tuple(_leaf(tensor, self.width) for tensor in given.differentiable))


def _leaf(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to(dtype).requires_grad_()


def _packed_widened(moments: Tensor) -> Outputs:
    """As under autocast, where the encoder ends in bfloat16 and the loss is computed in float32."""
    mu, logvar = moments.chunk(2, dim=1)
    return ops.REPARAMETERIZE_KL.peers[""](mu.float(), logvar.float())


def _cases(latent: Shape, pixels: Shape) -> Iterator[Case]:
    bf16 = torch.bfloat16
    yield _case(ops.REPARAMETERIZE_KL, latent)
    yield _case(ops.REPARAMETERIZE_KL_PACKED, latent)
    yield _case(ops.REPARAMETERIZE_KL_PACKED, latent, width=bf16)
    yield replace(
        _case(ops.REPARAMETERIZE_KL_PACKED, latent, width=bf16), dtype="bfloat16, peer .float()", peer=_packed_widened
    )
    yield _case(ops.BCE, pixels)
    yield _case(ops.BCE_BYTES, pixels)
    yield _case(ops.BCE_BYTES, pixels, width=bf16)
    yield _case(ops.MSE, pixels)
    yield _case(ops.GAUSSIAN_NLL, pixels)
    yield _case(ops.ELBO, latent, pixels)


def _case(op: Op, *shapes: Shape, width: torch.dtype = torch.float32) -> Case:
    names = [str(width).removeprefix("torch."), *(["uint8 target"] if op.target == "uint8" else [])]
    return Case(op, ", ".join(names), op.peers[""], shapes, width)


EVEN: Final = tuple(_cases(latent=(512, 128), pixels=(512, 128)))
"""Powers of two, as inductor fuses best, and enough elements for sums and seeds to vanish.

No more than that: what fastvae's kernels move is counted in an interpreter.
"""

MNIST: Final = tuple(_cases(latent=(128, 20), pixels=(128, 784)))
"""The sizes of an MLP on MNIST, where launches are what counts."""

CASES: Final = (*EVEN, *MNIST)
