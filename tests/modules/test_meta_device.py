"""Models built without memory, on ``meta``, and given it and their first values afterwards, as FSDP2's users do."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import fastvae
from fastvae import VAE, CyclicalWarmup, LinearWarmup, MixturePrior, VampPrior, losses, modules
from fastvae.losses import MultiScale, NegativeBinomial

PIXELS, LATENT, K = 6, 3, 4
PSEUDO_INPUTS = torch.arange(K * PIXELS, dtype=torch.float32).reshape(K, PIXELS)


def vae(**options: object) -> VAE:
    return VAE(nn.Linear(PIXELS, 2 * LATENT), nn.Linear(LATENT, PIXELS), latent_shape=LATENT, **options)


def with_pseudo_inputs() -> VAE:
    encoder = nn.Linear(PIXELS, 2 * LATENT)
    return VAE(encoder, nn.Linear(LATENT, PIXELS), prior=VampPrior(PSEUDO_INPUTS, encoder), latent_shape=LATENT)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: vae(beta=LinearWarmup(0.0, 1.0, 10)),
    "cyclical": lambda: vae(capacity=CyclicalWarmup(0.0, 1.0, 10)),
    "gaussian": lambda: vae(likelihood="gaussian_learned"),
    "scales": lambda: vae(likelihood=MultiScale("laplace_learned")),
    "counts": lambda: vae(likelihood=NegativeBinomial(PIXELS)),
    "mixture": lambda: vae(prior=MixturePrior(K)),
    "pseudo_inputs": with_pseudo_inputs,
}


def reset(model: nn.Module) -> None:
    """The habit: torch draws the first values of its own layers by the same method."""
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


def spoil(model: nn.Module) -> None:
    """What fresh memory may hold."""
    for tensor in model.state_dict().values():
        tensor.fill_(77)


@pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)
def test_a_model_built_on_meta_begins_as_one_built_in_memory(build: Callable[[], nn.Module]) -> None:
    with torch.device("meta"):
        model = build()
    model.to_empty(device="cpu")
    spoil(model)
    expected = build()
    spoil(expected)
    for each in (model, expected):
        torch.manual_seed(0)
        reset(each)
    torch.manual_seed(0)
    fresh = build().state_dict()
    state, again = model.state_dict(), expected.state_dict()
    assert state.keys() == fresh.keys()
    for name, value in state.items():
        assert torch.equal(value, again[name]), name
        own = not name.startswith(("encoder", "decoder"))
        # The draws of the networks come first, in another order than `build` makes them.
        assert not own or name == "prior.mu" or torch.equal(value, fresh[name]), name


def test_the_means_of_a_mixture_are_drawn_again() -> None:
    torch.manual_seed(0)
    first, prior = MixturePrior(K, LATENT), MixturePrior(K, LATENT)
    spoil(prior)
    torch.manual_seed(0)
    prior.reset_parameters()
    assert torch.equal(prior.mu, first.mu)
    assert len(prior.mu.unique()) == K * LATENT


def test_pseudo_inputs_without_values_are_refused() -> None:
    prior = VampPrior(PSEUDO_INPUTS.to("meta"), nn.Linear(PIXELS, 2 * LATENT))
    prior.to_empty(device="cpu")
    with pytest.raises(ValueError, match=r"^pseudo_inputs: got float32\[4, 6\] on meta, without values; takes"):
        prior.reset_parameters()


def test_pseudo_inputs_are_reset_to_what_was_given_not_to_what_became_of_it() -> None:
    given = PSEUDO_INPUTS.clone()
    prior = VampPrior(given, nn.Linear(PIXELS, 2 * LATENT))
    given.zero_()
    spoil(prior)
    prior.reset_parameters()
    assert torch.equal(prior.pseudo_inputs, PSEUDO_INPUTS)


def own_tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]


def test_whatever_has_parameters_or_buffers_can_be_reset() -> None:
    """Of every class that is public, and of every model above: a new one is tested above, too."""
    public = [vars(room).get(name) for room in (fastvae, losses, modules) for name in room.__all__]
    source = {each for each in public if inspect.isclass(each) and issubclass(each, nn.Module)}
    making = {each for each in source if "nn.Parameter" in inspect.getsource(each)} | {LinearWarmup, CyclicalWarmup}
    assert making
    assert all(hasattr(each, "reset_parameters") for each in making)
    tested = {type(module) for build in MODELS.values() for module in build().modules() if own_tensors(module)}
    assert making <= tested
    assert all(tensor.dim() for build in MODELS.values() for tensor in build().parameters())
