"""Every call that `fastvae.functional` documents, as strategies of hypothesis: one for each kind of function."""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from hypothesis import strategies as st

from fastvae._likelihoods import LOSSES
from fastvae._options import PARAMETERIZATIONS, REDUCTIONS
from tests.fuzz.cases import Case, Noise, Upstream
from tests.fuzz.tensors import BLOCK, FLAVOURS, LARGE, LAYOUTS, Operand, Shape
from tests.support.posteriors import FLOATS

Draw = st.DrawFn

DTYPES: Final = st.sampled_from((torch.float32, *FLOATS))
LAYOUT: Final = st.sampled_from(("contiguous", "contiguous", *LAYOUTS))
FLAVOUR: Final = st.sampled_from(("ordinary", "ordinary", *FLAVOURS))
# Without distances, in units of sigma, whose squares leave nothing of the logarithms of weights beside them.
NEAR: Final = st.sampled_from([flavour for flavour in FLAVOURS if flavour not in ("huge", "wide")])
CALM: Final = st.sampled_from(("ordinary", "alike", "coarse"))
SEEDS: Final = st.integers(0, 2**16)
NOISE_SEEDS: Final = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, -1, 2**63 - 1, -(2**63), 2**32]))
SMALL: Final = (1, 2, 3, 4, 5, 7, 16, 33)
KINDS: Final = (*("small",) * 24, *("empty",) * 4, *("long",) * 6, "large")
LONG: Final = (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 3, 3 * BLOCK)


@st.composite
def shapes(draw: Draw, least_rank: int = 1, most: int = 3000, long: bool = True) -> Shape:
    """Of rank 1 to 5: a few elements, some of a block or more in a row, some without an element."""
    rank = draw(st.integers(least_rank, 5))
    kind = draw(st.sampled_from(KINDS if long else KINDS[:28]))
    sizes, count = [], 1
    for _ in range(rank):
        size = draw(st.sampled_from(SMALL[:3] if kind in ("long", "large") else SMALL))
        sizes.append(size if count * size <= most else 1)
        count *= sizes[-1]
    place = draw(st.integers(0, rank - 1))
    if kind == "empty":
        sizes[place] = 0
    elif kind == "long":
        sizes[place] = draw(st.sampled_from(LONG if count <= 6 else LONG[:2]))
    elif kind == "large":
        sizes = [1] * rank
        sizes[place] = LARGE
    return tuple(sizes)


@st.composite
def broadcast(draw: Draw, shape: Shape) -> Shape:
    """A shape that broadcasts to this one."""
    lead = draw(st.sampled_from((0, 0, 0, 1, len(shape))))
    kept = draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    return tuple(size if keep else 1 for size, keep in zip(shape, kept, strict=True))[lead:]


@st.composite
def operand(draw: Draw, shape: Shape, domain: str, dtypes: Any = DTYPES, flavours: Any = FLAVOUR) -> Operand:
    return Operand(shape, draw(dtypes), domain, draw(flavours), draw(LAYOUT), draw(SEEDS))


def same(dtype: torch.dtype) -> st.SearchStrategy[torch.dtype]:
    return st.just(dtype)


@st.composite
def forms(draw: Draw, parameterization: str) -> dict[str, Any]:
    """What a raw scale means. Bounds are few bits long, so that every dtype agrees on what lies on them."""
    options: dict[str, Any] = {"parameterization": parameterization}
    bounds = [(-0.5, 0.75), (0.25, 1.5), (-math.inf, 0.5), (0.25, math.inf), (0.5, 0.5), (-30.0, 20.0), (1, 2)]
    modifiers: list[dict[str, Any]] = [{}, {"min_var": draw(st.sampled_from([2.0**-4, 1e-8]))}]
    modifiers += [{"clamp": draw(st.sampled_from(bounds))}]
    if parameterization != "std":
        modifiers += [{"min_std": draw(st.sampled_from([2.0**-3, 1e-4]))}]
    return options | draw(st.sampled_from([{}, *modifiers]))


@st.composite
def upstreams(draw: Draw, outputs: tuple[int, ...] = (0,)) -> Upstream:
    flavour = draw(st.sampled_from(("random", "random", "one", "minus two", "zero")))
    return Upstream(flavour, draw(LAYOUT), outputs)


