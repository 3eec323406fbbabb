"""Every op, registered once with PyTorch's dispatcher: schema, implementation per device, fake implementation.

The CPU implementation is `fastvae._C.<op>`, the CUDA (and ROCm) one `fastvae._triton.<op>`, imported on
first use, so that importing fastvae loads neither Triton nor CUDA. `torch.library.Library` rather than
`custom_op`: it costs microseconds less a call and leaves autograd to `fastvae._autograd`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _backend, _outputs, _vmap
from fastvae._extension import _C
from fastvae._layout import unpack
from fastvae._options import Posterior

_library: Final = torch.library.Library("fastvae", "DEF")

_SCALE: Final = "str parameterization, float low, float high, float min_std, float min_var"
_PRIOR: Final = "Tensor? prior_mu, Tensor? prior_scale"
_NOISE: Final = "Tensor? eps, Tensor? seed, int? num_samples"
_POSTERIOR: Final = f"{_PRIOR}, {_NOISE}, {_SCALE}, str? reduction, int batch_dims"
_PACKED: Final = "Tensor moments, int dim, bool interleaved"
_PAIR: Final = "Tensor target, Tensor? weight, Tensor? log_scale, bool full, str reduction, int batch_dims"
_DENSITY: Final = f"Tensor z, Tensor? mu, Tensor? scale, {_SCALE}, str reduction, int batch_dims"


@functools.cache
def _in_triton(name: str) -> Callable[..., Any]:
    implementation: Callable[..., Any] = getattr(importlib.import_module("fastvae._triton"), name)
    return implementation


def _wanted(output: Tensor, wanted: bool) -> Tensor | None:
    return output if wanted else None


def _define(
    name: str,
    arguments: str,
    returns: str,
    fake: Callable[..., Any],
    *,
    like: int = 0,
    masked: bool = False,
    implementation: Callable[..., Any] | None = None,
    tags: Sequence[torch.Tag] = (),
    vmap: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Register op `name`.

    Args:
        like: the number of a tensor argument, which shares its device and dtype with outputs nobody asked for.
        masked: the last argument says which outputs are wanted.
        implementation: serves every device where it is given.
        vmap: its rule of `_vmap`; none for an op that no transform meets.

    Returns:
        A function that calls it. An output nobody asked for is None, or may be empty where the op is not masked. In
        plain eager mode, on tensors that are nothing but memory on one device, the dispatcher would find nothing to do
        and is skipped: 5 us a call.
    """

    def on_cuda(*args: Any) -> Any:
        return _in_triton(name)(*args)

    in_cpp = implementation or getattr(_C, name)

    def on_cpu(*args: Any) -> Any:
        return on_cuda(*args) if _backend.requested() == "triton" else in_cpp(*args)

    def dispatched(function: Callable[..., Any]) -> Callable[..., Any]:
        """For the dispatcher, which knows no absent output, one is an empty tensor."""

        def run(*args: Any) -> Any:
            outputs = function(*args)
            if not isinstance(outputs, tuple):
                return outputs
            return tuple(args[like].new_empty(0) if output is None else output for output in outputs)

        return run

    by_device = {"cpu": implementation or on_cpu, "cuda": implementation or on_cuda}
    _library.define(f"{name}({arguments}) -> {returns}", tags=(torch.Tag.pt2_compliant_tag, *tags))
    _library.impl(name, dispatched(by_device["cpu"]), "CPU")
    _library.impl(name, dispatched(by_device["cuda"]), "CUDA")
    torch.library.register_fake(f"fastvae::{name}", dispatched(fake), lib=_library)
    overload = getattr(torch.ops.fastvae, name).default
    if vmap is not None:

        def rule(info: Any, dims: tuple[Any, ...], *args: Any) -> Any:
            return vmap(overload, info.batch_size, dims, *args)

        torch.library.register_vmap(f"fastvae::{name}", rule, lib=_library)

    def call(*args: Any) -> Any:
        device = None if is_dynamo_compiling() else _C.direct_call_device(args)
        if device is not None:
            return by_device[device](*args)
        outputs = overload(*args)
        return tuple(map(_wanted, outputs, args[-1])) if masked else outputs

    return call


