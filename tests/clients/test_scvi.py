"""scvi-tools' VAE with our likelihood and KL, against its own."""

from __future__ import annotations

import pytest
import torch

from bench.clients import example
from tests.clients.packages import client, no_worse

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("inflated", [False, True], ids=["nb", "zinb"])
def test_the_likelihood(inflated):
    distributions = client("scvi.distributions")
    import fastvae.functional as F

    generator = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.rand(8, 50, generator=generator) * 6, generator=generator)
    parameters = [torch.rand(8, 50, generator=generator) * 5 + 0.1, torch.rand(50, generator=generator) * 5 + 0.1]
    parameters += [torch.randn(8, 50, generator=generator)] if inflated else []

    def results(function, dtype):
        leaves = [value.to(dtype).requires_grad_() for value in parameters]
        value = function(*leaves)
        return [value, *torch.autograd.grad(value.sum(), leaves)]

    def theirs(mu, theta, logits=None):
        of = distributions.NegativeBinomial if logits is None else distributions.ZeroInflatedNegativeBinomial
        extra = {} if logits is None else {"zi_logits": logits}
        return -of(mu=mu, theta=theta, **extra).log_prob(counts.to(mu.dtype)).sum(-1)

    def ours(mu, theta, logits=None):
        return F.negative_binomial_nll(mu, counts, theta, zero_inflation_logits=logits, reduction="sample")

    exact = results(theirs, torch.float64)
    for mine, own, value in zip(results(ours, torch.float32), results(theirs, torch.float32), exact, strict=True):
        no_worse(mine, own, value)


@pytest.mark.parametrize("gene_likelihood", ["nb", "zinb"])
def test_a_step_is_theirs(gene_likelihood):
    client("scvi")
    found = []
    for fused in (False, True):
        step = example("scvi_model").step(fused=fused, genes=60, gene_likelihood=gene_likelihood)
        torch.manual_seed(1)
        found.append([step() for _ in range(3)])
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_the_model_trains(tmp_path, monkeypatch):
    client("scvi")
    import anndata

    monkeypatch.chdir(tmp_path)
    counts = torch.poisson(torch.rand(64, 30, generator=torch.Generator().manual_seed(0)) * 3)
    data = anndata.AnnData(counts.numpy())
    fused = example("scvi_model").FusedSCVI
    fused.setup_anndata(data)
    model = fused(data, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, batch_size=32, accelerator="cpu", enable_progress_bar=False, logger=False)
    assert model.get_latent_representation().shape == (64, 2)
    assert torch.isfinite(torch.tensor(float(model.history["train_loss_epoch"].iloc[-1, 0]))) if model.history else True
