"""Each preset equals its project's own formula, written here in plain PyTorch, in value and gradients."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor

import fastvae
from fastvae.presets import CONVENTIONS

# A few hundred float64 terms, each with a few roundings of 2.2e-16.
EXACT = {"rtol": 1e-12, "atol": 1e-13}
BATCH, LATENT = 6, 5


def bce(p: Tensor, x: Tensor) -> Tensor:
    return T.binary_cross_entropy(p, x, reduction="sum")


def kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """The copied formula, one value a sample."""
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).flatten(1).sum(1)


class Row(NamedTuple):
    """A project's formula under ``(recon_x, x, mu, raw, beta)``, and what its tensors look like."""

    formula: Callable[..., Tensor]
    data: tuple[int, ...] | None = (7,)
    latent: tuple[int, ...] = (LATENT,)


def keras(p: Tensor, x: Tensor, mu: Tensor, s: Tensor, beta: float) -> Tensor:
    pixels = T.binary_cross_entropy(p, x, reduction="none")
    return pixels.mean(1).sum((1, 2)).mean() + beta * kl(mu, s).mean()


def diffusers(p: Tensor, x: Tensor, mu: Tensor, s: Tensor, beta: float) -> Tensor:
    s = torch.clamp(s, -30, 20)
    divergence = 0.5 * torch.sum(mu.pow(2) + s.exp() - 1 - s, dim=tuple(range(1, mu.dim())))
    return ((p - x).abs().sum() + beta * divergence.sum()) / x.shape[0]


def oobleck(p: None, x: None, mu: Tensor, raw: Tensor, beta: float) -> Tensor:
    std = T.softplus(raw) + 1e-4
    var = std * std
    return beta * (mu * mu + var - torch.log(var) - 1).sum(1).mean()


FOUR_ARGUMENTS = {
    "pytorch-examples": Row(lambda p, x, mu, s, beta: bce(p, x) + beta * kl(mu, s).sum()),
    "pythae": Row(
        lambda p, x, mu, s, beta: (0.5 * T.mse_loss(p, x, reduction="none").sum(-1) + beta * kl(mu, s)).mean(0)
    ),
    "pytorch-vae": Row(lambda p, x, mu, s, beta: T.mse_loss(p, x) + beta * 0.00025 * kl(mu, s).mean(), (3, 4, 4)),
    "disentangling-vae": Row(lambda p, x, mu, s, beta: bce(p, x) / BATCH + beta * kl(mu, s).mean().abs(), (1, 4, 4)),
    "disentangled-beta": Row(
        lambda p, x, mu, s, beta: (0.5 * ((p - x) ** 2).flatten(1).sum(1) + beta * kl(mu, s).abs()).mean()
    ),
    "diffusers": Row(diffusers, (3, 4, 4), (2, 2, 2)),
    "keras": Row(keras, (3, 4, 4)),
    "world-models": Row(
        lambda p, x, mu, s, beta: (
            ((p - x) ** 2).flatten(1).sum(1).mean() + beta * kl(mu, s).clamp(min=0.5 * LATENT).mean()
        ),
        (3, 4, 4),
    ),
    "bolts": Row(lambda p, x, mu, s, beta: T.mse_loss(p, x) + beta * 0.1 * kl(mu, s).sum() / mu.numel(), (3, 4, 4)),
    "oobleck": Row(oobleck, None, (4, 9)),
}