def draw_seed(like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One int64 from torch's generator for the device of `like`, left on that device."""
    return torch.randint(-(2**63), 2**63 - 1, (1,), dtype=torch.int64, device=like.device, generator=generator)


seed = _define(
    "seed",
    "Tensor like",
    "Tensor",
    lambda like: like.new_empty(1, dtype=torch.int64),
    implementation=draw_seed,
    tags=(torch.Tag.nondeterministic_seeded,),
)

reparameterize_kl = _define(
    "reparameterize_kl",
    f"Tensor mu, Tensor scale, {_POSTERIOR}",
    "(Tensor z, Tensor kl)",
    lambda mu, scale, *options: _outputs.reparameterize_kl(mu, Posterior(*options)),
    vmap=_vmap.reparameterize_kl,
)
reparameterize_kl_backward = _define(
    "reparameterize_kl_backward",
    f"Tensor? grad_z, Tensor? grad_kl, Tensor mu, Tensor scale, {_POSTERIOR}, bool[4] wanted",
    "(Tensor mu, Tensor scale, Tensor prior_mu, Tensor prior_scale)",
    lambda grad_z, grad_kl, *args: _outputs.gradients(args[-1], *args[:4]),
    like=2,
    masked=True,
    vmap=_vmap.reparameterize_kl_backward,
)
reparameterize_kl_packed = _define(
    "reparameterize_kl_packed",
    f"{_PACKED}, {_POSTERIOR}",
    "(Tensor z, Tensor kl)",
    lambda moments, dim, interleaved, *options: _outputs.reparameterize_kl(
        unpack(moments, dim, interleaved)[0], Posterior(*options)
    ),
    vmap=_vmap.reparameterize_kl_packed,
)
reparameterize_kl_packed_backward = _define(
    "reparameterize_kl_packed_backward",
    f"Tensor? grad_z, Tensor? grad_kl, {_PACKED}, {_POSTERIOR}, bool[3] wanted",
    "(Tensor moments, Tensor prior_mu, Tensor prior_scale)",
    lambda grad_z, grad_kl, moments, dim, interleaved, *args: _outputs.gradients(args[-1], moments, *args[:2]),
    like=2,
    masked=True,
    vmap=_vmap.reparameterize_kl_packed_backward,
)

reconstruction = _define(
    "reconstruction",
    f"str name, Tensor input, {_PAIR}, bool per_sample, bool[2] grad",
    "(Tensor loss, Tensor per_sample, Tensor grad, Tensor grad_log_scale)",
    lambda name, input, target, weight, log_scale, full, *options: _outputs.reconstruction(input, log_scale, *options),
    like=1,
    vmap=_vmap.reconstruction,
)
reconstruction_inplace = _define(
    "reconstruction_inplace",
    f"str name, Tensor(a!) input, {_PAIR}, bool per_sample",
    "(Tensor loss, Tensor per_sample)",
    lambda name, input, target, weight, log_scale, full, reduction, batch_dims, per_sample: _outputs.reconstruction(
        input, None, reduction, batch_dims, per_sample, (False, False)
    )[:2],
    like=1,
)
reconstruction_backward = _define(
    "reconstruction_backward",
    f"str name, Tensor grad_loss, Tensor input, {_PAIR}, bool[3] wanted",
    "(Tensor input, Tensor target, Tensor log_scale)",
    lambda name, grad_loss, input, target, weight, log_scale, full, reduction, batch_dims, wanted: _outputs.gradients(
        wanted, input, target, log_scale
    ),
    like=1,
    masked=True,
    vmap=_vmap.reconstruction_backward,
)
scale_gradient = _define("scale_gradient", "Tensor(a!) grad, Tensor upstream", "()", lambda grad, upstream: None)

log_normal = _define(
    "log_normal",
    _DENSITY,
    "Tensor",
    lambda z, mu, scale, parameterization, low, high, min_std, min_var, reduction, batch_dims: _outputs.loss(
        z, reduction, batch_dims
    ),
    vmap=_vmap.log_normal,
)
log_normal_backward = _define(
    "log_normal_backward",
    f"Tensor grad_log_prob, {_DENSITY}, bool[3] wanted",
    "(Tensor z, Tensor mu, Tensor scale)",
    lambda grad_log_prob, z, mu, scale, *args: _outputs.gradients(args[-1], z, mu, scale),
    masked=True,
    vmap=_vmap.log_normal_backward,
)

importance_weighted_bound = _define(
    "importance_weighted_bound",
    "Tensor log_w, int dim",
    "Tensor",
    _outputs.importance_weighted_bound,
    vmap=_vmap.importance_weighted_bound,
)
importance_weighted_bound_backward = _define(
    "importance_weighted_bound_backward",
    "Tensor grad_bound, Tensor log_w, Tensor bound, int dim",
    "Tensor",
    lambda grad_bound, log_w, bound, dim: torch.empty_like(log_w),
    vmap=_vmap.importance_weighted_bound_backward,
)
