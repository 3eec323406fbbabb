"""What must hold for any input: hypothesis looks for one where it does not."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastvae.functional as F
from fastvae._options import PARAMETERIZATIONS, REDUCTIONS
from tests.support.ops import LOSSES
from tests.support.posteriors import scale_options, unit_scale

settings.register_profile("fastvae", deadline=None, max_examples=40, derandomize=True, database=None)
settings.load_profile("fastvae")

EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}
DTYPES = st.sampled_from([torch.float32, torch.float64])
SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)
WIDE = st.one_of(st.tuples(st.integers(1, 3), st.sampled_from([2047, 2048, 2049, 4100])), SHAPES)
FORMS = st.sampled_from(PARAMETERIZATIONS)
SEEDS = st.integers(0, 2**31 - 1)


def normal(shape, seed, dtype, spread=1.0):
    return (spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def raw_scale(form, shape, seed, dtype, spread=1.0):
    """Log-scales of any size; scales that are positive, or of either sign, within six orders of magnitude."""
    logs = normal(shape, seed + 1, torch.float64, spread)
    if form in ("std", "variance"):
        sign = normal(shape, seed + 2, torch.float64).sign() if form == "std" else 1.0
        return (sign * logs.clamp(-7, 7).exp()).to(dtype)
    return logs.to(dtype)


@given(SHAPES, FORMS, DTYPES, SEEDS, st.sampled_from([1e-6, 1e-2, 1.0, 10.0]), st.booleans())
def test_the_kl_is_never_negative(shape, form, dtype, seed, spread, learned):
    mu, raw = normal(shape, seed, dtype, spread), unit_scale(form) + raw_scale(form, shape, seed, dtype, spread)
    prior = None
    if learned:
        prior = mu + normal(shape, seed + 3, dtype, spread / 10), raw * (1 + 0.01 * min(spread, 1))
    kl = F.gaussian_kl(mu, raw, prior, parameterization=form, reduction="none")
    assert (kl >= 0).all()


@given(SHAPES, FORMS, st.sampled_from(["plain", "min_var", "clamp"]), DTYPES, SEEDS, st.sampled_from([1e-3, 1.0, 5.0]))
def test_the_kl_to_itself_is_0(shape, form, modifier, dtype, seed, spread):
    mu, raw = normal(shape, seed, dtype, spread), raw_scale(form, shape, seed, dtype, spread)
    kl = F.gaussian_kl(mu, raw, (mu, raw), **scale_options(form, modifier), reduction="none")
    assert torch.equal(kl, torch.zeros_like(kl))


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple), FORMS, SEEDS)
def test_the_kl_of_permuted_latents_is_permuted(shape, form, seed):
    mu, raw = normal(shape, seed, torch.float32), raw_scale(form, shape, seed, torch.float32)
    order = torch.randperm(shape[-1], generator=torch.Generator().manual_seed(seed))
    kl = F.gaussian_kl(mu, raw, parameterization=form, reduction="none")
    moved = F.gaussian_kl(mu[..., order], raw[..., order], parameterization=form, reduction="none")
    assert torch.equal(moved, kl[..., order])


@given(WIDE, FORMS, SEEDS)
def test_the_kl_has_no_preferred_sign_of_the_mean(shape, form, seed):
    mu, raw = normal(shape, seed, torch.float32), raw_scale(form, shape, seed, torch.float32)
    options = {"parameterization": form, "reduction": "sample"}
    assert torch.equal(F.gaussian_kl(mu, raw, **options), F.gaussian_kl(-mu, raw, **options))


@given(SHAPES, SEEDS, st.integers(-8, 8))
def test_the_kl_of_scaled_gaussians_is_the_same(shape, seed, power):
    """Both Gaussians scaled by 2^power: an exact change of units."""
    factor = 2.0**power
    mu, std = normal(shape, seed, torch.float64), raw_scale("std", shape, seed, torch.float64)
    prior = normal(shape, seed + 5, torch.float64), raw_scale("std", shape, seed + 5, torch.float64)
    options = {"parameterization": "std", "reduction": "none"}
    kl = F.gaussian_kl(mu, std, prior, **options)
    scaled = F.gaussian_kl(factor * mu, factor * std, (factor * prior[0], factor * prior[1]), **options)
    assert torch.equal(scaled, kl)


@given(SHAPES, SEEDS, st.integers(-8, 8))
def test_samples_scale_with_their_posterior(shape, seed, power):
    factor = 2.0**power
    mu, std = normal(shape, seed, torch.float32), raw_scale("std", shape, seed, torch.float32)
    z = F.reparameterize(mu, std, parameterization="std", seed=seed)
    assert torch.equal(F.reparameterize(factor * mu, factor * std, parameterization="std", seed=seed), factor * z)


@given(WIDE, st.sampled_from(LOSSES), st.integers(-8, 8), SEEDS)
def test_losses_are_linear_in_their_weight(shape, loss, power, seed):
    x, t = normal(shape, seed, torch.float32).sigmoid(), normal(shape, seed + 1, torch.float32).sigmoid()
    operands = (x, t, torch.zeros(1)) if loss == "gaussian_nll" else (x, t)
    weight = torch.full((1,), 2.0**power)
    plain, weighted = (getattr(F, loss)(*operands, weight=w, reduction="sum") for w in (None, weight))
    assert torch.equal(weighted, plain * 2.0**power)


@given(WIDE, st.sampled_from(LOSSES), SEEDS)
def test_a_mask_is_a_selection(shape, loss, seed):
    x, t = normal(shape, seed, torch.float64).sigmoid(), normal(shape, seed + 1, torch.float64).sigmoid()
    mask = normal(shape, seed + 2, torch.float64) > 0
    operands = (x, t, torch.full((1,), 0.3, dtype=torch.float64)) if loss == "gaussian_nll" else (x, t)
    masked = getattr(F, loss)(*operands, weight=mask, reduction="sum")
    kept = getattr(F, loss)(*operands, reduction="none")[mask].sum()
    torch.testing.assert_close(masked, kept, rtol=1e-11, atol=1e-11)


@given(WIDE, st.sampled_from(["mse_loss", "l1_loss"]), SEEDS)
def test_distances_are_symmetric_and_positive(shape, loss, seed):
    x, t = normal(shape, seed, torch.float32), normal(shape, seed + 1, torch.float32)
    forth, back = getattr(F, loss)(x, t, reduction="none"), getattr(F, loss)(t, x, reduction="none")
    assert torch.equal(forth, back)
    assert (forth >= 0).all()
    assert getattr(F, loss)(x, x, reduction="sum") == 0


@given(WIDE, SEEDS, st.sampled_from([0.1, 3.0, 30.0]))
def test_cross_entropy_is_never_below_its_targets_entropy(shape, seed, spread):
    x, t = normal(shape, seed, torch.float64, spread), normal(shape, seed + 1, torch.float64).sigmoid()
    least = F.binary_cross_entropy_with_logits(torch.logit(t), t, reduction="none")
    assert (F.binary_cross_entropy_with_logits(x, t, reduction="none") >= least - 1e-12).all()


@given(WIDE, FORMS, DTYPES, SEEDS, st.integers(1, 3))
def test_reductions_agree(shape, form, dtype, seed, batch_dims):
    batch_dims = min(batch_dims, len(shape))
    mu, raw = normal(shape, seed, dtype), raw_scale(form, shape, seed, dtype)
    found = {
        how: F.gaussian_kl(mu, raw, parameterization=form, reduction=how, batch_dims=batch_dims) for how in REDUCTIONS
    }
    whole, batch = found["none"].double(), math.prod(shape[:batch_dims])
    expected = {
        "sample": whole.reshape(*shape[:batch_dims], -1).sum(-1),
        "sum": whole.sum(),
        "mean": whole.mean(),
        "batchmean": whole.sum() / batch,
    }
    # Sixteen float32 accumulators a block of 2,048: 128 additions each, terms of one sign.
    tolerance = 64 * EPS[dtype]
    for how, value in expected.items():
        torch.testing.assert_close(found[how].double(), value, rtol=tolerance, atol=0)


@given(
    st.lists(st.integers(1, 6), min_size=2, max_size=4), st.data(), FORMS, SEEDS, st.booleans(),
    st.sampled_from([None, 1, 3]),
)  # fmt: skip
def test_packed_is_unpacked(shape, data, form, seed, interleaved, num_samples):
    dim = data.draw(st.integers(1, len(shape) - 1))
    mu, raw = normal(shape, seed, torch.float32), raw_scale(form, shape, seed, torch.float32)
    moments = torch.stack((mu, raw), dim + 1).flatten(dim, dim + 1) if interleaved else torch.cat((mu, raw), dim)
    options = {"parameterization": form, "seed": seed, "num_samples": num_samples, "reduction": "none"}
    moments, leaf_mu, leaf_raw = (value.requires_grad_() for value in (moments, mu, raw))
    z, kl = F.reparameterize_kl_packed(moments, dim=dim, interleaved=interleaved, **options)
    expected_z, expected_kl = F.reparameterize_kl(leaf_mu, leaf_raw, **options)
    assert torch.equal(z, expected_z)
    assert torch.equal(kl, expected_kl)
    (z.sum() + kl.sum()).backward()
    (expected_z.sum() + expected_kl.sum()).backward()
    pair = leaf_mu.grad, leaf_raw.grad
    packed = torch.stack(pair, dim + 1).flatten(dim, dim + 1) if interleaved else torch.cat(pair, dim)
    assert torch.equal(moments.grad, packed)


@given(st.integers(2, 40), st.sampled_from([1, 7, 300, 2049]), st.data(), FORMS, SEEDS)
def test_chunks_of_a_batch_change_nothing(batch, features, data, form, seed):
    """A sample's loss and gradient do not depend on what is in the batch with it: the same bits."""
    cut = data.draw(st.integers(1, batch - 1))
    shape = (batch, features)
    mu, raw = normal(shape, seed, torch.float32), raw_scale(form, shape, seed, torch.float32)
    eps, t = normal(shape, seed + 1, torch.float32), normal(shape, seed + 2, torch.float32)

    def run(rows):
        a, b = (value[rows].clone().requires_grad_() for value in (mu, raw))
        z, kl = F.reparameterize_kl(a, b, parameterization=form, eps=eps[rows], reduction="sample")
        nll = F.mse_loss(z, t[rows], reduction="sample")
        density = F.log_normal(z, a, b, parameterization=form)
        (kl + nll + density).sum().backward()
        return z, kl, nll, density, a.grad, b.grad

    pieces = zip(run(slice(0, cut)), run(slice(cut, batch)), strict=True)
    for whole, parts in zip(run(slice(0, batch)), pieces, strict=True):
        assert torch.equal(whole, torch.cat(parts))


