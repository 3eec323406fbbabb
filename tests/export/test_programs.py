"""torch.export: programs of any batch size that call no op of ours, with the values of the model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

import fastvae
import fastvae.functional as F
from fastvae import VAE
from fastvae.presets import CONVENTIONS
from tests.export.programs import CALLS, MODELS, Asked, batch, cvae, exported, own_ops, tensors_of, vae
from tests.modules.tiny import BATCH, EXACT, LATENT, PIXELS, model
from tests.support.ops import ALL_OPS

OTHER = 7


def assert_runs(asked: nn.Module, *features: int, **options: object) -> None:
    """Exported at one batch size, it gives at another what the model gives there."""
    program = exported(asked, *(batch(BATCH, each) for each in features), **options)
    assert not own_ops(program)
    inputs = [batch(OTHER, each) for each in features]
    torch.testing.assert_close(program.module()(*inputs), asked(*inputs), **EXACT)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model(name: str, call: str) -> None:
    assert_runs(Asked(vae(name), CALLS[call]), PIXELS)


# Without those whose KL a VAE alone does not have: of the whole data set, of a flow, of a likelihood that is given.
PRESETS = [name for name in CONVENTIONS if not name.endswith("beta-tc") and name not in ("scvi", "vits")]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset(preset: str) -> None:
    torch.manual_seed(0)
    networks = nn.Linear(PIXELS, 2 * LATENT), nn.Sequential(nn.Linear(LATENT, PIXELS), nn.Sigmoid())
    asked = Asked(VAE(*networks, latent_shape=LATENT, preset=preset).double().eval(), CALLS["objective"])
    program = exported(asked, batch(BATCH, PIXELS).sigmoid())
    inputs = batch(OTHER, PIXELS).sigmoid()
    torch.testing.assert_close(program.module()(inputs), asked(inputs), **EXACT)


def test_strict_mode() -> None:
    assert_runs(Asked(vae("plain"), CALLS["objective"]), PIXELS, strict=True)


@pytest.mark.parametrize("prior", [False, True])
def test_a_conditional_model(prior: bool) -> None:
    conditional = cvae(prior)
    assert_runs(Asked(conditional, lambda cvae, x, y: tensors_of(cvae(x, y, sample=False))), 2, PIXELS)
    assert_runs(Asked(conditional, lambda cvae, x: cvae.predict(x)), 2)


# Those draw their noise by a seed, and the density of a minibatch is an estimate for batches of its size.
WITHIN = ("reparameterize_kl", "reparameterize_kl_packed", "reparameterize_kl_interleaved", "minibatch_log_densities")


@pytest.mark.parametrize("name", [name for name in ALL_OPS if name not in WITHIN])
def test_every_op(name: str) -> None:
    op = ALL_OPS[name]
    options = {"reduction": "batchmean"} if op.reduces else {}
    sample_first = name == "importance_weighted_bound"
    small, large = (
        op.operands((LATENT, size) if sample_first else (size, LATENT), torch.float64) for size in (BATCH, OTHER)
    )
    if name == "log_normal_mixture":
        large = small | {"z": large["z"]}
    asked = Asked(nn.Identity(), lambda _, *inputs: op.call(dict(zip(small, inputs, strict=True)), **options))
    shapes = [
        {dim: Dim.DYNAMIC for dim, (here, there) in enumerate(zip(*pair, strict=True)) if here != there}
        for pair in zip((x.shape for x in small.values()), (x.shape for x in large.values()), strict=True)
    ]
    program = torch.export.export(asked, tuple(small.values()), dynamic_shapes={"inputs": tuple(shapes)})
    assert any(shapes)
    assert not own_ops(program)
    torch.testing.assert_close(program.module()(*large.values()), asked(*large.values()), **EXACT)


def test_noise_is_that_of_torch() -> None:
    """eps is torch.randn_like in the program: the runtime's generator, not ours."""
    asked = Asked(vae("plain"), lambda vae, x: (vae(x).z, vae.encode(x).mu, vae.encode(x).std))
    program = exported(asked, batch(BATCH)).module()
    torch.manual_seed(3)
    z, mu, std = program(batch(OTHER))
    torch.manual_seed(3)
    torch.testing.assert_close(z, mu + std * torch.randn_like(mu), **EXACT)


