"""Models whose parameters are sharded over processes (FSDP2's `fully_shard`): the same numbers as from whole ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from fastvae import CVAE, VAE, LinearWarmup, MixturePrior, VampPrior
from tests.modules import tiny, tiny_cvae
from tests.modules.processes import in_processes
from tests.modules.test_meta_device import reset, spoil
from tests.modules.tiny import EXACT, LATENT, PIXELS

PROCESSES, K = 2, 4


def mixture() -> VAE:
    return tiny.model(prior=MixturePrior(K), latent_shape=LATENT)


def pseudo_inputs() -> VAE:
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(PIXELS, 2 * LATENT), nn.Linear(LATENT, PIXELS)
    prior = VampPrior(torch.rand(K, PIXELS), encoder)
    return VAE(encoder, decoder, prior=prior, latent_shape=LATENT).double()


MODELS: dict[str, Callable[[], VAE | CVAE]] = {
    "gaussian": lambda: tiny.model(likelihood="gaussian_learned", latent_shape=LATENT),
    "laplace": lambda: tiny.model("pair", likelihood="laplace_learned", latent_shape=LATENT),
    "mixture": mixture,
    "pseudo_inputs": pseudo_inputs,
    "conditional": lambda: tiny_cvae.model(likelihood="gaussian_learned", objective="hybrid", alpha=0.5),
    "standard_prior": lambda: tiny_cvae.model(prior=False),
}
NETWORKS = ("encoder", "decoder", "recognition", "generation")


def shard(model: VAE | CVAE, *, nested: bool, **options: Any) -> None:
    """The whole model at once, or each network and then what is left."""
    mesh = init_device_mesh("cpu", (PROCESSES,))
    for name in NETWORKS if nested else ():
        if hasattr(model, name):
            fully_shard(getattr(model, name), mesh=mesh, **options)
    fully_shard(model, mesh=mesh, **options)


def data_of(model: VAE | CVAE) -> tuple[Tensor, ...]:
    return tiny_cvae.data() if isinstance(model, CVAE) else (tiny.data(),)


def results(model: VAE | CVAE) -> dict[str, Any]:
    """What every method gives, before, between and after steps of training by each that has a gradient.

    All processes see the same batch, so that the mean of their gradients is that of one process.
    """
    data, found = data_of(model), {}
    conditional = isinstance(model, CVAE)
    objectives: dict[str, Callable[[], Tensor]] = {
        "forward": lambda: model(*data, seed=1).loss,
        "samples": lambda: model(*data, seed=1, num_samples=3).loss,
        "encode": lambda: model.encode(*data[::-1]).kl().sum() + model.encode(*data[::-1]).rsample_kl(seed=2)[0].sum(),
        "decode": lambda: model.decode(torch.ones(len(data[0]), LATENT).double(), *data[:-1]).square().sum(),
    }
    if conditional:
        objectives["encode_prior"] = lambda: model.encode_prior(data[0]).kl().sum()
    else:
        objectives["reconstruct"] = lambda: model.reconstruct(*data, sample=True, seed=3).square().sum()
        objectives["log_weights"] = lambda: -model.log_weights(*data, num_samples=2, seed=4).mean()
    if conditional and model.prior is None:
        del objectives["encode_prior"]
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    for name, objective in objectives.items():
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        # Between the gradient and the step, where what FSDP gathered for it must not stay.
        sampled = model.sample(data[0], 2, seed=5) if conditional else model.sample(2, seed=5)
        optimizer.step()
        found[name] = loss.detach(), sampled
    with torch.no_grad():
        found["log_likelihood"] = model.log_likelihood(*data, num_samples=3, seed=6)
        if conditional:
            found["monte_carlo"] = model.log_likelihood(*data, num_samples=3, seed=6, method="monte_carlo")
            found["predict"] = model.predict(data[0]), model.predict(data[0], num_samples=3, seed=7)
    found["state"] = {name: whole(value) for name, value in model.state_dict().items()}
    return found


def whole(tensor: Any) -> Tensor:
    gathered: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered


def compare(rank: int, nested: bool) -> None:
    """The body of a process; parameters stay gathered after a forward pass, as by torch's default, or do not."""
    for name, reshard in product(MODELS, (None, True)):
        model, expected = MODELS[name](), MODELS[name]()
        shard(model, nested=nested, reshard_after_forward=reshard)
        found = results(model)
        torch.testing.assert_close(found, results(expected), **EXACT, msg=partial("{}: {}".format, name))


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True], ids=["whole", "nested"])
def test_a_sharded_model_does_what_a_whole_one_does(nested: bool, tmp_path: Path) -> None:
    in_processes(PROCESSES, compare, nested, folder=tmp_path)


def halve(rank: int) -> None:
    for nested in (False, True):
        vae = MODELS["gaussian"]().float()
        shard(vae, nested=nested, mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
        assert vae.sample(2, seed=0).dtype == vae.reconstruct(tiny.data().float()).dtype == torch.bfloat16
        assert vae.log_likelihood(tiny.data().float(), num_samples=2).isfinite().all()


def from_meta(rank: int) -> None:
    with torch.device("meta"):
        vae = tiny.model(likelihood="gaussian_learned", beta=LinearWarmup(0.0, 1.0, 10), prior=MixturePrior(K, LATENT))
        vamp = tiny.model()
    vamp.prior = VampPrior(torch.ones(K, PIXELS).double(), vamp.encoder)
    for model in (vae, vamp):
        shard(model, nested=False)
        model.to_empty(device="cpu")
        spoil(model)
        reset(model)
        model(tiny.data(), seed=0).loss.backward()
    with pytest.raises(ValueError, match=r"^model: got parameters sharded over processes; takes a whole model"):
        vae.save_pretrained("nowhere")
    state = {name: whole(value) for name, value in (vae.state_dict() | vamp.state_dict()).items()}
    assert state["elbo.beta.count"] == state["elbo.reconstruction.log_scale"] == 0
    assert (state["prior.pseudo_inputs"] == 1).all()
    assert (state["prior.log_weights"] == 0).all()
    # 12 draws from N(0, 1), four standard deviations of their deviation.
    assert abs(state["prior.mu"].std() - 1) < 4 / (2 * 11) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("body", [halve, from_meta])
def test_a_sharded_model_in_half_precision_and_from_meta(body: Callable[[int], None], tmp_path: Path) -> None:
    in_processes(PROCESSES, body, folder=tmp_path)


def test_a_model_that_is_not_sharded_has_its_own_methods() -> None:
    assert copy.deepcopy(MODELS["gaussian"]()).sample.__func__ is VAE.sample
    assert not hasattr(VAE, "_are_gathered")
