"""DiagonalGaussian against torch.distributions and plain formulas."""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from fastvae import DiagonalGaussian

# Tens of float64 terms with a few roundings of 2.2e-16 each.
EXACT = {"rtol": 1e-12, "atol": 1e-13}

SIGMA = {
    "logvar": lambda raw: torch.exp(0.5 * raw),
    "log_std": torch.exp,
    "std": torch.abs,
    "softplus": torch.nn.functional.softplus,
    "variance": torch.sqrt,
}
FLOORS = [{}, {"min_var": 1e-2}, {"min_std": 1e-2}, {"clamp": (0.2, 0.6)}]
FORMS = [(name, options) for name in SIGMA for options in FLOORS if not (name == "std" and "min_std" in options)]


def sigma_of(raw: Tensor, name: str, options: dict) -> Tensor:
    if "clamp" in options:
        raw = raw.clamp(*options["clamp"])
    sigma = SIGMA[name](raw)
    if "min_var" in options:
        return (sigma.square() + options["min_var"]).sqrt()
    return sigma + options.get("min_std", 0.0)


def parameters(name: str = "logvar", shape: tuple[int, ...] = (4, 3), seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mu = torch.randn(shape, dtype=torch.float64, generator=generator)
    raw = torch.randn(shape, dtype=torch.float64, generator=generator)
    if name == "variance":
        raw = raw.exp()
    return mu.requires_grad_(), raw.requires_grad_()


def assert_same(ours: Tensor, theirs: Tensor, leaves: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    upstream = torch.linspace(0.5, 1.5, ours.numel(), dtype=torch.float64).reshape(ours.shape)
    got = torch.autograd.grad(ours, leaves, upstream, retain_graph=True, allow_unused=True, materialize_grads=True)
    expected = torch.autograd.grad(
        theirs, leaves, upstream, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("attribute", ["std", "stddev", "variance", "var", "logvar"])
@pytest.mark.parametrize(("name", "options"), FORMS)
def test_moments(name: str, options: dict, attribute: str) -> None:
    mu, raw = leaves = parameters(name)
    ours = getattr(DiagonalGaussian(mu, raw, parameterization=name, **options), attribute)
    sigma = sigma_of(raw, name, options)
    theirs = {"std": sigma, "stddev": sigma, "logvar": 2 * sigma.log()}.get(attribute, sigma.square())
    assert_same(ours, theirs, leaves)


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_densities(name: str, options: dict) -> None:
    mu, raw = leaves = parameters(name)
    ours = DiagonalGaussian(mu, raw, parameterization=name, **options)
    theirs = Normal(mu, sigma_of(raw, name, options))
    z = torch.randn(4, 3, dtype=torch.float64)
    assert_same(ours.log_prob(z), theirs.log_prob(z).sum(1), leaves)
    assert_same(ours.nll(z), -theirs.log_prob(z).sum(1), leaves)
    assert_same(ours.log_prob(z, reduction="none"), theirs.log_prob(z), leaves)
    assert_same(ours.entropy(), theirs.entropy().sum(1), leaves)


@pytest.mark.parametrize("reduction", ["none", "sample", "batchmean"])
@pytest.mark.parametrize(("name", "options"), FORMS)
def test_kl_to_the_standard_normal_and_to_a_learned_prior(name: str, options: dict, reduction: str) -> None:
    mu, raw = parameters(name)
    mu_p, raw_p = parameters(name, seed=1)
    reduce = {"none": lambda t: t, "sample": lambda t: t.sum(1), "batchmean": lambda t: t.sum() / 4}[reduction]
    ours = DiagonalGaussian(mu, raw, parameterization=name, **options)
    prior = DiagonalGaussian(mu_p, raw_p, parameterization=name, **options)
    q, p = (Normal(m, sigma_of(s, name, options)) for m, s in ((mu, raw), (mu_p, raw_p)))
    standard = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    assert_same(ours.kl(reduction=reduction), reduce(kl_divergence(q, standard)), (mu, raw))
    for given in (prior, (mu_p, raw_p)):
        assert_same(ours.kl(given, reduction=reduction), reduce(kl_divergence(q, p)), (mu, raw, mu_p, raw_p))


@pytest.mark.parametrize("packed", [False, True])
def test_priors_of_another_parameterization(packed: bool) -> None:
    mu, raw = parameters()
    mu_p, raw_p = parameters(seed=1)
    prior = DiagonalGaussian(mu_p, raw_p, parameterization="softplus", min_std=1e-3)
    sigma_p = sigma_of(raw_p, "softplus", {"min_std": 1e-3})
    if packed:
        ours = DiagonalGaussian.from_moments(torch.cat([mu, raw], 1), clamp=(-1.0, 1.0))
    else:
        ours = DiagonalGaussian(mu, raw, clamp=(-1.0, 1.0))
    sigma = sigma_of(raw, "logvar", {"clamp": (-1.0, 1.0)})
    expected = kl_divergence(Normal(mu, sigma), Normal(mu_p, sigma_p)).sum(1)
    leaves = (mu, raw, mu_p, raw_p)
    assert_same(ours.kl(prior), expected, leaves)
    eps = torch.randn(4, 3, dtype=torch.float64)
    z, kl = ours.rsample_kl(prior, eps=eps)
    assert_same(kl, expected, leaves)
    assert_same(z, mu + sigma * eps, leaves)
    assert_same(
        ours.log_ratio(z, prior), (Normal(mu, sigma).log_prob(z) - Normal(mu_p, sigma_p).log_prob(z)).sum(1), leaves
    )


@pytest.mark.parametrize("num_samples", [None, 1, 3])
@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize(("shape", "dim"), [((4, 6), 1), ((4, 6), -1), ((4, 6, 2, 2), 1), ((4, 2, 2, 2, 6), -1)])
def test_packed_moments_are_the_pair(
    shape: tuple[int, ...], dim: int, interleaved: bool, num_samples: int | None
) -> None:
    moments = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    packed = DiagonalGaussian.from_moments(moments, dim=dim, interleaved=interleaved)
    if interleaved:
        pairs = moments.unflatten(dim, (3, 2)).movedim(dim if dim < 0 else dim + 1, 0)
        mu, raw = pairs[0], pairs[1]
    else:
        mu, raw = moments.chunk(2, dim)
    assert torch.equal(packed.mu, mu)
    assert torch.equal(packed.scale, raw)
    pair = DiagonalGaussian(mu, raw)
    for ours, theirs in zip(
        packed.rsample_kl(seed=5, num_samples=num_samples),
        pair.rsample_kl(seed=5, num_samples=num_samples),
        strict=True,
    ):
        assert_same(ours, theirs, (moments,))
    assert torch.equal(packed.rsample(num_samples, seed=5), pair.rsample(num_samples, seed=5))


def test_samples_are_mu_plus_sigma_eps() -> None:
    mu, raw = leaves = parameters()
    eps = torch.randn(2, 4, 3, dtype=torch.float64)
    posterior = DiagonalGaussian(mu, raw)
    assert_same(posterior.rsample(2, eps=eps), mu + (0.5 * raw).exp() * eps, leaves)
    assert not posterior.sample(2, eps=eps).requires_grad
    assert torch.equal(posterior.sample(2, eps=eps), posterior.rsample(2, eps=eps))


def test_noise_sources() -> None:
    posterior = DiagonalGaussian(*parameters())
    assert torch.equal(posterior.sample(seed=1), posterior.sample(seed=1))
    assert not torch.equal(posterior.sample(seed=1), posterior.sample(seed=2))
    one, other = (posterior.sample(generator=torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one, other)
    torch.manual_seed(3)
    first = posterior.sample()
    assert not torch.equal(first, posterior.sample())
    torch.manual_seed(3)
    assert torch.equal(first, posterior.sample())


def test_several_samples_score_as_one_batch_each() -> None:
    mu, raw = leaves = parameters()
    posterior = DiagonalGaussian(mu, raw)
    z = torch.randn(5, 4, 3, dtype=torch.float64)
    assert_same(posterior.log_prob(z), Normal(mu, (0.5 * raw).exp()).log_prob(z).sum(2), leaves)
    standard = -0.5 * (z.square() + math.log(2 * math.pi)).sum(2)
    torch.testing.assert_close(posterior.log_prior(z), standard, **EXACT)
    assert_same(posterior.log_ratio(z), posterior.log_prob(z) - standard, leaves)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (4, 1)])
def test_a_broadcast_prior_pair(shape: tuple[int, ...]) -> None:
    mu, raw = parameters()
    mu_p, raw_p = parameters(shape=shape, seed=1)
    q, p = Normal(mu, (0.5 * raw).exp()), Normal(mu_p, (0.5 * raw_p).exp())
    posterior = DiagonalGaussian(mu, raw)
    assert_same(posterior.kl((mu_p, raw_p)), kl_divergence(q, p).sum(1), (mu, raw, mu_p, raw_p))
    z = torch.randn(5, 4, 3, dtype=torch.float64)
    assert_same(posterior.log_prior(z, (mu_p, raw_p)), p.log_prob(z).sum(2), (mu_p, raw_p))


@pytest.mark.parametrize("prior", ["standard", [torch.zeros(3), torch.zeros(3)]], ids=["a name", "a list"])
def test_what_is_no_prior_is_named(prior: object) -> None:
    posterior = DiagonalGaussian(*parameters())
    kind = type(prior).__name__
    with pytest.raises(TypeError, match=rf"^prior: got {kind}; takes a Gaussian, a pair \(mu_p, scale_p\), or"):
        posterior.log_prior(posterior.mu, prior)


def test_the_monte_carlo_kl_converges_to_the_analytic_one() -> None:
    posterior = DiagonalGaussian(*parameters())
    draws = posterior.log_ratio(posterior.sample(20_000, seed=0))
    error = draws.std(0) / math.sqrt(20_000)
    # 4 samples at 4.5 standard errors: fails by chance less than once in 30,000 seeds, and the seed is fixed.
    assert ((draws.mean(0) - posterior.kl()).abs() < 4.5 * error).all()


def test_mode_and_mean_are_mu() -> None:
    mu, raw = parameters()
    posterior = DiagonalGaussian(mu, raw)
    assert posterior.mode() is mu
    assert posterior.mean is mu


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_dtypes(dtype: torch.dtype) -> None:
    mu, raw = (tensor.detach().to(dtype) for tensor in parameters())
    posterior = DiagonalGaussian(mu, raw)
    assert posterior.std.dtype == posterior.rsample().dtype == dtype
    assert posterior.kl().dtype == posterior.entropy().dtype == torch.float32


def test_a_large_logvar_keeps_its_kl_finite_in_half_precision() -> None:
    mu = torch.zeros(2, 3, dtype=torch.float16)
    kl = DiagonalGaussian(mu, torch.full_like(mu, 20.0)).kl()
    torch.testing.assert_close(kl, torch.full((2,), 1.5 * (math.exp(20) - 21)), rtol=1e-6, atol=0)


def test_pickle_and_deepcopy() -> None:
    posterior = DiagonalGaussian.from_moments(torch.randn(4, 6), min_var=1e-3)
    for twin in (pickle.loads(pickle.dumps(posterior)), copy.deepcopy(posterior)):
        assert torch.equal(twin.kl(), posterior.kl())
        assert torch.equal(twin.rsample_kl(seed=1)[0], posterior.rsample_kl(seed=1)[0])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((torch.zeros(2, 3), torch.zeros(2, 4)), {}, ValueError, "scale: got shape"),
        ((torch.zeros(2, 3), torch.zeros(2, 3).double()), {}, TypeError, "scale: got dtype"),
        ((torch.zeros(2, 3), [0.0]), {}, TypeError, "scale: got list"),
        ((torch.zeros(2, 3),) * 2, {"parameterization": "sigma"}, ValueError, "parameterization: got 'sigma'"),
        ((torch.zeros(2, 3),) * 2, {"clamp": (1.0, 0.0)}, ValueError, "clamp: got"),
        ((torch.zeros(2, 3),) * 2, {"min_std": 0.1, "min_var": 0.1}, ValueError, "min_std, min_var: got"),
    ],
)
def test_mistakes_are_named(arguments: tuple, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DiagonalGaussian(*arguments, **options)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [((2, 5), {}, "moments: got size 5"), ((4,), {}, "moments: got shape"), ((2, 4), {"dim": 0}, "dim: got 0")],
)
def test_mistakes_in_moments_are_named(shape: tuple[int, ...], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiagonalGaussian.from_moments(torch.zeros(shape), **options)
