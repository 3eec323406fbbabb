"""The ops of the report, a row each: fastvae's call, what people write instead, the definition and the regimes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import torch
import torch.nn.functional as T
from torch import Tensor

import fastvae.functional as F
from bench import formulas
from bench.accuracy import definitions, regimes
from bench.accuracy.definitions import Definition
from bench.accuracy.draws import Draw, Shape
from bench.accuracy.errors import Results

Call = Callable[..., Tensor | tuple[Tensor, ...]]
DTYPES: Final = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_ELEMENTS: Final = (64, 64)
_DATASET: Final = 60_000
_VALUE: Final = ("value",)


class Op(NamedTuple):
    """One op; every call takes tensors by name.

    Attributes:
        name: of the function, and of what it is compared with where that has two.
        eager: where it is from is `source`.
        wanted: the inputs whose gradients are compared, under an upstream gradient of 1.
        definition: by element; None where float64 has nothing to be held to.
        outputs: the names of the results.
        shapes: of inputs that have not the shape of all the others.
        fixed: inputs that are exact.
        exact: what narrower dtypes are held to in float64 where the reference, which has torch's values, is not exact.
        total: the elements of a long sum, and fastvae's call with ``reduction="sum"``; None where none are summed.
    """

    name: str
    fastvae: Call
    eager: Call
    source: str
    wanted: tuple[str, ...]
    regimes: regimes.Regimes
    definition: Definition | None = None
    outputs: tuple[str, ...] = _VALUE
    shape: Shape = _ELEMENTS
    shapes: Mapping[str, Shape] = {}
    fixed: tuple[str, ...] = ()
    total: tuple[int, Call] | None = None
    exact: Call | None = None


def inputs(op: Op, draws: Mapping[str, Draw], dtype: torch.dtype, seed: int = 0) -> dict[str, Tensor] | None:
    """Tensors of a regime, rounded to a dtype; None where it does not hold them."""
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[str, Tensor] = {}
    for name, draw in draws.items():
        drawn[name] = draw(op.shapes.get(name, op.shape), generator, drawn)
    rounded = {name: value.to(dtype) if value.is_floating_point() else value for name, value in drawn.items()}
    for name, value in rounded.items():
        lost = (value == 0) & (drawn[name] != 0)
        # With a number that has become 0 or infinite it is another regime.
        if value.is_floating_point() and not (value.isfinite() & ~lost).all():
            return None
    return rounded


def evaluate(op: Op, call: Call, tensors: Mapping[str, Tensor]) -> Results:
    """The outputs of a call, and the gradients wanted."""
    leaves = {name: value.detach().clone().requires_grad_(name in op.wanted) for name, value in tensors.items()}
    found = call(**leaves)
    outputs = found if isinstance(found, tuple) else (found,)
    upstream = [torch.ones_like(output) for output in outputs]
    gradients = torch.autograd.grad(outputs, [leaves[name] for name in op.wanted], upstream)
    results = {name: output.detach() for name, output in zip(op.outputs, outputs, strict=True)}
    return results | {f"d {name}": gradient for name, gradient in zip(op.wanted, gradients, strict=True)}


def _kl(reduction: str) -> Call:
    return lambda mu, scale: F.gaussian_kl(mu, scale, reduction=reduction)


def _prior_kl(mu: Tensor, scale: Tensor, prior_mu: Tensor, prior_scale: Tensor) -> Tensor:
    return F.gaussian_kl(mu, scale, (prior_mu, prior_scale), reduction="none")


def _both(mu: Tensor, scale: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl(mu, scale, eps=eps, reduction="none")


def _packed(mu: Tensor, scale: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    return F.reparameterize_kl_packed(torch.cat((mu, scale), 1), eps=eps, reduction="none")


def _pair(mu: Tensor, scale: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    return formulas.sample(mu, scale, eps), formulas.standard_kl(mu, scale)


def _torchs(function: Callable[..., Tensor]) -> Call:
    return lambda input, target: function(input, target, reduction="none")


def _fused(function: Callable[..., Tensor], reduction: str = "none") -> Call:
    return lambda **tensors: function(**tensors, reduction=reduction)


def _inflated(
    mean: Tensor, inverse_dispersion: Tensor, zero_inflation_logits: Tensor, target: Tensor, reduction: str = "none"
) -> Tensor:
    return F.negative_binomial_nll(
        mean, target, inverse_dispersion, zero_inflation_logits=zero_inflation_logits, reduction=reduction
    )


def _pixels(params: Tensor, target: Tensor) -> Tensor:
    return formulas.discretized_mixture(params, target.to(params.dtype) / 127.5 - 1, regimes.MIXTURES)


def _exact_bce(input: Tensor, target: Tensor) -> Tensor:
    # Of torch's form, (1 - t) x - log sigmoid(x), nothing is left at t = 0 and an x far below 0.
    return -(target * T.logsigmoid(input) + (1 - target) * T.logsigmoid(-input))


def _bce(name: str, eager: Call, source: str) -> Op:
    function = F.binary_cross_entropy_with_logits
    return Op(
        name, _fused(function), eager, source, ("input", "target"), regimes.LOGITS, definitions.bce_with_logits,
        total=(2**24, _fused(function, "sum")), exact=_exact_bce,
    )  # fmt: skip


def _gaussian(name: str, eager: Call, source: str) -> Op:
    return Op(
        name, _fused(F.gaussian_nll), lambda input, target, log_scale: eager(input, target, log_scale), source,
        ("input", "target", "log_scale"), regimes.GAUSSIANS, definitions.gaussian,
    )  # fmt: skip


_EXAMPLES: Final = "pytorch/examples, vae/main.py"
OPS: Final = (
    Op(
        "gaussian_kl", _kl("none"), lambda mu, scale: formulas.standard_kl(mu, scale), _EXAMPLES, ("mu", "scale"),
        regimes.POSTERIORS, definitions.standard_kl, total=(2**24, _kl("sum")),
    ),
    Op(
        "gaussian_kl, to a prior", _prior_kl,
        lambda mu, scale, prior_mu, prior_scale: formulas.prior_kl(mu, scale, prior_mu, prior_scale),
        "torch.distributions.kl_divergence", ("mu", "scale", "prior_mu", "prior_scale"), regimes.PRIORS,
        definitions.prior_kl,
    ),
    Op(
        "reparameterize", lambda mu, scale, eps: F.reparameterize(mu, scale, eps=eps),
        lambda mu, scale, eps: formulas.sample(mu, scale, eps), _EXAMPLES, ("mu", "scale"), regimes.SAMPLES,
        definitions.sample, ("z",),
    ),
    Op("reparameterize_kl", _both, _pair, _EXAMPLES, ("mu", "scale"), regimes.BOTH, None, ("z", "KL")),
    Op("reparameterize_kl_packed", _packed, _pair, _EXAMPLES, ("mu", "scale"), regimes.BOTH, None, ("z", "KL")),
    _bce("binary_cross_entropy_with_logits", _torchs(T.binary_cross_entropy_with_logits), "torch's function"),
    _bce(
        "binary_cross_entropy_with_logits, of a sigmoid",
        lambda input, target: formulas.sigmoid_bce(input, target), _EXAMPLES,
    ),
    Op(
        "binary_cross_entropy", _fused(F.binary_cross_entropy), _torchs(T.binary_cross_entropy), "torch's function",
        ("input", "target"), regimes.PROBABILITIES, definitions.bce,
    ),
    Op(
        "mse_loss", _fused(F.mse_loss), _torchs(T.mse_loss), "torch's function", ("input", "target"),
        regimes.DISTANCES, definitions.squared, total=(2**26, _fused(F.mse_loss, "sum")),
    ),
    Op(
        "l1_loss", _fused(F.l1_loss), _torchs(T.l1_loss), "torch's function", ("input", "target"), regimes.DISTANCES,
        definitions.absolute,
    ),
    _gaussian("gaussian_nll", formulas.torch_gaussian, "torch's gaussian_nll_loss"),
    _gaussian("gaussian_nll, of sigma-VAE", formulas.sigma_vae, "Rybkin et al. 2021"),
    Op(
        "poisson_nll", _fused(F.poisson_nll),
        lambda log_rate, target: T.poisson_nll_loss(log_rate, target, full=True, reduction="none"),
        "torch's poisson_nll_loss", ("log_rate",), regimes.LOG_RATES, definitions.poisson, fixed=("target",),
    ),
    Op(
        "poisson_nll_of_rate", _fused(F.poisson_nll_of_rate),
        lambda rate, target: T.poisson_nll_loss(rate, target, log_input=False, full=True, reduction="none"),
        "torch's poisson_nll_loss", ("rate",), regimes.RATES, definitions.poisson_of_rate, fixed=("target",),
    ),
    Op(
        "negative_binomial_nll", _fused(F.negative_binomial_nll),
        lambda mean, inverse_dispersion, target: formulas.negative_binomial(mean, inverse_dispersion, target),
        "scvi-tools", ("mean", "inverse_dispersion"), regimes.COUNTS, definitions.negative_binomial,
        fixed=("target",),
    ),
    Op(
        "negative_binomial_nll, zero-inflated", _inflated,
        lambda mean, inverse_dispersion, zero_inflation_logits, target: formulas.zero_inflated(
            mean, inverse_dispersion, zero_inflation_logits, target
        ),
        "scvi-tools", ("mean", "inverse_dispersion", "zero_inflation_logits"), regimes.INFLATED,
        definitions.zero_inflated, fixed=("target",),
    ),
    Op(
        "discretized_logistic_mixture_nll", _fused(F.discretized_logistic_mixture_nll), _pixels, "PixelCNN++",
        ("params",), regimes.PIXELS, shapes={"params": (4, 10 * regimes.MIXTURES, 8, 8), "target": (4, 3, 8, 8)},
    ),
    Op(
        "log_normal", lambda z, mu, scale: F.log_normal(z, mu, scale, reduction="none"),
        lambda z, mu, scale: formulas.normal_density(z, mu, scale), "torch.distributions", ("z", "mu", "scale"),
        regimes.POINTS, definitions.log_normal,
    ),
    Op(
        "log_normal_mixture", lambda z, mu, scale, log_weights: F.log_normal_mixture(z, mu, scale, log_weights),
        lambda z, mu, scale, log_weights: formulas.mixture(z, mu, scale, log_weights), "VampPrior",
        ("z", "mu", "scale", "log_weights"), regimes.COMPONENTS, shape=(32, 16),
        shapes={"z": (64, 16), "log_weights": (32,)},
    ),
    Op(
        "minibatch_log_densities",
        lambda z, mu, scale: F.minibatch_log_densities(z, mu, scale, dataset_size=_DATASET),
        lambda z, mu, scale: formulas.minibatch_densities(z, mu, scale, _DATASET), "beta-TC-VAE",
        ("z", "mu", "scale"), regimes.BATCHES, outputs=("log q(z)", "sum of log q(z_d)"), shape=(64, 16),
    ),
    Op(
        "importance_weighted_bound", lambda log_w: F.importance_weighted_bound(log_w),
        lambda log_w: formulas.bound(log_w), "torch.logsumexp", ("log_w",), regimes.WEIGHTS,
    ),
    Op(
        "vae_loss", lambda recon_x, x, mu, logvar: F.vae_loss(recon_x, x, mu, logvar),
        lambda recon_x, x, mu, logvar: formulas.examples_loss(recon_x, x, mu, logvar), _EXAMPLES,
        ("recon_x", "mu", "logvar"), regimes.WHOLE, shape=(64, 20), shapes={"recon_x": (64, 784), "x": (64, 784)},
    ),
)  # fmt: skip
BY_NAME: Final = {op.name: op for op in OPS}
