"""What losses, distributions and outputs print."""

import copy
import inspect
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

import fastvae
from fastvae import CyclicalWarmup, DiagonalGaussian, ELBOLoss, LinearWarmup, MixturePrior, losses, modules
from fastvae._gaussian_options import GaussianOptions
from fastvae.losses import MultiScale
from tests.modules.tiny import data, model


def per_sample(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).abs().sum(1)


@pytest.mark.parametrize(
    ("module", "printed"),
    [
        (ELBOLoss(), ["beta=1.0", "Reconstruction(likelihood='bernoulli')"]),
        (ELBOLoss(beta=torch.tensor(0.5), reduction="sample"), ["beta=tensor(0.5000), reduction='sample'"]),
        (ELBOLoss(capacity=0.0), ["beta=1.0, capacity=0.0, capacity_per='batch'"]),
        (ELBOLoss(capacity=LinearWarmup(0, 5, 9)), ["(capacity): LinearWarmup(start=0.0, end=5.0, steps=9)"]),
        (ELBOLoss(beta=CyclicalWarmup(0, 1, 9, cycles=3)), ["(beta): CyclicalWarmup(start=0.0, end=1.0, steps=9, cyc"]),
        (ELBOLoss(preset="keras"), ["preset='keras', beta=1.0", "likelihood='bernoulli_probs', reduction='channelm"]),
        (ELBOLoss(preset="world-models"), ["free_bits=0.5, free_bits_per='latent_size'"]),
        (ELBOLoss("laplace", preset="disentangling-vae"), ["likelihood='laplace', factor=3.0"]),
        (ELBOLoss(per_sample), ["Reconstruction(likelihood='per_sample')"]),
        (ELBOLoss(MultiScale("laplace")), ["(likelihood): MultiScale(", "factors=(4, 2, 1)"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_modules_print_their_options(module: nn.Module, printed: list[str]) -> None:
    for part in printed:
        assert part in repr(module)


def test_a_gaussian_prints_what_it_is() -> None:
    mu = torch.zeros(4, 3, dtype=torch.float16, device="meta")
    printed = repr(DiagonalGaussian(mu, mu, parameterization="log_std", clamp=(-3.0, 2.0), min_var=0.25))
    described = "shape=[4, 3], dtype=float16, device=meta, parameterization='log_std', clamp=(-3.0, 2.0), min_var=0.25"
    assert printed == f"DiagonalGaussian({described})"


def test_a_gaussian_of_packed_moments_prints_how_they_are_packed() -> None:
    moments = torch.zeros(4, 3, 6)
    printed = "DiagonalGaussian(shape=[4, 3, 3], dtype=float32, device=cpu, parameterization='logvar', "
    assert repr(DiagonalGaussian.from_moments(moments, dim=-1)) == printed + "packed_dim=2)"
    interleaved = DiagonalGaussian.from_moments(moments, dim=-1, interleaved=True)
    assert repr(interleaved) == printed + "packed_dim=2, interleaved=True)"


# Every public module but the models, whose options tests/modules/test_surface.py has, with no option as by default.
OPTIONS: dict[type, dict[str, object]] = {
    CyclicalWarmup: {"start": 0.5, "end": 2.0, "steps": 9, "cycles": 3, "ratio": 0.25},
    LinearWarmup: {"start": 0.5, "end": 2.0, "steps": 9},
    MixturePrior: {"num_components": 3, "latent_shape": (4, 2)},
    losses.DIP: {"kind": "ii", "off_diagonal": 2.0, "diagonal": 3.0},
    losses.DiscretizedLogisticMixture: {"num_mixtures": 5, "dim": 2, "bits": 6},
    losses.MMD: {"kernel": "rbf", "bandwidth": 2.0, "weight": 3.0},
    losses.MultiScale: {"likelihood": "laplace", "factors": (2, 1)},
    losses.NegativeBinomial: {"features": (5,), "zero_inflated": True, "dim": 2},
    losses.Reconstruction: {"likelihood": "laplace", "factor": 2.0, "reduction": "sum"},
    losses.TotalCorrelation: {
        "dataset_size": 7, "total_correlation": 5.0, "mutual_information": 2.0, "dimension_kl": 3.0, "weighting": "mss"
    },
    modules.BlockOmission: {"max_share": 0.25},
}  # fmt: skip


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_every_option_of_a_module_is_printed(kind: type) -> None:
    options = OPTIONS[kind]
    assert options.keys() == inspect.signature(kind).parameters.keys()
    printed = repr(kind(**options))
    assert [name for name, value in options.items() if f"{name}={value!r}" not in printed] == []


def test_that_is_every_module() -> None:
    named = {getattr(room, name) for room in (fastvae, losses, modules) for name in room.__all__}
    found = {each for each in named if inspect.isclass(each) and issubclass(each, nn.Module)}
    others = {fastvae.VAE, fastvae.BetaVAE, fastvae.CVAE, ELBOLoss, fastvae.VampPrior}
    assert found - others - {losses.Density, losses.Schedule} == OPTIONS.keys()


def test_a_vamp_prior_prints_the_shape_of_its_pseudo_inputs_and_how_they_are_read() -> None:
    prior = fastvae.VampPrior(torch.zeros(3, 12), nn.Identity(), parameterization="log_std", clamp=(-3.0, 2.0))
    assert repr(prior) == "VampPrior(pseudo_inputs=[3, 12], parameterization='log_std', clamp=(-3.0, 2.0))"


def test_a_convention_prints_what_is_not_the_default() -> None:
    rows = fastvae.presets.CONVENTIONS
    assert repr(rows["scvi"]) == "Convention(gaussian=GaussianOptions(min_var=0.0001))"
    assert repr(rows["bolts"]) == (
        "Convention(likelihoods=(('squared_error', 1.0),), reconstruction='mean', kl='mean', kl_weight=0.1)"
    )
    names = {"Convention": fastvae.presets.Convention, "GaussianOptions": GaussianOptions}
    names |= {"TotalCorrelationWeight": fastvae.presets.TotalCorrelationWeight}
    assert {name: eval(repr(row), names) for name, row in rows.items()} == rows


def test_networks_print_kinds_and_the_shape_of_a_latent() -> None:
    printed = repr(fastvae.networks.build("mlp", (12,), 3))
    assert printed == "Networks(encoder=Sequential, decoder=Sequential, latent_shape=(3,))"


def test_outputs_print_shapes() -> None:
    output = model().float()(data().float(), num_samples=2)
    assert repr(output) == (
        f"VAEOutput(loss={output.loss.detach()!r}, reconstruction_loss=float32[2, 5], kl=float32[5], "
        "z=float32[2, 5, 3], mu=float32[5, 3], scale=float32[5, 3], prediction=float32[2, 5, 12])"
    )
    parts = type(output)(
        output, prediction={"mean": (output.z, [output.mu.to("meta")]), "name": "x", "net": nn.Identity()}
    )
    assert "{'mean': (float32[2, 5, 3], [float32[5, 3] on meta]), 'name': 'x', 'net': Identity}" in repr(parts)
    x = data()
    loss = ELBOLoss(reduction="sample")(x, x, x[:, 0])
    assert repr(loss) == "ELBOOutput(loss=float64[5], reconstruction=float64[5], kl=float64[5])"


def test_outputs_are_dicts_with_attributes_and_pytrees() -> None:
    output = model()(data())
    leaves, structure = tree_flatten(output)
    assert isinstance(output, dict)
    assert leaves == list(output.values())
    assert all(getattr(output, name) is value for name, value in output.items())
    assert type(tree_unflatten(leaves, structure)) is type(output)
    assert type(type(output)(OrderedDict(output))) is type(output)
    detached = tree_map(Tensor.detach, output)
    for twin in (copy.copy(detached), copy.deepcopy(detached), pickle.loads(pickle.dumps(detached))):
        torch.testing.assert_close(twin, detached)
        assert type(twin) is type(output)
    assert output.kl_terms is None
    with pytest.raises(AttributeError, match=r"^mean: takes one of loss, reconstruction_loss, kl, z"):
        output.mean  # noqa: B018
