"""What each result of a case is the sum of, by the reference in a dtype of choice.

A sum is judged by its terms: torch's own error in one sum may be nothing, by luck. So reductions are left out, operands
that broadcast are expanded, and a posterior's sample and its KL are computed apart. A few copies of the operands, each
element moved by less than a thousandth, are evaluated beside them, for a small tensor has too few errors to know torch
by. Those copies are a first dimension of everything here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from fastvae import reference
from fastvae._layout import unpack, unpacked_shape
from fastvae.reference import noise
from tests.fuzz.cases import Case

Tensors = Mapping[str, Tensor]
FEW = 200
"""Elements that are enough to know torch's error by."""


class Terms(NamedTuple):
    """Terms of one result, ``[copies, ...]``, the sum over them that it is, and, of a gradient, the output it is of;
    the `least` size of terms that are not among these, and the `units` that sums within it may be off by."""

    values: Tensor
    total: Callable[[Tensor], Tensor]
    output: Tensor | None = None
    least: float = 0.0
    units: float = 4.0


Parts = dict[str, list[Terms]]


def copies(tensors: Tensors, elements: int, most: int = 32) -> dict[str, Tensor]:
    """The tensors and copies moved by a little, as a first dimension; zeros, infinities and integers stay."""
    count = min(most, max(2, -(-FEW // max(elements, 1))))
    generator = torch.Generator().manual_seed(0)

    def moved(value: Tensor) -> Tensor:
        if not value.is_floating_point():
            return value.expand(count, *value.shape)
        factors = 1 - 1e-3 * torch.rand((count, *value.shape), generator=generator, dtype=torch.float64)
        factors[0] = 1
        return (value * factors).to(value.dtype)

    return {name: moved(value) for name, value in tensors.items()}


def _broadcast_back(shape: torch.Size) -> Callable[[Tensor], Tensor]:
    """The sum over the dimensions along which an operand of `shape` was expanded."""

    def total(terms: Tensor) -> Tensor:
        lead = terms.dim() - 1 - len(shape)
        return terms.sum_to_size(len(terms), *(1,) * lead, *shape).reshape(len(terms), *shape)

    return total


def _reduced(reduction: str, batch_dims: int) -> Callable[[Tensor], Tensor]:
    def total(terms: Tensor) -> Tensor:
        if reduction == "none":
            return terms
        if reduction == "sample":
            return terms.flatten(1 + batch_dims).sum(-1) if terms.dim() > 1 + batch_dims else terms
        each = terms.flatten(1).sum(-1)
        count = {"mean": terms[0].numel(), "batchmean": terms.shape[1 : 1 + batch_dims].numel()}
        return each / count.get(reduction, 1)

    return total


def _spread(upstream: Tensor, shape: torch.Size, reduction: str, batch_dims: int) -> Tensor:
    """The gradient of each term, ``[copies, *shape]``, under that of a reduction of them."""
    count = {"mean": shape[1:].numel(), "batchmean": shape[1 : 1 + batch_dims].numel()}.get(reduction, 1)
    # An average over nothing is nan; its terms, of which there are none, have no gradient.
    upstream = upstream / max(count, 1)
    tail = (1,) * (len(shape) - 1 - upstream.dim())
    return upstream.reshape(1, *upstream.shape, *tail).expand(shape)


def _differentiated(
    call: Callable[[Tensors], Tensor],
    tensors: Tensors,
    wanted: tuple[str, ...],
    upstream: Callable[[Tensor], Tensor] | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    leaves = {name: value.detach().requires_grad_(name in wanted) for name, value in tensors.items()}
    output = call(leaves)
    if upstream is None or not wanted:
        return output.detach(), {}
    gradients = torch.autograd.grad(output, [leaves[name] for name in wanted], upstream(output), allow_unused=True)
    return output.detach(), {
        name: torch.zeros_like(leaves[name]) if gradient is None else gradient
        for name, gradient in zip(wanted, gradients, strict=True)
    }


def pointwise(case: Case, tensors: Tensors, upstreams: Mapping[int, Tensor]) -> Parts:
    """Of functions whose loss is a formula of one element, or one pixel, reduced."""
    options = dict(case.options)
    options.pop("inplace", None)
    reduction = options.pop("reduction", _default(case.op))
    batch_dims = options.pop("batch_dims", 1)
    first = next(iter(tensors.values()))
    shape, batch = first.shape, {} if case.op == "discretized_logistic_mixture_nll" else {"batch_dims": batch_dims}
    if case.op == "discretized_logistic_mixture_nll":
        options["dim"] = options["dim"] % len(shape) + 1
        full = tensors
    else:
        full = {name: value.expand(shape) for name, value in tensors.items()}
    stacked = copies(full, shape.numel())
    # The pixels of a mixture have one dimension less.
    batch = {} if not batch else {"batch_dims": 1}
    output, gradients = _differentiated(
        lambda leaves: getattr(reference, case.op)(**leaves, **options, reduction="none", **batch),
        stacked,
        case.wanted,
        (lambda out: _spread(upstreams[0].to(out.dtype), out.shape, reduction, batch_dims)) if 0 in upstreams else None,
    )
    parts = {"output 0": [Terms(output, _reduced(reduction, batch_dims))]}
    beside = output if batch else output.unsqueeze(options["dim"])
    for name, value in gradients.items():
        parts[f"gradient of {name}"] = [Terms(value, _broadcast_back(tensors[name].shape), beside.expand_as(value))]
    return parts


def posterior(case: Case, tensors: Tensors, upstreams: Mapping[int, Tensor]) -> Parts:
    """Of the latent's functions: a sample of each copy, and the KL by element."""
    options = dict(case.options)
    packed = "moments" in tensors
    dim, interleaved = options.pop("dim", 0), options.pop("interleaved", False)
    count, shard = options.pop("num_samples", None), options.pop("shard", None)
    reduction, batch_dims = options.pop("reduction", "batchmean"), options.pop("batch_dims", 1)
    first = next(iter(tensors.values()))
    dim %= first.dim()
    shape = unpacked_shape(first, dim) if packed else first.shape
    of_sample = shape if count is None else torch.Size((count, *shape))
    mu, scale = unpack(first, dim, interleaved) if packed else (tensors["mu"], tensors["scale"])
    parts: Parts = {}

    def place(output: Tensor, gradients: dict[str, Tensor], lead: int) -> None:
        """Gradients of mu and of the scale, packed again where they were."""
        back = {key: _broadcast_back(shape) for key in ("mu", "scale")}
        if not gradients:
            return
        if packed and "moments" in case.wanted:
            pair = gradients["mu"], gradients["scale"]
            axis = dim + 1 + lead
            value, beside = (
                torch.stack(pair, axis + 1).flatten(axis, axis + 1) if interleaved else torch.cat(pair, axis)
                for pair in (pair, (output, output))
            )
            parts.setdefault("gradient of moments", []).append(Terms(value, _broadcast_back(first.shape), beside))
        for key, value in gradients.items():
            if key in case.wanted:
                total = back.get(key) or _broadcast_back(tensors[key].shape)
                parts.setdefault(f"gradient of {key}", []).append(Terms(value, total, output))

    both = ("mu", "scale") if "moments" in case.wanted else tuple(key for key in ("mu", "scale") if key in case.wanted)
    sampled, kl_at = case.op != "gaussian_kl", 0 if case.op == "gaussian_kl" else 1
    if sampled:
        eps = tensors.get("eps")
        if eps is None:
            assert case.noise is not None
            like = torch.empty(shape, dtype=first.dtype)
            eps = noise.normal_like(torch.tensor([case.noise.drawn()]), like, first.dtype, count, shard)
        stacked = copies({"mu": mu.expand(of_sample), "scale": scale.expand(of_sample), "eps": eps}, of_sample.numel())
        z, gradients = _differentiated(
            lambda leaves: reference.reparameterize(**leaves, **options),
            stacked,
            both,
            (lambda out: upstreams[0].to(out.dtype).expand_as(out)) if 0 in upstreams else None,
        )
        parts["output 0"] = [Terms(z, lambda terms: terms)]
        place(z, gradients, 0 if count is None else 1)
    if case.op != "reparameterize":
        names = ("prior_mu", "prior_scale") if "prior_mu" in tensors else ()
        stacked = copies(
            {"mu": mu, "scale": scale, **{name: tensors[name].expand(shape) for name in names}}, shape.numel()
        )
        kl, gradients = _differentiated(
            lambda leaves: reference.gaussian_kl(
                leaves["mu"], leaves["scale"], (leaves["prior_mu"], leaves["prior_scale"]) if names else None,
                **options, reduction="none",
            ),
            stacked,
            (*both, *(name for name in names if name in case.wanted)),
            (lambda out: _spread(upstreams[kl_at].to(out.dtype), out.shape, reduction, batch_dims))
            if kl_at in upstreams
            else None,
        )  # fmt: skip
        parts[f"output {kl_at}"] = [Terms(kl, _reduced(reduction, batch_dims))]
        place(kl, gradients, 0)
    return parts


def _default(op: str) -> str:
    if op == "log_normal":
        return "sample"
    counts = ("poisson_nll", "poisson_nll_of_rate", "negative_binomial_nll", "discretized_logistic_mixture_nll")
    return "batchmean" if op in counts else "mean"
