"""The ops as rows: fastvae's call, and the peers as a user would write them.

A peer is plain PyTorch; each is timed as it is (provider ``eager``) and under torch.compile (``compile``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
import torch.nn.functional as T
from torch import Tensor

import fastvae.functional as F

Shape = tuple[int, ...]
Outputs = tuple[Tensor, ...]
Function = Callable[..., Outputs]
# Test file: the part of it, as pytest's -k, that the quick suite runs.
Tests = Mapping[str, str]

ROUNDINGS: Final = 4

RECONSTRUCTION_TESTS: Final[Tests] = {
    "tests/core/test_reconstruction.py": "(torchs or bytes or inplace or learned) and not triton"
}
LATENT_TESTS: Final[Tests] = {
    "tests/core/test_reparameterize_kl.py": "distributions and not triton",
    "tests/core/test_packed.py": "not triton",
    "tests/core/test_noise.py": "(cpp_is or backward) and not triton",
}


class Inputs(NamedTuple):
    """Tensors that need a gradient, tensors that do not, and the upstream gradient of each output (None for 1)."""

    differentiable: tuple[Tensor, ...]
    constant: tuple[Tensor, ...]
    upstream: tuple[Tensor | None, ...]

    def to(self, dtype: torch.dtype) -> Inputs:
        """The same in another floating-point dtype; tensors of bytes stay as they are."""

        def converted(tensor: Tensor) -> Tensor:
            return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor

        return Inputs(
            tuple(converted(tensor).requires_grad_() for tensor in self.differentiable),
            tuple(map(converted, self.constant)),
            tuple(None if gradient is None else converted(gradient) for gradient in self.upstream),
        )

    def upstream_of(self, outputs: Outputs) -> Outputs:
        """The upstream gradients of these outputs, in their dtypes: autograd would convert others at each call."""
        pairs = zip(outputs, self.upstream, strict=True)
        return tuple(torch.ones_like(output) if up is None else up.to(output.dtype) for output, up in pairs)


@dataclass(frozen=True)
class Op:
    """One op and what it is compared with.

    Attributes:
        target: dtype of the target, or ``"-"``.
        inputs: makes the inputs from the shapes of a size, of the latent, of the pixels, or of both, on torch's
            default device.
        peers: functions of the same arguments, by the suffix of their providers' names.
        min_bytes: an element of each shape must move so many bytes, forward and backward together; None where bytes do
            not bound it.
        max_peak: and may allocate so many at once; None where nothing is asked.
        scratch: bytes that it may allocate besides.
        roundings: that a right result has, at most, in units of its dtype's eps relative to the largest of its kind.
        fresh: each call gets its own copy of the differentiable inputs.
        dtype: of the inputs but the target.
    """

    name: str
    target: str
    inputs: Callable[..., Inputs]
    fastvae: Function
    peers: Mapping[str, Function]
    tests: Tests
    min_bytes: tuple[int, ...] | None
    max_peak: tuple[int, ...] | None
    fresh: bool = False
    dtype: str = "float32"
    scratch: int = 0
    roundings: int = ROUNDINGS


def size_name(shapes: Sequence[Shape]) -> str:
    """The shapes of a size in one word, pixels before the latent."""
    return "+".join("x".join(map(str, shape)) for shape in reversed(shapes))


def random() -> torch.Generator:
    """The same numbers for every provider."""
    return torch.Generator(torch.get_default_device()).manual_seed(0)


def _pixels(shape: Shape) -> Inputs:
    generator = random()
    x = torch.randn(shape, generator=generator).requires_grad_()
    return Inputs((x,), (torch.rand(shape, generator=generator),), (None,))


def _byte_pixels(shape: Shape) -> Inputs:
    (x,), _, upstream = _pixels(shape)
    return Inputs((x,), (torch.randint(0, 256, shape, dtype=torch.uint8, generator=random()),), upstream)


def _pixels_and_scale(shape: Shape) -> Inputs:
    (x,), target, upstream = _pixels(shape)
    return Inputs((x, torch.tensor(-0.5, requires_grad=True)), target, upstream)


def _heads(shape: Shape) -> Inputs:
    generator = random()
    mu, logvar, grad_z = (torch.randn(shape, generator=generator) for _ in range(3))
    return Inputs((mu.requires_grad_(), logvar.requires_grad_()), (), (grad_z, None))


def _packed(shape: Shape) -> Inputs:
    (mu, logvar), constant, upstream = _heads(shape)
    return Inputs((torch.cat((mu.detach(), logvar.detach()), 1).requires_grad_(),), constant, upstream)


def _posterior_and_pixels(latent: Shape, pixels: Shape) -> Inputs:
    (moments,), _, (grad_z, _) = _packed(latent)
    (logits,), target, _ = _pixels(pixels)
    return Inputs((moments, logits), target, (grad_z, None))


def _halved(make: Callable[..., Inputs]) -> Callable[..., Inputs]:
    """The same inputs, rounded to bfloat16."""
    return lambda *shapes: make(*shapes).to(torch.bfloat16)


def _bce_logits(x: Tensor, target: Tensor) -> Outputs:
    return (T.binary_cross_entropy_with_logits(x, target, reduction="sum"),)


def _bce_probabilities(x: Tensor, target: Tensor) -> Outputs:
    return (T.binary_cross_entropy(torch.sigmoid(x), target, reduction="sum"),)


def _bce_converted(x: Tensor, target: Tensor) -> Outputs:
    return _bce_logits(x, target.to(x.dtype) / 255)


def _mse(x: Tensor, target: Tensor) -> Outputs:
    return (T.mse_loss(x, target, reduction="sum"),)


def _gaussian_nll(x: Tensor, log_scale: Tensor, target: Tensor) -> Outputs:
    return ((0.5 * ((x - target) * torch.exp(-log_scale)) ** 2 + log_scale).sum(),)


def _reparameterize_kl(mu: Tensor, logvar: Tensor) -> Outputs:
    std = torch.exp(0.5 * logvar)
    z = mu + torch.randn_like(std) * std
    return z, -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def _reparameterize_kl_packed(moments: Tensor) -> Outputs:
    return _reparameterize_kl(*moments.chunk(2, dim=1))


def _elbo(moments: Tensor, logits: Tensor, target: Tensor) -> Outputs:
    z, kl = _reparameterize_kl_packed(moments)
    return z, _bce_logits(logits, target)[0] + kl


def _elbo_probabilities(moments: Tensor, logits: Tensor, target: Tensor) -> Outputs:
    z, kl = _reparameterize_kl_packed(moments)
    return z, _bce_probabilities(logits, target)[0] + kl


def _fused_bce(x: Tensor, target: Tensor) -> Outputs:
    return (F.binary_cross_entropy_with_logits(x, target, reduction="sum"),)


def _fused_bce_inplace(x: Tensor, target: Tensor) -> Outputs:
    return (F.binary_cross_entropy_with_logits(x, target, reduction="sum", inplace=True),)


def _fused_elbo(moments: Tensor, logits: Tensor, target: Tensor) -> Outputs:
    z, kl = F.reparameterize_kl_packed(moments, reduction="sum")
    return z, _fused_bce(logits, target)[0] + kl


_BCE_PEERS: Final = {"": _bce_logits, "_sigmoid": _bce_probabilities}

BCE: Final = Op("bce_logits", "float32", _pixels, _fused_bce, _BCE_PEERS, RECONSTRUCTION_TESTS, (12,), (4,))
BCE_BYTES: Final = Op(
    "bce_logits", "uint8", _byte_pixels, _fused_bce, {"": _bce_converted}, RECONSTRUCTION_TESTS, (9,), (4,)
)
BCE_INPLACE: Final = Op(
    "bce_logits_inplace", "float32", _pixels, _fused_bce_inplace, _BCE_PEERS, RECONSTRUCTION_TESTS, (12,), (0,),
    fresh=True,
)  # fmt: skip
BCE_BYTES_HALF: Final = replace(
    BCE_BYTES, inputs=_halved(_byte_pixels), min_bytes=(5,), max_peak=(2,), dtype="bfloat16"
)
MSE: Final = Op(
    "mse", "float32", _pixels, lambda x, target: (F.mse_loss(x, target, reduction="sum"),), {"": _mse},
    RECONSTRUCTION_TESTS, (12,), (4,),
)  # fmt: skip
GAUSSIAN_NLL: Final = Op(
    "gaussian_nll", "float32", _pixels_and_scale,
    lambda x, log_scale, target: (F.gaussian_nll(x, target, log_scale, reduction="sum"),), {"": _gaussian_nll},
    RECONSTRUCTION_TESTS, (12,), None,
)  # fmt: skip
REPARAMETERIZE_KL: Final = Op(
    "reparameterize_kl", "-", _heads, lambda mu, logvar: F.reparameterize_kl(mu, logvar, reduction="sum"),
    {"": _reparameterize_kl}, LATENT_TESTS, (32,), (12,),
)  # fmt: skip
REPARAMETERIZE_KL_PACKED: Final = Op(
    "reparameterize_kl_packed", "-", _packed, lambda moments: F.reparameterize_kl_packed(moments, reduction="sum"),
    {"": _reparameterize_kl_packed}, LATENT_TESTS, (32,), (12,),
)  # fmt: skip
REPARAMETERIZE_KL_PACKED_HALF: Final = replace(
    REPARAMETERIZE_KL_PACKED, inputs=_halved(_packed), min_bytes=(16,), max_peak=(6,), dtype="bfloat16"
)
ELBO: Final = Op(
    "elbo", "float32", _posterior_and_pixels, _fused_elbo, {"": _elbo, "_sigmoid": _elbo_probabilities},
    {**RECONSTRUCTION_TESTS, **LATENT_TESTS}, (32, 12), (12, 4),
)  # fmt: skip