def subsets(names: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    flags = st.lists(st.sampled_from((True, True, False)), min_size=len(names), max_size=len(names))
    return flags.map(lambda kept: tuple(name for name, keep in zip(names, kept, strict=True) if keep))


@st.composite
def reductions(draw: Draw, shape: Shape, names: tuple[str, ...] = REDUCTIONS) -> dict[str, Any]:
    options: dict[str, Any] = {"reduction": draw(st.sampled_from(names))}
    return options | ({"batch_dims": draw(st.integers(1, len(shape)))} if draw(st.booleans()) else {})


@st.composite
def posterior_cases(draw: Draw, op: str) -> Case:
    packed = op == "reparameterize_kl_packed"
    parameterization = draw(st.sampled_from(PARAMETERIZATIONS))
    options = draw(forms(parameterization))
    shape, dtype = draw(shapes(least_rank=2 if packed else 1)), draw(DTYPES)
    operands: dict[str, Operand] = {}
    if packed:
        dim = draw(st.integers(1, len(shape) - 1))
        options |= {"dim": draw(st.sampled_from((dim, dim - len(shape)))), "interleaved": draw(st.booleans())}
        doubled = (*shape[:dim], 2 * shape[dim], *shape[dim + 1 :])
        operands["moments"] = draw(operand(doubled, parameterization, same(dtype)))
    else:
        operands["mu"] = draw(operand(shape, "real", same(dtype)))
        operands["scale"] = draw(operand(shape, parameterization, same(dtype)))
    noise = None
    if op != "reparameterize":
        options |= draw(reductions(shape))
        if draw(st.booleans()):
            operands["prior_mu"] = draw(operand(draw(broadcast(shape)), "real"))
            operands["prior_scale"] = draw(operand(draw(broadcast(shape)), parameterization))
    outputs: tuple[int, ...] = (0,)
    if op != "gaussian_kl":
        count = draw(st.sampled_from((None, None, 1, 3)))
        options |= {} if count is None else {"num_samples": count}
        if draw(st.booleans()):
            operands["eps"] = draw(operand(shape if count is None else (count, *shape), "real"))
        else:
            noise = Noise(draw(st.sampled_from(("seed", "seed tensor", "generator", "default"))), draw(NOISE_SEEDS))
            if draw(st.booleans()):
                start, after = draw(st.sampled_from([(0, 0), (1, 0), (0, 3), (5, 2**33), (2**40, 1)]))
                options["shard"] = (start, start + shape[0] + after)
        if op != "reparameterize":
            outputs = draw(st.sampled_from(((0, 1), (0, 1), (0,), (1,))))
    if noise is not None and noise.source in ("generator", "default"):
        noise = noise._replace(seed=noise.seed % 2**31)
    wanted = draw(subsets(tuple(name for name in operands if name != "eps")))
    return Case(op, operands, options, wanted, noise, draw(upstreams(outputs)))


INPUTS: Final = {"binary_cross_entropy": "probability", "poisson_nll_of_rate": "rate"}
TARGETS: Final = {"binary_cross_entropy_with_logits": "probability", "binary_cross_entropy": "probability"}


@st.composite
def reconstruction_cases(draw: Draw, op: str) -> Case:
    shape, dtype = draw(shapes()), draw(DTYPES)
    counts = LOSSES[op].counts
    options = draw(reductions(shape))
    domain = INPUTS.get(op, "real")
    if op == "poisson_nll" and draw(st.booleans()):
        options["log_input"] = draw(st.booleans())
        domain = "real" if options["log_input"] else "rate"
    name = {"poisson_nll": "log_rate", "poisson_nll_of_rate": "rate"}.get(op, "input")
    of_target = "count" if counts else TARGETS.get(op, "real")
    kinds = st.sampled_from((torch.float32, *FLOATS, torch.uint8, torch.bool))
    operands = {name: draw(operand(shape, domain, same(dtype))), "target": draw(operand(shape, of_target, kinds))}
    if LOSSES[op].scaled:
        operands["log_scale"] = draw(operand(draw(broadcast(shape)), "real"))
    if draw(st.booleans()):
        operands["weight"] = draw(weights(shape))
    if op in ("gaussian_nll", "poisson_nll", "poisson_nll_of_rate") and draw(st.booleans()):
        options["full"] = draw(st.booleans())
    if op in ("binary_cross_entropy_with_logits", "mse_loss", "l1_loss") and draw(
        st.sampled_from((True, False, False))
    ):
        options |= {"inplace": True, "reduction": draw(st.sampled_from(REDUCTIONS[2:]))}
    constant = counts or operands["target"].dtype not in FLOATS or options.get("inplace")
    differentiable = (name, "log_scale") if constant else (name, "target", "log_scale")
    wanted = draw(subsets(tuple(each for each in differentiable if each in operands)))
    upstream = draw(upstreams())
    if options.get("inplace") and dtype == torch.float16:
        # Written before what comes back could keep it in range.
        upstream = upstream._replace(flavour="one")
    return Case(op, operands, options, wanted, upstream=upstream)


@st.composite
def weights(draw: Draw, shape: Shape) -> Operand:
    return draw(operand(draw(broadcast(shape)), "weight", st.sampled_from((*FLOATS, torch.bool))))


@st.composite
def negative_binomial_cases(draw: Draw) -> Case:
    shape, options = draw(shapes()), {}
    options |= draw(reductions(shape))
    if draw(st.booleans()):
        options["log_input"] = draw(st.booleans())
    kinds = st.sampled_from((torch.float32, *FLOATS, torch.uint8, torch.uint16, torch.int16, torch.int32))
    operands = {
        "mean": draw(operand(shape, "real" if options.get("log_input") else "rate")),
        "target": draw(operand(shape, "count", kinds)),
        "inverse_dispersion": draw(operand(draw(broadcast(shape)), "positive")),
    }
    if draw(st.booleans()):
        operands["zero_inflation_logits"] = draw(operand(draw(broadcast(shape)), "real"))
    if draw(st.booleans()):
        operands["weight"] = draw(weights(shape))
    names = tuple(name for name in operands if name not in ("target", "weight"))
    return Case("negative_binomial_nll", operands, options, draw(subsets(names)), upstream=draw(upstreams()))


@st.composite
def log_normal_cases(draw: Draw) -> Case:
    shape, parameterization = draw(shapes()), draw(st.sampled_from(PARAMETERIZATIONS))
    options = draw(forms(parameterization)) | draw(reductions(shape))
    operands = {"z": draw(operand(shape, "real"))}
    if draw(st.sampled_from((True, True, True, False))):
        operands["mu"] = draw(operand(draw(broadcast(shape)), "real"))
        operands["scale"] = draw(operand(draw(broadcast(shape)), parameterization))
    return Case("log_normal", operands, options, draw(subsets(tuple(operands))), upstream=draw(upstreams()))


@st.composite
def discretized_cases(draw: Draw) -> Case:
    pixels = draw(shapes(most=300).filter(lambda shape: len(shape) < 5))
    channels, mixtures = draw(st.sampled_from((1, 3))), draw(st.integers(1, 4))
    dim = draw(st.integers(1, len(pixels)))
    size = mixtures * (10 if channels == 3 else 3)
    bits = draw(st.sampled_from((8, 8, 1, 5, 12, 16)))
    kind = draw(st.sampled_from((*FLOATS, torch.uint8)))
    if kind == torch.uint8:
        bits = min(bits, 8)
    whole = (*pixels[:dim], size, *pixels[dim:]), (*pixels[:dim], channels, *pixels[dim:])
    options = {
        "num_mixtures": mixtures,
        "dim": draw(st.sampled_from((dim, dim - len(whole[0])))),
        "bits": bits,
        "reduction": draw(st.sampled_from(REDUCTIONS)),
    }
    operands = {
        "params": draw(operand(whole[0], "finite", flavours=NEAR)),
        "target": draw(operand(whole[1], f"level{bits}" if kind == torch.uint8 else "pixel", same(kind))),
    }
    return Case(
        "discretized_logistic_mixture_nll", operands, options, draw(subsets(("params",))), upstream=draw(upstreams())
    )


@st.composite
def bound_cases(draw: Draw) -> Case:
    shape = draw(shapes())
    dim = draw(st.integers(0, len(shape) - 1))
    if shape[dim] == 0:
        shape = (*shape[:dim], 1, *shape[dim + 1 :])
    options = {"dim": draw(st.sampled_from((dim, dim - len(shape))))}
    operands = {"log_w": draw(operand(shape, "real"))}
    return Case("importance_weighted_bound", operands, options, draw(subsets(("log_w",))), upstream=draw(upstreams()))


@st.composite
def minibatch_cases(draw: Draw) -> Case:
    shape = draw(shapes(most=500, long=False))
    parameterization = draw(st.sampled_from(PARAMETERIZATIONS))
    weighting = draw(st.sampled_from(("mws", "mss") if shape[0] >= 2 else ("mws",)))
    size = draw(st.sampled_from((shape[0] or 1, shape[0] + 1, 10**5, 2**62)))
    options = draw(forms(parameterization)) | {"weighting": weighting, "dataset_size": size}
    operands = {
        "z": draw(operand(shape, "real", flavours=NEAR)),
        "mu": draw(operand(shape, "real", flavours=NEAR)),
        "scale": draw(operand(shape, parameterization, flavours=CALM)),
    }
    outputs = draw(st.sampled_from(((0, 1), (0,), (1,))))
    return Case(
        "minibatch_log_densities", operands, options, draw(subsets(tuple(operands))), upstream=draw(upstreams(outputs))
    )


@st.composite
def mixture_cases(draw: Draw) -> Case:
    shape = draw(shapes(most=500, long=False))
    options = draw(reductions(shape, REDUCTIONS[1:]))
    components = (draw(st.integers(1, 9)), *shape[options.get("batch_dims", 1) :])
    parameterization = draw(st.sampled_from(PARAMETERIZATIONS))
    operands = {
        "z": draw(operand(shape, "real", flavours=NEAR)),
        "mu": draw(operand(components, "real", flavours=NEAR)),
        "scale": draw(operand(components, parameterization, flavours=CALM)),
    }
    if draw(st.booleans()):
        operands["log_weights"] = draw(operand(components[:1], "real", flavours=NEAR))
    options |= draw(forms(parameterization))
    return Case("log_normal_mixture", operands, options, draw(subsets(tuple(operands))), upstream=draw(upstreams()))


PRESETS: Final = {
    "pytorch-examples": "probability", "pythae": "real", "pytorch-vae": "real", "disentangling-vae": "probability",
    "disentangled-beta": "real", "diffusers": "real", "keras": "probability", "world-models": "real", "bolts": "real",
}  # fmt: skip


@st.composite
def vae_loss_cases(draw: Draw) -> Case:
    preset, shape = draw(st.sampled_from((*PRESETS, "oobleck"))), draw(shapes())
    dtype, latent = draw(DTYPES), draw(shapes(least_rank=2, most=400, long=False))
    operands: dict[str, Operand] = {}
    if preset != "oobleck":
        latent = (shape[0], *latent[1:]) if shape[0] < 100 else (shape[0], 2)
        operands["recon_x"] = draw(operand(shape, PRESETS[preset], same(dtype)))
        operands["x"] = draw(operand(shape, PRESETS[preset]))
    operands["mu"] = draw(operand(latent, "real", same(dtype)))
    operands["logvar"] = draw(operand(latent, "softplus" if preset == "oobleck" else "logvar", same(dtype)))
    options: dict[str, Any] = {"preset": preset, "beta": draw(st.sampled_from((1.0, 1, 0.25, 4.0)))}
    if preset == "oobleck":
        options |= {"recon_x": None, "x": None}
    return Case("vae_loss", operands, options, draw(subsets(tuple(operands))), upstream=draw(upstreams()))


POSTERIORS: Final = ("reparameterize", "gaussian_kl", "reparameterize_kl", "reparameterize_kl_packed")
CASES: Final[dict[str, st.SearchStrategy[Case]]] = {
    **{op: posterior_cases(op) for op in POSTERIORS},
    **{op: reconstruction_cases(op) for op in LOSSES},
    "negative_binomial_nll": negative_binomial_cases(),
    "log_normal": log_normal_cases(),
    "discretized_logistic_mixture_nll": discretized_cases(),
    "importance_weighted_bound": bound_cases(),
    "minibatch_log_densities": minibatch_cases(),
    "log_normal_mixture": mixture_cases(),
    "vae_loss": vae_loss_cases(),
}
