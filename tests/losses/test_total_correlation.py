"""The KL in parts: what they add up to, what the weights do, and what is refused."""

import pytest
import torch

from fastvae import VAE, DiagonalGaussian, ELBOLoss, LinearWarmup
from fastvae.losses import TotalCorrelation

BATCH, LATENT, DATASET = 7, 3, 50


def drawn(seed: int = 0) -> tuple[torch.Tensor, DiagonalGaussian]:
    generator = torch.Generator().manual_seed(seed)
    mu, logvar = torch.randn(2, BATCH, LATENT, dtype=torch.float64, generator=generator).unbind()
    posterior = DiagonalGaussian(mu.requires_grad_(), logvar.requires_grad_())
    return posterior.rsample(seed=seed), posterior


@pytest.mark.parametrize("weighting", ["mws", "mss"])
def test_the_parts_add_up_to_the_estimate_of_the_kl(weighting: str) -> None:
    z, posterior = drawn()
    loss, samples, terms = TotalCorrelation(DATASET, total_correlation=1.0, weighting=weighting)(z, posterior)
    torch.testing.assert_close(samples, posterior.log_ratio(z).detach())
    torch.testing.assert_close(loss, posterior.log_ratio(z).mean())
    torch.testing.assert_close(sum(terms), loss.detach())
    assert not any(term.requires_grad for term in terms)


def test_each_weight_multiplies_its_part() -> None:
    z, posterior = drawn()
    _, _, terms = TotalCorrelation(DATASET)(z, posterior)
    weights = {"mutual_information": 0.5, "total_correlation": 3.0, "dimension_kl": torch.tensor(2.0)}
    loss, _, _ = TotalCorrelation(DATASET, **weights)(z, posterior)
    torch.testing.assert_close(loss, sum(weights[name] * term for name, term in terms._asdict().items()))


def test_independent_latents_of_one_dimension_have_no_total_correlation() -> None:
    z, posterior = drawn()
    _, _, terms = TotalCorrelation(DATASET)(z[:, :1], DiagonalGaussian(posterior.mu[:, :1], posterior.scale[:, :1]))
    assert terms.total_correlation.abs() < 1e-12


def test_the_objective_takes_a_schedule_and_a_model_reports_the_parts() -> None:
    warmup = LinearWarmup(0.0, 6.0, 10)
    loss = ELBOLoss("gaussian", total_correlation=warmup, dataset_size=DATASET, beta=0.5)
    model = VAE(torch.nn.Linear(5, 2 * LATENT), torch.nn.Linear(LATENT, 5), loss=loss)
    x = torch.randn(BATCH, 5)
    first = model(x, seed=3)
    assert first.kl.shape == (BATCH,)
    assert first.kl_terms is not None
    expected = first.kl_terms.mutual_information + first.kl_terms.dimension_kl
    torch.testing.assert_close(first.loss, first.reconstruction_loss.mean() + 0.5 * expected)
    for _ in range(10):
        warmup.step()
    last = model(x, seed=3)
    torch.testing.assert_close(last.loss - first.loss, 0.5 * 6 * first.kl_terms.total_correlation)
    last.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_correlation": 6.0}, "dataset_size: got None with total_correlation"),
        ({"preset": "pythae-beta-tc"}, "dataset_size: got None with total_correlation"),
        ({"total_correlation": 6.0, "dataset_size": 0}, "dataset_size: got 0; takes the number of samples"),
        ({"total_correlation": -1.0, "dataset_size": 9}, "total_correlation: got -1.0; takes a finite number"),
        ({"total_correlation": 6.0, "dataset_size": 9, "weighting": "mean"}, "weighting: got 'mean'; takes one of"),
        ({"dataset_size": 9}, "dataset_size: got 9 without total_correlation"),
        ({"weighting": "mss"}, "weighting: got 'mss' without total_correlation"),
        ({"mutual_information": 0.5}, "mutual_information: got 0.5 without total_correlation"),
        ({"total_correlation": 6.0, "dataset_size": 9, "free_bits": 1.0}, "total_correlation: got 6.0 with free bits"),
        ({"total_correlation": 6.0, "dataset_size": 9, "capacity": 1.0}, "total_correlation: got 6.0 with free bits"),
        ({"total_correlation": 6.0, "dataset_size": 9, "reduction": "sample"}, "reduction: got 'sample' with total"),
    ],
)
def test_what_does_not_go_together_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ELBOLoss(**options)


def test_a_sample_of_each_posterior_is_needed() -> None:
    z, posterior = drawn()
    loss = ELBOLoss("gaussian", total_correlation=6.0, dataset_size=DATASET)
    with pytest.raises(ValueError, match="z: got None with total_correlation"):
        loss(z, z.detach(), posterior)
    with pytest.raises(ValueError, match=r"z: got shape \[2, 7, 3\]"):
        loss(z, z.detach(), posterior, z=posterior.rsample(2))
    model = VAE(torch.nn.Linear(5, 2 * LATENT), torch.nn.Linear(LATENT, 5), loss=loss)
    for option in ({"num_samples": 2}, {"sample": False}):
        with pytest.raises(ValueError, match=f"{next(iter(option))}: got .* with total_correlation"):
            model(torch.randn(BATCH, 5), **option)