def test_noise_of_several_samples() -> None:
    asked = Asked(vae("plain"), lambda vae, x: tensors_of(vae(x, num_samples=3)))
    output = exported(asked, batch(BATCH)).module()(batch(OTHER))
    assert output[3].shape == (3, OTHER, LATENT)
    assert output[3].std(0).min() > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", 1), ("generator", torch.Generator()), ("shard", (0, 10))],
    ids=["seed", "generator", "shard"],
)
def test_noise_of_ours_does_not_leave(name: str, value: object) -> None:
    asked = Asked(nn.Identity(), lambda _, mu: F.reparameterize(mu, mu, **{name: value}))
    with pytest.raises(
        ValueError, match=rf"^{name}: got a value in a program that is exported or traced.*takes None, or eps"
    ):
        torch.export.export(asked, (batch(BATCH),))


def test_the_model_is_left_as_it_was() -> None:
    """A size of the program, symbolic or traced, is none of the model's."""
    tiny = model().eval()
    exported(Asked(tiny, CALLS["objective"]), batch(BATCH))
    with pytest.raises(RuntimeError, match=r"^latent_shape"):
        tiny.sample(2)


def test_fused_ops_stay_where_they_are_asked_for(tmp_path: object) -> None:
    """Then the noise contract holds in the program, too; it is saved and loaded with the ops."""
    asked = Asked(vae("plain"), lambda vae, x: tensors_of(vae(x)))
    with fastvae.use_backend("fused"):
        program = exported(asked, batch(BATCH))
    assert {"fastvae.seed.default", "fastvae.reconstruction.default"} <= own_ops(program)
    path = f"{tmp_path}/program.pt2"
    torch.export.save(program, path)
    torch.manual_seed(3)
    found = torch.export.load(path).module()(batch(OTHER))
    torch.manual_seed(3)
    assert all(map(torch.equal, found, asked(batch(OTHER))))


def test_fused_is_the_default_backend_outside_of_a_program() -> None:
    x, t = batch(BATCH), batch(BATCH)
    with fastvae.use_backend("fused"):
        assert torch.equal(F.mse_loss(x, t), F.mse_loss(x, t))


@pytest.mark.filterwarnings("ignore:<class 'torch.autograd.function.Function'> should not be")
def test_a_compiled_model_keeps_the_kernels() -> None:
    targets: set[str] = set()

    def look(graph: torch.fx.GraphModule, _: object) -> object:
        targets.update(str(node.target) for module in graph.modules() for node in module.graph.nodes)
        return graph.forward

    compiled: VAE = torch.compile(vae("plain"), backend=look, fullgraph=True)  # type: ignore[assignment]
    compiled(batch(BATCH))
    assert any("fastvae" in target for target in targets)


def scale_of(x: Tensor) -> Tensor:
    return F.reparameterize(torch.zeros_like(x), x, eps=torch.ones_like(x), parameterization="softplus", min_var=1e-4)


def test_the_floor_of_a_scale_is_what_it_was_with_hypot() -> None:
    """Over the whole range of float32, in one rounding more than torch.hypot: 2 ulp."""
    raw = torch.cat((torch.linspace(-100, 100, 2001), torch.tensor([0.0, 1e18, 1e20, 3e38])))
    with fastvae.use_backend("reference"):
        found = scale_of(raw)
    expected = torch.hypot(torch.logaddexp(raw.double(), torch.zeros(())), torch.tensor(1e-2)).float()
    torch.testing.assert_close(found, expected, rtol=4 * 2.0**-24, atol=0)