@given(st.integers(1, 9), st.integers(1, 300), SEEDS, st.floats(-1e3, 1e3))
def test_the_bound_moves_with_its_weights(samples, batch, seed, offset):
    log_w = normal((samples, batch), seed, torch.float64, 3.0)
    bound = F.importance_weighted_bound(log_w)
    moved = F.importance_weighted_bound(log_w + offset)
    torch.testing.assert_close(moved, bound + offset, rtol=1e-12, atol=1e-12)
    assert (bound <= log_w.amax(0) + 1e-12).all()
    assert (bound >= log_w.mean(0) - 1e-12).all()  # Jensen
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(F.importance_weighted_bound(log_w[order]), bound, rtol=1e-14, atol=1e-14)


@given(SHAPES, FORMS, SEEDS)
def test_the_kl_is_the_mean_of_log_ratios(shape, form, seed):
    """log q(z) - log p(z) averages to the KL: within six standard errors of 4,000 samples."""
    mu, raw = normal(shape, seed, torch.float64), raw_scale(form, shape, seed, torch.float64, 0.5)
    z, kl = F.reparameterize_kl(mu, raw, parameterization=form, seed=seed, num_samples=4000, reduction="sum")
    mu, raw = mu.expand_as(z), raw.expand_as(z)
    log_ratio = F.log_normal(z, mu, raw, parameterization=form) - F.log_normal(z)
    error = log_ratio.std() / math.sqrt(len(z))
    assert abs(log_ratio.mean() - kl) < 6 * error
