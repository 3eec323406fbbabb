"""Models whose loss is a value a sample: they add up to the scalar, and over shards to the whole batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fastvae import CVAE, VAE, ELBOLoss, LinearWarmup
from fastvae.presets import CONVENTIONS
from tests.modules import tiny_cvae
from tests.modules.processes import in_processes
from tests.modules.tiny import BATCH, EXACT, LATENT, PIXELS, assert_same, data, model

SHARDS = (5, 3)
SEPARABLE = [
    name for name, row in CONVENTIONS.items() if row.kl_estimator != "masked" and row.total_correlation is None
]


@pytest.mark.parametrize("num_samples", [None, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"likelihood": "gaussian_learned", "beta": LinearWarmup(0.5, 1.0, 5), "kl_estimator": "monte_carlo"},
        {"likelihood": "laplace_learned", "free_bits": 0.3, "free_bits_per": "dimension"},
        {"likelihood": "poisson", "capacity": 2.0, "capacity_per": "sample"},
        *({"preset": name} for name in SEPARABLE if name != "scvi"),
        {"preset": "scvi", "likelihood": "poisson"},
    ],
    ids=str,
)
def test_the_values_of_the_samples_add_up_to_the_scalar(options: dict[str, Any], num_samples: int | None) -> None:
    vae, x = model(latent_shape=LATENT, **options), data()
    if getattr(vae.elbo.reconstruction, "likelihood", None) == "bernoulli_probs":
        vae.decoder.append(nn.Sigmoid())
    each = VAE(vae.encoder, vae.decoder, reduction="sample", latent_shape=LATENT, **options).double()
    each.elbo.load_state_dict(vae.elbo.state_dict())
    losses = each(x, seed=1, num_samples=num_samples).loss
    assert losses.shape == (BATCH,)
    summed = vae.elbo.convention.reconstruction == "sum"
    whole = vae(x, seed=1, num_samples=num_samples).loss
    torch.testing.assert_close(losses.sum() if summed else losses.mean(), whole, **EXACT)


@pytest.mark.parametrize("num_samples", [None, 3])
@pytest.mark.parametrize("objective", ["cvae", "gsnn", "hybrid"])
def test_a_conditional_model_has_a_value_a_sample(objective: str, num_samples: int | None) -> None:
    given = {"objective": objective, "alpha": 0.25, "likelihood": "gaussian"}
    whole, each = (tiny_cvae.model(**given, **reduction) for reduction in ({}, {"reduction": "sample"}))
    losses = each(*tiny_cvae.data(), seed=1, num_samples=num_samples).loss
    assert losses.shape == (tiny_cvae.BATCH,)
    each.load_state_dict(whole.state_dict())
    torch.testing.assert_close(losses.mean(), whole(*tiny_cvae.data(), seed=1, num_samples=num_samples).loss, **EXACT)


def test_it_is_given_with_the_objective_or_as_an_option() -> None:
    given = model(reduction="sample"), model(loss=ELBOLoss(reduction="sample"))
    ours, other = (vae(data(), seed=1).loss for vae in given)
    assert torch.equal(ours, other)
    weights = torch.arange(BATCH)
    assert_same(
        (ours * weights).sum(), sum(w * given[0](data(), seed=1).loss[i] for i, w in enumerate(weights)), given[0]
    )


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"total_correlation": 6.0, "dataset_size": 100}, "total_correlation"),
        ({"preset": "pythae-beta-tc", "dataset_size": 100}, "total_correlation"),
        ({"capacity": 1.0}, "capacity_per='batch'"),
        ({"free_bits": 1.0, "free_bits_per": "batch_dimension"}, "free_bits_per='batch_dimension'"),
    ],
    ids=str,
)
def test_an_objective_that_mixes_the_samples_of_a_batch_has_no_value_a_sample(
    options: dict[str, Any], cause: str
) -> None:
    """A shard's would be another estimate, which no weighting of the shards makes that of the batch."""
    with pytest.raises(ValueError, match=rf"^reduction: got 'sample' with {cause}, which mixes samples; takes 'batchm"):
        VAE(nn.Identity(), nn.Identity(), reduction="sample", **options)
    vae = model(**({} if "preset" in options else {"likelihood": "gaussian"}), **options)
    with pytest.raises(
        ValueError, match=rf"^shard: got \(5, 8\) with {cause}, which mixes the samples of the whole bat"
    ):
        vae(data()[:3], seed=1, shard=(5, 8))
    assert_same(vae(data(), seed=1, shard=(0, BATCH)).loss, vae(data(), seed=1).loss, vae)


def vae_and_batch(total: int) -> tuple[VAE, list[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    vae = model(likelihood="gaussian_learned", reduction="sample")
    return vae, [torch.rand(total, PIXELS, dtype=torch.float64, generator=generator)]


def cvae_and_batch(total: int) -> tuple[CVAE, list[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    sizes = tiny_cvae.CONDITION, tiny_cvae.TARGET
    cvae = tiny_cvae.model(objective="hybrid", alpha=0.5, reduction="sample")
    return cvae, [torch.rand(total, size, dtype=torch.float64, generator=generator) for size in sizes]


def gradients(module: nn.Module, batch: Sequence[Tensor], shard: tuple[int, int], share: float) -> list[Tensor]:
    """Of the sum over the rows at hand times `share`."""
    (module(*batch, seed=2, shard=shard).loss.sum() * share).backward()
    return [parameter.grad for parameter in module.parameters() if parameter.grad is not None]


def train_on_shards(rank: int) -> None:
    """The body of a process: the recipe of the documentation."""
    total, world_size = sum(SHARDS), len(SHARDS)
    start = sum(SHARDS[:rank])
    rows = slice(start, start + SHARDS[rank])
    for build in (vae_and_batch, cvae_and_batch):
        (whole, batch), (sharded, _) = build(total), build(total)
        expected = gradients(whole, batch, (0, total), 1 / total)
        shard = [tensor[rows] for tensor in batch]
        found = gradients(DistributedDataParallel(sharded), shard, (start, total), world_size / total)
        assert len(found) == len(expected) > 0
        torch.testing.assert_close(found, expected, **EXACT)


def test_uneven_shards_have_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    in_processes(len(SHARDS), train_on_shards, folder=tmp_path)
