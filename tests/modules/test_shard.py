"""`shard=` in the models: one seed gives the same latents however many processes share a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastvae import VAE, DiagonalGaussian, MixturePrior, VampPrior
from tests.modules import tiny, tiny_cvae
from tests.modules.tiny import BATCH, EXACT, LATENT, PIXELS, gradients

PARTS = [(0, 2), (2, 3)]
"""The rows of two processes."""


def parts_of(call: Callable[..., Any], *batches: Tensor, dim: int = 0, **options: Any) -> Any:
    """`call` on the rows of each process, joined along `dim`."""
    results = [
        call(*(each[start : start + rows] for each in batches), **options, shard=(start, BATCH))
        for start, rows in PARTS
    ]
    return torch.cat(results, dim)


def z_of(model: nn.Module) -> Callable[..., Tensor]:
    return lambda *batches, **options: model(*batches, **options).z


def test_forward() -> None:
    vae, x = tiny.model(), tiny.data()
    for num_samples, dim in ((None, 0), (3, 1)):
        whole = vae(x, seed=4, num_samples=num_samples).z
        found = parts_of(z_of(vae), x, dim=dim, seed=4, num_samples=num_samples)
        torch.testing.assert_close(found, whole, **EXACT)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kl_estimator": "monte_carlo"},
        {"free_bits": 0.1, "free_bits_per": "dimension"},
        {"prior": MixturePrior(2, LATENT)},
        {"parameterization": "softplus", "min_std": 0.1},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_gradients_of_two_processes_average_to_those_of_one(options: dict[str, Any]) -> None:
    """As DistributedDataParallel does: each process has half of a batch, and a generator in the same state."""
    vae, x = tiny.model(**options), torch.cat((tiny.data(), tiny.data().flip(0)))
    generator = torch.Generator()
    whole = gradients(vae(x, generator=generator.manual_seed(3)).loss, vae)
    halves = [
        gradients(vae(x[rank : rank + 5], generator=generator.manual_seed(3), shard=(rank, 10)).loss, vae)
        for rank in (0, 5)
    ]
    for one, *both in zip(whole, *halves, strict=True):
        torch.testing.assert_close(torch.stack(both).mean(0), one, **EXACT)


@pytest.mark.parametrize("source", ["seed", "generator"])
def test_importance_samples(source: str) -> None:
    def drawn() -> dict[str, Any]:
        return {"seed": 6} if source == "seed" else {"generator": torch.Generator().manual_seed(6)}

    vae, x = tiny.model(), tiny.data()
    for call, dim, options in (
        (vae.log_weights, 1, {"num_samples": 3}),
        (vae.log_likelihood, 0, {"num_samples": 7, "chunk_size": 3}),
    ):
        whole = call(x, **options, **drawn())
        found = [call(x[start : start + rows], **options, **drawn(), shard=(start, BATCH)) for start, rows in PARTS]
        torch.testing.assert_close(torch.cat(found, dim), whole, **EXACT)


def test_reconstructions() -> None:
    vae, x = tiny.model(), tiny.data()
    found = parts_of(vae.reconstruct, x, sample=True, seed=2)
    torch.testing.assert_close(found, vae.reconstruct(x, sample=True, seed=2), **EXACT)


class OwnPrior(nn.Module):
    """A prior that knows no shards."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -z.square().sum(-1)

    def sample(self, n: int, *, seed: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        source = generator if seed is None else torch.Generator().manual_seed(seed)
        return torch.randn(n, LATENT, generator=source, dtype=torch.float64)


PRIORS: dict[str, Callable[[nn.Module], nn.Module | None]] = {
    "standard normal": lambda encoder: None,
    "mixture": lambda encoder: MixturePrior(4, LATENT).double(),
    "vamp": lambda encoder: VampPrior(torch.rand(4, PIXELS, dtype=torch.float64), encoder),
    "one's own": lambda encoder: OwnPrior(),
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("source", ["seed", "generator"])
def test_samples_of_the_prior(prior: str, source: str) -> None:
    def drawn() -> dict[str, Any]:
        return {"seed": 6} if source == "seed" else {"generator": torch.Generator().manual_seed(6)}

    torch.manual_seed(1)
    encoder = nn.Linear(PIXELS, 2 * LATENT).double()
    vae = VAE(encoder, nn.Linear(LATENT, PIXELS).double(), prior=PRIORS[prior](encoder), latent_shape=LATENT)
    whole = vae.sample(BATCH, **drawn())
    found = [vae.sample(rows, **drawn(), shard=(start, BATCH)) for start, rows in PARTS]
    torch.testing.assert_close(torch.cat(found), whole, **EXACT)
    assert len(whole.unique(dim=0)) == BATCH
    with pytest.raises(ValueError, match=r"shard: got \(4, 5\) with a batch of 2"):
        vae.sample(2, shard=(4, BATCH))


@pytest.mark.parametrize("objective", ["cvae", "gsnn", "hybrid"])
@pytest.mark.parametrize("prior", [True, False])
def test_conditional_models(objective: str, prior: bool) -> None:
    model = tiny_cvae.model(prior=prior, objective=objective, alpha=0.5)
    condition, target = (each[:BATCH] for each in tiny_cvae.data())
    for call, dim, batches, options in (
        (z_of(model), 0, (condition, target), {}),
        (lambda *two, **rest: model(*two, **rest).loss[None] * len(two[0]), 0, (condition, target), {}),
        (model.predict, 0, (condition,), {"num_samples": 5, "chunk_size": 2}),
        (lambda x, **rest: model.sample(x, 3, **rest), 1, (condition,), {}),
        (model.log_likelihood, 0, (condition, target), {"num_samples": 5, "chunk_size": 2}),
        (model.log_likelihood, 0, (condition, target), {"num_samples": 5, "method": "monte_carlo"}),
    ):
        whole, found = call(*batches, **options, seed=3), parts_of(call, *batches, dim=dim, **options, seed=3)
        if found.shape != whole.shape:  # sums over the rows of each
            found = found.sum(0, keepdim=True)
        torch.testing.assert_close(found, whole, **EXACT)


def test_what_draws_nothing_takes_no_shard() -> None:
    vae, x = tiny.model(), tiny.data()
    for call in (vae, vae.reconstruct):
        with pytest.raises(ValueError, match="shard: got a value with sample=False, which draws nothing; takes None"):
            call(x, sample=False, shard=(0, BATCH))
    with pytest.raises(ValueError, match="seed: got a value with sample=False"):
        vae.reconstruct(x, seed=3)
    with pytest.raises(ValueError, match="seed, shard: got a value with num_samples=None, which draws nothing"):
        tiny_cvae.model().predict(tiny_cvae.data()[0], seed=1, shard=(0, BATCH))


def test_a_prior_under_another_parameterization() -> None:
    """Then z and its KL are computed apart."""
    mu, scale = torch.randn(2, BATCH, LATENT, dtype=torch.float64)
    prior = DiagonalGaussian(mu, scale.exp(), parameterization="std")
    whole = DiagonalGaussian(mu, scale).rsample_kl(prior, seed=1)[0]
    found = [
        DiagonalGaussian(mu, scale)[start : start + rows].rsample_kl(
            prior[start : start + rows], seed=1, shard=(start, BATCH)
        )[0]
        for start, rows in PARTS
    ]
    assert torch.equal(torch.cat(found), whole)
