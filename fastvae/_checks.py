"""Argument checks. Each message names the argument, what it got and what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _memory
from fastvae._extension import _C
from fastvae._options import REDUCTIONS, real

FLOATS: Final = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
TARGETS: Final = (*FLOATS, torch.uint8, torch.bool)
WEIGHTS: Final = (*FLOATS, torch.bool)


def _names(dtypes: Sequence[torch.dtype]) -> str:
    return ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)


def whole(value: object) -> bool:
    """Is it an int? A bool does not count."""
    return isinstance(value, int) and not isinstance(value, bool)


def tensor(name: str, value: object, dtypes: Sequence[torch.dtype] = FLOATS) -> None:
    """`value` is a tensor of rank >= 1 with one of `dtypes`."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: got {type(value).__name__}; takes a torch.Tensor")
    if value.dtype not in dtypes:
        raise TypeError(f"{name}: got dtype {_names([value.dtype])}; takes {_names(dtypes)}")
    if value.dim() == 0:
        raise ValueError(f"{name}: got a tensor of rank 0; takes [batch, ...], rank 1 or more")


def same_shape(name: str, value: Tensor, other: str, like: Tensor) -> None:
    if value.shape != like.shape:
        raise ValueError(
            f"{name}: got shape {list(value.shape)}; takes the shape of {other}, {list(like.shape)} (expand it)"
        )


def same_dtype(name: str, value: Tensor, other: str, like: Tensor) -> None:
    if value.dtype != like.dtype:
        raise TypeError(
            f"{name}: got dtype {_names([value.dtype])}; takes the dtype of {other}, {_names([like.dtype])}"
        )


def same_device(name: str, value: Tensor, other: str, like: Tensor) -> None:
    if value.device != like.device:
        raise ValueError(f"{name}: got device {value.device}; takes the device of {other}, {like.device}")


def broadcastable(name: str, value: Tensor, other: str, shape: Sequence[int]) -> None:
    """`value` expands to `shape`; it never makes `other` larger."""
    lead = len(shape) - value.dim()
    if lead < 0 or any(size not in (1, full) for size, full in zip(value.shape, shape[lead:], strict=True)):
        raise ValueError(
            f"{name}: got shape {list(value.shape)}; takes a shape that broadcasts to that of {other}, {list(shape)}"
        )


def constant(name: str, value: Tensor) -> None:
    if value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name}: got a tensor that requires grad; takes a constant (call .detach() on it)")


def flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: got {value!r}; takes True or False")


def factor(name: str, value: object) -> None:
    """`value` multiplies a loss: a number, or a tensor of one whose value is not read, which would wait for a GPU."""
    if isinstance(value, Tensor):
        if value.dim() or not value.is_floating_point():
            raise ValueError(
                f"{name}: got dtype {_names([value.dtype])}, shape {list(value.shape)}; takes a float or a 0-dim "
                "floating-point tensor"
            )
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: got {type(value).__name__}; takes a float or a 0-dim tensor")
    elif not real(value):
        raise ValueError(f"{name}: got an int beyond the range of floats; takes a float or a 0-dim tensor")


def reduction(value: str) -> None:
    if not isinstance(value, str) or value not in REDUCTIONS:
        raise ValueError(f"reduction: got {value!r}; takes one of {REDUCTIONS}")


def batch_dims(value: int, like: Tensor) -> None:
    if not whole(value) or not 1 <= value <= like.dim():
        raise ValueError(f"batch_dims: got {value!r}; takes 1 to the rank of the input, {like.dim()}")


def _alike(first: Tensor, second: Tensor) -> bool:
    """Do the two have one shape, dtype and device? If so, the checks that follow have nothing to find."""
    return not is_dynamo_compiling() and _C.alike(first, second)


def posterior(mu: Tensor, scale: Tensor, name: str = "scale") -> None:
    if _alike(mu, scale):
        return
    tensor("mu", mu)
    tensor(name, scale)
    same_shape(name, scale, "mu", mu)
    same_dtype(name, scale, "mu", mu)
    same_device(name, scale, "mu", mu)


