"""What torch does to modules: saving, copying, compiling, autocast, checkpointing, retained graphs."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from fastvae import LinearWarmup
from tests.modules.tiny import EXACT, LATENT, assert_same, data, gradients, model


@pytest.mark.parametrize("options", [{}, {"likelihood": "gaussian_learned", "beta": LinearWarmup(0.0, 1.0, 5)}])
def test_saved_and_loaded(options: dict[str, Any]) -> None:
    vae, x = model("pair", **options), data()
    if options:
        vae.elbo.beta.step()
    file = io.BytesIO()
    torch.save(vae.state_dict(), file)
    file.seek(0)
    fresh = model("pair", **copy.deepcopy(options))
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    expected = vae(x, seed=1).loss
    for twin in (fresh, copy.deepcopy(vae), pickle.loads(pickle.dumps(vae))):
        assert torch.equal(twin(x, seed=1).loss, expected)


COMPILED = [
    {},
    {"beta": LinearWarmup(0.0, 1.0, 4)},
    {"beta": torch.tensor(0.5)},
    {"likelihood": "gaussian", "free_bits": 0.2, "free_bits_per": "dimension"},
    {"likelihood": "gaussian_learned", "kl_estimator": "monte_carlo"},
    {"preset": "disentangled-beta", "capacity": 2.0},
    {"parameterization": "softplus", "min_std": 1e-3, "preset": "keras", "likelihood": "bernoulli"},
]


# Dynamo instantiates torch.autograd.Function itself, which torch deprecates.
compiles = pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")


@compiles
@pytest.mark.parametrize("num_samples", [pytest.param(None, marks=pytest.mark.nightly), 3])
@pytest.mark.parametrize("options", COMPILED, ids=str)
def test_compiled_without_graph_breaks(options: dict[str, Any], num_samples: int | None) -> None:
    torch.compiler.reset()
    vae, x = model(latent_shape=LATENT, **options), data()
    compiled = torch.compile(vae, fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(3):
            eager = vae(x, seed=1, num_samples=num_samples)
            ours = compiled(x, seed=1, num_samples=num_samples)
            assert_same(ours.loss, eager.loss, vae)
            assert torch.equal(ours.z, eager.z)
            if isinstance(vae.elbo.beta, LinearWarmup):
                vae.elbo.beta.step()


@compiles
def test_compiled_noise_is_torchs() -> None:
    torch.compiler.reset()
    vae, x = model(), data()
    compiled = torch.compile(vae, fullgraph=True, backend="aot_eager")
    torch.manual_seed(5)
    eager = vae(x).z
    torch.manual_seed(5)
    assert torch.equal(compiled(x).z, eager)
    assert not torch.equal(compiled(x).z, eager)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor imports torch.jit
@pytest.mark.slow
def test_compiled_by_inductor() -> None:
    torch.compiler.reset()
    vae, x = model(), data()
    compiled = torch.compile(vae, fullgraph=True)
    assert_same(compiled(x, seed=1).loss, vae(x, seed=1).loss, vae)


def test_autocast() -> None:
    vae, x = model().float(), data().float()
    with torch.autocast("cpu", torch.bfloat16):
        output = vae(x, seed=1)
    assert output.prediction.dtype == output.z.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    output.loss.backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in vae.parameters())
    # bfloat16 rounds by 2^-9 in each of four layers of activations of about 1: 2^-6 covers them.
    torch.testing.assert_close(output.loss, vae(x, seed=1).loss, rtol=2**-6, atol=0)


def test_checkpointing_draws_the_same_noise() -> None:
    vae, x = model(), data()
    torch.manual_seed(4)
    plain = gradients(vae(x).loss, vae)
    torch.manual_seed(4)
    again = gradients(checkpoint(lambda batch: vae(batch).loss, x, use_reentrant=False), vae)
    for one, other in zip(again, plain, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_a_retained_graph_gives_the_same_gradients_twice() -> None:
    vae = model("pair", likelihood="gaussian", beta=2.0)
    loss = vae(data(), seed=1).loss
    first = torch.autograd.grad(loss, list(vae.parameters()), retain_graph=True)
    for one, other in zip(gradients(loss, vae), first, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.slow
@compiles
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")
def test_reduced_overhead_is_the_same_step() -> None:
    """The mode of CUDA graphs, which a CPU has none of: inductor's kernels there."""
    torch.compiler.reset()
    vae, x = model(latent_shape=3), data()
    compiled = torch.compile(vae, mode="reduce-overhead", fullgraph=True)
    for _ in range(2):
        ours, theirs = compiled(x, seed=1), vae(x, seed=1)
        torch.testing.assert_close(dict(ours), dict(theirs), **EXACT)
        for gradient, expected in zip(gradients(ours.loss, vae), gradients(theirs.loss, vae), strict=True):
            torch.testing.assert_close(gradient, expected, **EXACT)
