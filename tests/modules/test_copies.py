"""Every module and output through copy.deepcopy, pickle and state_dict."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn

from fastvae import (
    CVAE,
    VAE,
    BetaVAE,
    CyclicalWarmup,
    DiagonalGaussian,
    ELBOLoss,
    LinearWarmup,
    MixturePrior,
    VampPrior,
)
from fastvae.losses import DIP, MMD, DiscretizedLogisticMixture, MultiScale, NegativeBinomial, TotalCorrelation
from fastvae.modules import BlockOmission


def with_vamp_prior() -> VAE:
    encoder = nn.Linear(6, 4)
    return VAE(encoder, nn.Linear(2, 6), prior=VampPrior(torch.ones(3, 6), encoder))


MODULES: dict[str, Callable[[], nn.Module]] = {
    "VAE": lambda: VAE(nn.Linear(6, 4), nn.Linear(2, 6), beta=LinearWarmup(0.0, 1.0, 5)),
    "BetaVAE": lambda: BetaVAE(nn.Linear(6, 4), nn.Linear(2, 6), capacity=CyclicalWarmup(0.0, 5.0, 8)),
    "CVAE": lambda: CVAE(nn.Bilinear(6, 2, 4), nn.Bilinear(2, 2, 6), nn.Linear(2, 4), objective="hybrid", alpha=0.5),
    "MixturePrior": lambda: MixturePrior(3, 2),
    "VampPrior": lambda: VampPrior(torch.ones(3, 6), nn.Linear(6, 4)),
    "with VampPrior": with_vamp_prior,
    "ELBOLoss": lambda: ELBOLoss("gaussian_learned", beta=torch.tensor(2.0), free_bits=0.5),
    "divided": lambda: ELBOLoss(total_correlation=LinearWarmup(1.0, 6.0, 5), dataset_size=100),
    "TotalCorrelation": lambda: TotalCorrelation(100, total_correlation=6.0),
    "NegativeBinomial": lambda: NegativeBinomial(6),
    "DiscretizedLogisticMixture": lambda: DiscretizedLogisticMixture(),
    "MultiScale": lambda: MultiScale(factors=(2, 1)),
    "DIP": lambda: DIP("ii"),
    "MMD": lambda: MMD("rbf"),
    "BlockOmission": lambda: BlockOmission(),
}


def pickled(module: nn.Module) -> nn.Module:
    twin: nn.Module = pickle.loads(pickle.dumps(module))
    return twin


def saved(module: nn.Module) -> nn.Module:
    """By torch.save, whole."""
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    twin: nn.Module = torch.load(file, weights_only=False)
    return twin


def restored(name: str) -> Callable[[nn.Module], nn.Module]:
    def restore(module: nn.Module) -> nn.Module:
        """By state_dict, read without pickle."""
        file = io.BytesIO()
        torch.save(module.state_dict(), file)
        file.seek(0)
        twin = MODULES[name]()
        twin.load_state_dict(torch.load(file, weights_only=True))
        return twin

    return restore


@pytest.mark.parametrize("name", MODULES)
def test_a_twin_is_the_same(name: str) -> None:
    module = MODULES[name]()
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            value += 1
    for copied in (copy.deepcopy, pickled, saved, restored(name)):
        twin = copied(module)
        assert type(twin) is type(module)
        assert repr(twin) == repr(module)
        assert not {id(value) for value in twin.parameters()} & {id(value) for value in module.parameters()}
        torch.testing.assert_close(twin.state_dict(), module.state_dict(), rtol=0, atol=0)


def test_a_prior_keeps_the_encoder_of_its_model() -> None:
    model = with_vamp_prior()
    for twin in (copy.deepcopy(model), pickled(model), saved(model)):
        assert isinstance(twin, VAE)
        assert isinstance(twin.prior, VampPrior)
        assert twin.prior.encoder is twin.encoder


def test_a_gaussian() -> None:
    gaussian = DiagonalGaussian.from_moments(torch.rand(3, 4), parameterization="softplus", min_var=1e-3)
    for twin in (copy.deepcopy(gaussian), pickle.loads(pickle.dumps(gaussian))):
        assert torch.equal(twin.rsample(seed=1), gaussian.rsample(seed=1))
        assert repr(twin) == repr(gaussian)