def leaves(row: Row, seed: int = 0, spread: float = 1.0) -> list[Tensor | None]:
    """recon_x, x, mu, raw; probabilities for the prediction, so that every likelihood takes it."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(BATCH, *shape, dtype=torch.float64, generator=generator)

    recon_x, x = (None, None) if row.data is None else (draw(row.data).sigmoid(), draw(row.data).sigmoid())
    tensors = [recon_x, x, spread * draw(row.latent), spread * draw(row.latent)]
    for index in (0, 2, 3):
        if tensors[index] is not None:
            tensors[index].requires_grad_()
    return tensors


def assert_same(ours: Tensor, theirs: Tensor, tensors: list[Tensor | None]) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    learned = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
    got_all, expected_all = (torch.autograd.grad(loss, learned, retain_graph=True) for loss in (ours, theirs))
    for got, expected in zip(got_all, expected_all, strict=True):
        torch.testing.assert_close(got, expected, **EXACT)


def posterior(name: str, mu: Tensor, raw: Tensor) -> fastvae.DiagonalGaussian:
    return fastvae.DiagonalGaussian(mu, raw, **CONVENTIONS[name].gaussian.scale)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("beta", [1.0, 2.5])
@pytest.mark.parametrize("name", FOUR_ARGUMENTS)
def test_vae_loss_is_the_projects_formula(name: str, beta: float, backend: str) -> None:
    row = FOUR_ARGUMENTS[name]
    tensors = leaves(row)
    with fastvae.use_backend(backend):
        ours = fastvae.functional.vae_loss(*tensors, preset=name, beta=beta)
    assert_same(ours, row.formula(*tensors, beta), tensors)


@pytest.mark.parametrize("name", FOUR_ARGUMENTS)
def test_elbo_loss_equals_vae_loss(name: str) -> None:
    recon_x, x, mu, raw = tensors = leaves(FOUR_ARGUMENTS[name], seed=1)
    ours = fastvae.ELBOLoss(preset=name, beta=1.5)(recon_x, x, posterior(name, mu, raw)).loss
    assert_same(ours, fastvae.functional.vae_loss(*tensors, preset=name, beta=1.5), tensors)


def test_clamp_of_the_diffusers_posterior_stops_the_gradient() -> None:
    tensors = leaves(FOUR_ARGUMENTS["diffusers"])
    with torch.no_grad():
        tensors[3][0, 0, 0, 0], tensors[3][1, 0, 0, 0] = 25.0, -40.0
    ours = fastvae.functional.vae_loss(*tensors, preset="diffusers")
    assert_same(ours, diffusers(*tensors, 1.0), tensors)
    (grad,) = torch.autograd.grad(ours, [tensors[3]])
    assert grad[0, 0, 0, 0] == 0
    assert grad[1, 0, 0, 0] == 0


def test_world_models_bound_is_active_and_inactive_in_one_batch() -> None:
    """The row's test means something only where some samples are below the bound and some above it."""
    _, _, mu, raw = leaves(FOUR_ARGUMENTS["world-models"])
    above = kl(mu, raw) > 0.5 * LATENT
    assert above.any()
    assert not above.all()


@pytest.mark.parametrize("capacity", [0.5, 30.0])
@pytest.mark.parametrize(
    ("likelihood", "reconstruction"),
    [
        ("bernoulli_probs", lambda p, x: bce(p, x) / BATCH),
        ("gaussian", lambda p, x: T.mse_loss(p * 255, x * 255, reduction="sum") / 255 / BATCH),
        ("laplace", lambda p, x: 3 * T.l1_loss(p, x, reduction="sum") / BATCH),
    ],
)
def test_disentangling_vae(likelihood: str, reconstruction: Callable[..., Tensor], capacity: float) -> None:
    recon_x, x, mu, raw = tensors = leaves(Row(bce, (1, 4, 4)))
    loss = fastvae.ELBOLoss(likelihood, preset="disentangling-vae", beta=4.0, capacity=capacity)
    theirs = reconstruction(recon_x, x) + 4.0 * (kl(mu, raw).mean() - capacity).abs()
    assert_same(loss(recon_x, x, posterior("disentangling-vae", mu, raw)).loss, theirs, tensors)


@pytest.mark.parametrize("capacity", [0.5, 3.0, 30.0])
def test_disentangled_beta_takes_the_capacity_per_sample(capacity: float) -> None:
    recon_x, x, mu, raw = tensors = leaves(FOUR_ARGUMENTS["disentangled-beta"])
    loss = fastvae.ELBOLoss(preset="disentangled-beta", beta=4.0, capacity=capacity)
    theirs = (0.5 * ((recon_x - x) ** 2).sum(1) + 4.0 * (kl(mu, raw) - capacity).abs()).mean()
    assert_same(loss(recon_x, x, posterior("disentangled-beta", mu, raw)).loss, theirs, tensors)


