"""Kinds of likelihoods, objectives and priors, and which settings go with which of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastvae._options import WEIGHTINGS
from fastvae.losses._named import NAMES, named
from fastvae.modules.cvae import OBJECTIVES
from fastvae.networks import ARCHITECTURES

# Likelihoods of values in [0, 1], as which a byte is read; and those of its levels, 0 to 255.
OF_FRACTIONS: Final = tuple(name for name in NAMES if named(name).pixel_range == (0.0, 1.0))
OF_LEVELS: Final = tuple(name for name in NAMES if name not in OF_FRACTIONS)
# Of the latter, those whose decoder gives the logarithm of the mean first.
OF_COUNTS: Final = tuple(name for name in OF_LEVELS if named(name).pixel_range == (0.0, 255.0))

# By likelihood, which values it is of, see `fastvae.train.data.description.VALUES`.
TAKEN_VALUES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(OF_FRACTIONS, ("bytes", "unit", "real")),
    **dict.fromkeys(("bernoulli", "bernoulli_probs"), ("bytes", "unit")),
    **dict.fromkeys(OF_LEVELS, ("bytes",)),
    **dict.fromkeys(OF_COUNTS, ("bytes", "counts")),
}

# By whether a condition is given: what may be minimized.
UNCONDITIONAL: Final = ("elbo", "tc", "iwae")
CONDITIONAL: Final = (*OBJECTIVES, "baseline")

# Those whose KL has a weight, and may have a bound; and the one that divides it into three parts with a weight each.
WHOLE: Final = ("elbo", "cvae", "hybrid")
DIVIDED: Final = ("tc",)
WEIGHTED: Final = (*WHOLE, *DIVIDED)

# Priors of a model without a condition that are learned; those of one with a condition are networks.
MIXTURES: Final = ("mixture", "vamp")

# Networks that take images alone; of them, those with spatial latents, and those with residual blocks.
_IMAGES: Final = tuple(name for name, kind in ARCHITECTURES.items() if kind.widths)
_SPATIAL: Final = tuple(name for name, kind in ARCHITECTURES.items() if "spatial" in kind.latents)
_RESIDUAL: Final = tuple(name for name, kind in ARCHITECTURES.items() if kind.blocks)

# Settings that only some runs use: the value that changes nothing, and what the others must be for any other value.
_WEIGHTED: Final[dict[str, tuple[str, ...]]] = {"objective": WEIGHTED}
_WHOLE: Final[dict[str, tuple[str, ...]]] = {"objective": WHOLE}
_DIVIDED: Final[dict[str, tuple[str, ...]]] = {"objective": DIVIDED}
_STEPS: Final[dict[str, tuple[str, ...]]] = {"lr_schedule": ("steps",)}
_LATENT: Final[dict[str, tuple[str, ...]]] = {"objective": (*UNCONDITIONAL, *OBJECTIVES)}
GOES_WITH: Final[dict[str, tuple[Any, dict[str, tuple[str, ...]]]]] = {
    "image_size": (None, {"source": ("folder",)}),
    "channels": (None, {"source": ("folder",)}),
    "cache_dir": (None, {"source": ("folder", "counts")}),
    "label_key": (None, {"source": ("counts",)}),
    "layer": (None, {"source": ("counts",)}),
    "label_encoding": ("one_hot", {"condition": ("label",)}),
    "quadrants": (1, {"condition": ("quadrants",)}),
    "model": ("mlp", {"condition": ("none", "label")}),
    "latent": ("vector", _LATENT | {"model": _SPATIAL}),
    "widths": (None, {"model": _IMAGES}),
    "blocks": (None, {"model": _RESIDUAL}),
    "hidden": ((), {"latent": ("vector",)}),
    "decoder_hidden": (None, {"latent": ("vector",)}),
    "dropout": (0.0, {"model": ("mlp", *_RESIDUAL)}),
    "parameterization": ("logvar", _LATENT),
    "min_std": (0.0, _LATENT),
    "prior": ("standard", _LATENT),
    "components": (500, {"prior": MIXTURES}),
    "first_guess": (None, {"prior": ("learned",), "condition": ("quadrants",)}),
    "probability_floor": (0.0, {"likelihood": ("bernoulli_probs",)}),
    "alpha": (0.5, {"objective": ("hybrid",)}),
    "train_samples": (1, {"objective": tuple(name for name in _LATENT["objective"] if name not in DIVIDED)}),
    "kl_estimator": ("analytic", _WHOLE),
    "total_correlation": (6.0, _DIVIDED),
    "mutual_information": (1.0, _DIVIDED),
    "dimension_kl": (1.0, _DIVIDED),
    "dataset_size": (None, _DIVIDED),
    "weighting": (WEIGHTINGS[0], _DIVIDED),
    "beta": (1.0, _WEIGHTED),
    "beta_schedule": ("constant", _WEIGHTED),
    "cycles": (4, {"beta_schedule": ("cyclical",)}),
    "capacity": (None, _WHOLE),
    "free_bits": (0.0, _WHOLE),
    "lr_milestones": ((), _STEPS),
    "lr_decay": (0.1, _STEPS),
}


def of_whole_batches(settings: Mapping[str, Any]) -> str | None:
    """The setting by which the loss of a batch is no mean over its samples, so that no gradients of parts add up to its
    own; None without one."""
    causes = {
        f"objective {settings.get('objective')!r}": settings.get("objective") in DIVIDED,
        f"capacity {settings.get('capacity')}": settings.get("capacity") is not None,
        "free_bits_per 'batch_dimension'": settings.get("free_bits_per") == "batch_dimension",
    }
    return next((cause for cause, present in causes.items() if present), None)