def prior(value: object, mu: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """The pair `(mu_p, scale_p)`, or two Nones for the standard normal, of a posterior of `shape`."""
    if value is None:
        return None, None
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        raise TypeError(f"prior: got {type(value).__name__}; takes None or a pair (mu, scale) of tensors")
    for name, part in zip(("prior[0]", "prior[1]"), value, strict=True):
        if not isinstance(part, Tensor):
            raise TypeError(f"{name}: got {type(part).__name__}; takes a torch.Tensor")
        if part.dtype not in FLOATS:
            raise TypeError(f"{name}: got dtype {_names([part.dtype])}; takes {_names(FLOATS)}")
        broadcastable(name, part, "mu", shape)
        same_device(name, part, "mu", mu)
    return value[0], value[1]


def packed(moments: Tensor, dim: int) -> int:
    """The packed dimension, counted from the front."""
    tensor("moments", moments)
    if moments.dim() < 2:
        raise ValueError(
            f"moments: got shape {list(moments.shape)}; takes rank 2 or more, mu and scale packed along dim"
        )
    if not whole(dim) or not -moments.dim() <= dim < moments.dim() or dim % moments.dim() == 0:
        raise ValueError(f"dim: got {dim!r}; takes a dimension of moments, {list(moments.shape)}, other than the batch")
    if moments.shape[dim] % 2:
        raise ValueError(
            f"moments: got size {moments.shape[dim]} along dim {dim}; takes an even size, mu and scale packed together"
        )
    return dim % moments.dim()


def num_samples(value: int | None, shape: torch.Size) -> None:
    if value is None:
        return
    if not whole(value) or value < 1:
        raise ValueError(f"num_samples: got {value!r}; takes None or an int of at least 1")
    # Sizes may be symbolic: they are looked at only where they matter.
    if value >= 2**31 and (value >= 2**63 or value * shape.numel() >= 2**63):
        raise ValueError(f"num_samples: got {value} of a tensor {list(shape)}; takes less than 2**63 elements in all")


def fused_device(name: str, value: Tensor) -> None:
    """The fused kernels run on CPU and on CUDA or ROCm, shapes alone on meta; nothing falls back silently."""
    if not (value.is_cpu or value.is_cuda or value.is_meta):
        raise NotImplementedError(
            f"{name}: got device {value.device}; takes cpu, cuda or meta. Use `with fastvae.use_backend('reference'):` "
            "for the plain PyTorch mathematics on any device"
        )


def dim(name: str, value: int, other: str, like: Tensor) -> None:
    if not whole(value) or not -like.dim() <= value < like.dim():
        raise ValueError(f"{name}: got {value!r}; takes a dimension of {other}, {list(like.shape)}")
    if like.shape[value] == 0:
        raise ValueError(f"{other}: got size 0 along {name} {value}; takes at least one sample")


def pair(input: object, target: object, name: str = "input", of_target: str = "target") -> None:
    """What a decoder predicts, and the data."""
    if isinstance(input, Tensor) and isinstance(target, Tensor) and _alike(input, target):
        return
    tensor(name, input)
    tensor(of_target, target, TARGETS)
    assert isinstance(input, Tensor)
    assert isinstance(target, Tensor)
    same_shape(of_target, target, name, input)
    same_device(of_target, target, name, input)


def reconstruction(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction_name: str,
    sample_dims: int,
    name: str = "input",
) -> None:
    pair(input, target, name)
    if weight is not None:
        pointwise_weight(weight, name, input)
    reduction(reduction_name)
    batch_dims(sample_dims, input)


def pointwise_weight(value: object, other: str, like: Tensor) -> None:
    parameter("weight", value, other, like, WEIGHTS, "None or a torch.Tensor")
    assert isinstance(value, Tensor)
    constant("weight", value)


def parameter(
    name: str,
    value: object,
    other: str,
    like: Tensor,
    dtypes: Sequence[torch.dtype] = FLOATS,
    kinds: str = "a torch.Tensor",
) -> None:
    """`value` is a tensor that broadcasts to `like`."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: got {type(value).__name__}; takes {kinds}")
    if value.dtype not in dtypes:
        raise TypeError(f"{name}: got dtype {_names([value.dtype])}; takes {_names(dtypes)}")
    broadcastable(name, value, other, like.shape)
    same_device(name, value, other, like)


def log_scale(value: object, input: Tensor) -> None:
    tensor("input", input)
    if not isinstance(value, Tensor):
        raise TypeError(f"log_scale: got {type(value).__name__}; takes a torch.Tensor")
    if value.dtype not in FLOATS:
        raise TypeError(f"log_scale: got dtype {_names([value.dtype])}; takes {_names(FLOATS)}")
    broadcastable("log_scale", value, "input", input.shape)
    same_device("log_scale", value, "input", input)


def density(z: Tensor, mu: Tensor | None, scale: Tensor | None, reduction_name: str, sample_dims: int) -> None:
    tensor("z", z)
    if (mu is None) != (scale is None):
        missing = "mu" if mu is None else "scale"
        raise ValueError(f"{missing}: got None with the other given; takes both mu and scale, or neither")
    for name, value in (("mu", mu), ("scale", scale)):
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: got {type(value).__name__}; takes a torch.Tensor")
        if value.dtype not in FLOATS:
            raise TypeError(f"{name}: got dtype {_names([value.dtype])}; takes {_names(FLOATS)}")
        broadcastable(name, value, "z", z.shape)
        same_device(name, value, "z", z)
    reduction(reduction_name)
    batch_dims(sample_dims, z)


def overwritable(name: str, value: Tensor, reduction_name: str, scalar: bool, alone: bool) -> None:
    """`value` may be overwritten with its own gradient."""
    if not scalar:
        raise ValueError(f"inplace: got True with reduction={reduction_name!r}; takes 'sum', 'mean' or 'batchmean'")
    if not alone:
        raise ValueError(f"inplace: got True with another tensor that requires grad; takes {name} as the only one")
    if value.is_leaf and value.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"inplace: got True with a leaf {name} that requires grad; takes the output of another op")


def written_in_place(name: str, value: Tensor, **operands: Tensor | None) -> None:
    """`value` shares no memory with an operand, unless the target is the same view of it.

    A kernel reads an element of the input and of the target before it writes there, but may read its weight after.
    """
    if value.is_neg():
        raise ValueError(f"inplace: got True with a negated view as {name}; takes {name}.resolve_neg()")
    if _memory.shares_elements(value):
        raise ValueError(f"inplace: got True with an {name} whose elements share memory; takes a dense one")
    for other, operand in operands.items():
        if operand is None or not _memory.overlap(value, operand):
            continue
        if other != "target" or not _memory.same_view(value, operand):
            raise ValueError(
                f"inplace: got True with a {other} in the memory of {name}; takes one of its own (clone it)"
            )