@pytest.mark.parametrize(
    ("likelihood", "reconstruction"),
    [
        ("bernoulli_probs", lambda p, x: bce(p, x)),
        ("bernoulli", lambda p, x: T.binary_cross_entropy_with_logits(p, x, reduction="sum")),
    ],
)
def test_pythae_with_cross_entropy(likelihood: str, reconstruction: Callable[..., Tensor]) -> None:
    recon_x, x, mu, raw = tensors = leaves(FOUR_ARGUMENTS["pythae"])
    loss = fastvae.ELBOLoss(likelihood, preset="pythae")
    theirs = reconstruction(recon_x, x) / BATCH + kl(mu, raw).mean()
    assert_same(loss(recon_x, x, posterior("pythae", mu, raw)).loss, theirs, tensors)


def test_diffusers_with_squared_error_on_video() -> None:
    recon_x, x, mu, raw = tensors = leaves(Row(bce, (3, 2, 4, 4), (2, 2, 2, 2)))
    loss = fastvae.ELBOLoss("squared_error", preset="diffusers", beta=0.1)
    divergence = 0.5 * (mu**2 + raw.exp() - 1 - raw).sum((1, 2, 3, 4))
    theirs = ((recon_x - x) ** 2).sum() / BATCH + 0.1 * divergence.mean()
    assert_same(loss(recon_x, x, posterior("diffusers", mu, raw)).loss, theirs, tensors)


def test_latent_diffusion_owns_a_learned_scale() -> None:
    recon_x, x, mu, raw = tensors = leaves(Row(bce, (3, 4, 4), (2, 2, 2)))
    loss = fastvae.ELBOLoss(preset="latent-diffusion").double()
    (s,) = loss.parameters()
    with torch.no_grad():
        s.fill_(-0.3)
    clamped = raw.clamp(-30, 20)
    divergence = 0.5 * (mu**2 + clamped.exp() - 1 - clamped).sum((1, 2, 3))
    nll = (recon_x - x).abs() / s.exp() + s
    theirs = nll.sum() / BATCH + 1e-6 * divergence.sum() / BATCH
    output = loss(recon_x, x, posterior("latent-diffusion", mu, raw))
    assert_same(output.loss, theirs, [*tensors, s])
    torch.testing.assert_close(output.reconstruction, nll.flatten(1).sum(1).detach(), **EXACT)


def test_tf_tutorial_is_the_single_sample_estimate() -> None:
    logits, x, mu, logvar = tensors = leaves(Row(bce, (4, 4, 1)))
    z = mu + (0.5 * logvar).exp() * torch.randn(BATCH, LATENT, dtype=torch.float64)

    def log_normal(value: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
        log_variance = torch.as_tensor(log_variance, dtype=torch.float64)
        return (-0.5 * ((value - mean) ** 2 * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))).sum(1)

    cross_entropy = T.binary_cross_entropy_with_logits(logits, x, reduction="none")
    log_p_x = -cross_entropy.sum((1, 2, 3))
    theirs = -(log_p_x + log_normal(z, 0.0, 0.0) - log_normal(z, mu, logvar)).mean()
    ours = fastvae.ELBOLoss(preset="tf-tutorial")(logits, x, posterior("tf-tutorial", mu, logvar), z=z).loss
    assert_same(ours, theirs, tensors)


@pytest.mark.parametrize("learned_prior", [False, True])
def test_scvi_takes_a_likelihood_a_prior_and_a_device_weight(learned_prior: bool) -> None:
    rate, x, mu, raw = tensors = leaves(Row(bce, (20,)))
    prior_mu = torch.randn(BATCH, LATENT, dtype=torch.float64, requires_grad=True)
    prior_raw = torch.randn(BATCH, LATENT, dtype=torch.float64, requires_grad=True)
    counts = (20 * x).round()
    weight = torch.tensor(0.3, dtype=torch.float64)

    def poisson(prediction: Tensor, target: Tensor) -> Tensor:
        return -torch.distributions.Poisson(prediction).log_prob(target).sum(-1)

    q = torch.distributions.Normal(mu, (raw.exp() + 1e-4).sqrt())
    p = torch.distributions.Normal(0.0, 1.0)
    prior = None
    if learned_prior:
        tensors += [prior_mu, prior_raw]
        p = torch.distributions.Normal(prior_mu, (prior_raw.exp() + 1e-4).sqrt())
        prior = posterior("scvi", prior_mu, prior_raw)
    theirs = (poisson(rate, counts) + weight * torch.distributions.kl_divergence(q, p).sum(1)).mean()
    loss = fastvae.ELBOLoss(poisson, preset="scvi", beta=weight)
    assert_same(loss(rate, counts, posterior("scvi", mu, raw), prior=prior).loss, theirs, tensors)


