"""A model as JSON holds it, the keywords of its constructor, and the model that such a description builds."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, cast

import torch
from torch import Tensor, nn

from fastvae import networks
from fastvae._describe import describe
from fastvae.losses import CyclicalWarmup, ELBOLoss, LinearWarmup
from fastvae.losses._named import DENSITIES
from fastvae.modules._latent import LatentVariableModel
from fastvae.modules._options import ModelKeywords
from fastvae.modules._saved import Saved
from fastvae.modules.cvae import CVAE
from fastvae.modules.priors import MixturePrior, VampPrior
from fastvae.modules.vae import VAE, BetaVAE

MODELS: Final = {kind.__name__: kind for kind in (VAE, BetaVAE, CVAE)}
# Each has an attribute of the name of every argument.
PARTS: Final[dict[str, Any]] = {
    kind.__name__: kind
    for kind in (LinearWarmup, CyclicalWarmup, MixturePrior, *(type(density()) for density in DENSITIES.values()))
}

# Of what `networks.build` returns.
_PARTS: Final = ("encoder", "decoder")


def described(model: LatentVariableModel) -> dict[str, Any]:
    """The class and the keywords of a model, as they are now.

    Raises:
        ValueError: a part that only Python code describes, which is named.
    """
    kind = type(model)
    if MODELS.get(kind.__name__) is not kind:
        return {"class": kind.__name__} | {
            name: _plain(name, value) for name, value in _constructed_with(model).items()
        }
    own = [name for name in _constructor(kind).parameters if name not in ModelKeywords.__optional_keys__]
    keywords = {name: getattr(model, name) for name in own} | _objective(model.elbo) | asdict(model._gaussian_options)
    keywords["latent_shape"] = model.latent_shape
    prior = keywords["prior"]
    if isinstance(prior, VampPrior) and (first := _first_layer(prior, keywords["encoder"])) is not None:
        # Its inputs are among the weights.
        keywords["prior"] = {"type": "VampPrior", "first_layer": first} | asdict(prior._gaussian_options)
    return {"model": kind.__name__} | {name: _plain(name, value) for name, value in keywords.items()}


def _constructor(kind: type) -> inspect.Signature:
    """What `__init__` takes; of a class itself some Pythons give what a mixin's `__new__` takes."""
    signature = inspect.signature(kind.__init__)  # type: ignore[misc]
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _constructed_with(model: LatentVariableModel) -> dict[str, Any]:
    """The arguments of the constructor of a user's class, its own defaults among them, by name."""
    kind = type(model)
    args, kwargs = vars(model)["_constructed_with"]
    signature = _constructor(kind)
    bound = signature.bind(*args, **kwargs)
    if not kind.__init__.__module__.startswith("fastvae."):
        bound.apply_defaults()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in signature.parameters.values()):
        raise ValueError(f"model: got {kind.__name__}, whose constructor takes *arguments; takes named ones")
    arguments: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        further = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        arguments |= value if further else {name: value}
    return arguments


def _first_layer(prior: VampPrior, encoder: nn.Module) -> int | None:
    """Where in the model's encoder that of the prior begins, which may leave out what reads pixels; None if nowhere."""
    if prior.encoder is encoder:
        return 0
    if not isinstance(prior.encoder, nn.Sequential) or not isinstance(encoder, nn.Sequential):
        return None
    first = len(encoder) - len(prior.encoder)
    return first if first > 0 and list(encoder)[first:] == list(prior.encoder) else None


def _objective(elbo: ELBOLoss) -> dict[str, Any]:
    """The keywords of an objective; a preset decides some of them."""
    row = elbo.convention
    keywords = {
        "likelihood": None if elbo.reconstruction is None else elbo.reconstruction.likelihood,
        "beta": elbo.beta,
        "capacity": elbo.capacity,
        "preset": elbo.preset,
        "reduction": "sample" if elbo.per_sample else "batchmean",
    }
    if elbo.preset is None:
        keywords |= {
            name: getattr(row, name) for name in ("free_bits", "free_bits_per", "capacity_per", "kl_estimator")
        }
    if elbo.decomposition is not None:
        keywords |= _arguments(elbo.decomposition)
    return keywords


def _arguments(module: nn.Module) -> dict[str, Any]:
    return {name: getattr(module, name) for name in _constructor(type(module)).parameters}


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return [_plain(name, each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(f"{name}.{key}", each) for key, each in value.items()}
    kind = type(value).__name__
    if PARTS.get(kind) is type(value):
        return _plain(name, {"type": kind} | _arguments(value))
    built: dict[str, Any] | None = vars(value).get("built") if isinstance(value, nn.Module) else None
    if built is None:
        raise ValueError(
            f"{name}: got {describe(value)}, which config.json cannot describe; takes numbers, names, networks of "
            f"fastvae.networks and {', '.join(PARTS)}"
        )
    plain = _plain(name, built)
    with torch.device("meta"):
        if repr(_value(plain)) != repr(value):
            raise ValueError(f"{name}: got a network changed since fastvae.networks.build made it; takes it unchanged")
    return plain


def rebuilt(config: Mapping[str, Any], tensors: Mapping[str, Tensor], own: type[Saved] = Saved) -> LatentVariableModel:
    """The model that `described` has described, with its weights; `own` is the class of one of the user's own.

    Raises:
        KeyError, TypeError, ValueError: what no version of `described` has written.
        RuntimeError: weights of another model.
    """
    given = dict(config)
    if given.pop("class", None) is not None:
        # With the memory and the draws of a first construction: its constructor may compute.
        built = cast("LatentVariableModel", own(**{name: _value(value) for name, value in given.items()}))
        return _loaded(built, tensors)
    kind = MODELS[given.pop("model")]
    for part in _PARTS:
        # Each block has weights: a description of more, from whoever wrote it, would be built for ever.
        blocks = given.get(part, {}).get("blocks") or 0
        if blocks > len(tensors):
            raise ValueError(f"{part}: got {blocks} blocks for {len(tensors)} tensors")
    prior = given.get("prior")
    # Without memory and without draws of first weights. The dtype comes with the weights.
    with torch.device("meta"):
        if isinstance(prior, dict) and prior.get("type") == "VampPrior":
            encoder = given["encoder"] = _value(given["encoder"])
            options = {name: _value(value) for name, value in prior.items() if name != "type"}
            first = options.pop("first_layer")
            given["prior"] = VampPrior(tensors["prior.pseudo_inputs"], encoder[first:] if first else encoder, **options)
        model = kind(**{name: _value(value) for name, value in given.items()})
    return _loaded(model, tensors)


def _loaded(model: LatentVariableModel, tensors: Mapping[str, Tensor]) -> LatentVariableModel:
    # Copied into memory that torch aligns, on which the last bits of a matrix product depend; a file's is at any byte.
    model.load_state_dict({name: value.clone() for name, value in tensors.items()}, assign=True)
    return model


def _value(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(map(_value, plain))
    if not isinstance(plain, dict):
        return plain
    arguments = {name: _value(each) for name, each in plain.items()}
    if "part" in arguments:
        part = arguments.pop("part")
        return networks.build(**arguments)[_PARTS.index(part)]
    return PARTS[arguments.pop("type")](**arguments) if "type" in arguments else arguments