@pytest.mark.parametrize("as_pair", [False, True])
def test_vits_averages_over_the_mask(as_pair: bool) -> None:
    frames = (4, 9)
    _, _, m_q, logs_q = leaves(Row(oobleck, None, frames))
    _, _, m_p, logs_p = leaves(Row(oobleck, None, frames), seed=1)
    z_p = torch.randn(BATCH, *frames, dtype=torch.float64, requires_grad=True)
    lengths = torch.arange(4, 4 + BATCH).clamp(max=9)
    mask = (torch.arange(9) < lengths[:, None]).unsqueeze(1).double()

    elements = logs_p - logs_q - 0.5
    elements = elements + 0.5 * ((z_p - m_p) ** 2) * torch.exp(-2.0 * logs_p)
    theirs = torch.sum(elements * mask) / torch.sum(mask)

    prior = (m_p, logs_p) if as_pair else posterior("vits", m_p, logs_p)
    loss = fastvae.ELBOLoss(preset="vits")
    ours = loss(None, None, posterior("vits", m_q, logs_q), z=z_p, prior=prior, mask=mask).loss
    assert_same(ours, theirs, [logs_q, m_p, logs_p, z_p])


def stratified(batch: int, dataset: int) -> Tensor:
    """log of the weights of Chen et al. (2018), appendix C.2."""
    rest = batch - 1
    weights = torch.full((batch, batch), 1 / rest, dtype=torch.float64)
    rows = torch.arange(batch)
    weights[rows, rows] = 1 / dataset
    weights[rows, (rows + 1) % batch] = (dataset - rest) / (dataset * rest)
    return weights.log()


BETA_TC = {
    "pythae-beta-tc": (1.0, lambda p, x: ((p - x) ** 2).flatten(1).sum(1)),
    "disentangling-vae-beta-tc": (6.0, lambda p, x: T.binary_cross_entropy(p, x, reduction="none").flatten(1).sum(1)),
}


@pytest.mark.parametrize("weight", [None, 4.0])
@pytest.mark.parametrize("name", BETA_TC)
def test_beta_tc(name: str, weight: float | None) -> None:
    """Their formulas, with the paper's weights in place of theirs."""
    own, reconstruction = BETA_TC[name]
    p, x, mu, raw = leaves(Row(oobleck, (1, 4, 4)))
    z = torch.randn(mu.shape, dtype=torch.float64).requires_grad_()
    log_q = torch.distributions.Normal(mu, (0.5 * raw).exp()).log_prob(z).sum(1)
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    lattice = torch.distributions.Normal(mu, (0.5 * raw).exp()).log_prob(z.unsqueeze(1))
    weights = stratified(BATCH, 60)
    log_qz = torch.logsumexp(weights + lattice.sum(-1), 1)
    log_product = torch.logsumexp(weights.unsqueeze(-1) + lattice, 1).sum(1)
    tc = own if weight is None else weight
    theirs = reconstruction(p, x) + (log_q - log_qz) + tc * (log_qz - log_product) + (log_product - log_p)
    loss = fastvae.ELBOLoss(preset=name, total_correlation=weight, dataset_size=60)
    assert_same(loss(p, x, posterior(name, mu, raw), z=z).loss, theirs.mean(), [p, mu, raw, z])


def test_every_row_of_the_table_is_tested_here() -> None:
    apart = {"latent-diffusion", "tf-tutorial", "scvi", "vits", *BETA_TC}
    assert set(CONVENTIONS) == set(FOUR_ARGUMENTS) | apart


@pytest.mark.parametrize("name", ["latent-diffusion", "tf-tutorial", "scvi", "vits", *BETA_TC])
def test_vae_loss_names_the_module_for_the_other_rows(name: str) -> None:
    x = torch.rand(2, 3)
    with pytest.raises(ValueError, match=rf"preset: got '{name}'.*ELBOLoss\(preset='{name}'\)"):
        fastvae.functional.vae_loss(x, x, x, x, preset=name)
