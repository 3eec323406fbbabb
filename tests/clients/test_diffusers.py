"""diffusers' AutoencoderKL with our posterior, against its own."""

from __future__ import annotations

import pytest
import torch

from bench.clients import example
from tests.clients.packages import client, no_worse

pytestmark = pytest.mark.filterwarnings("ignore")
SHAPES = {"images": (2, 8, 5, 6), "videos": (2, 8, 3, 5, 6)}


@pytest.fixture
def posteriors():
    """(theirs, ours): classes that take the moments."""
    theirs = client("diffusers.models.autoencoders.vae").DiagonalGaussianDistribution
    ours = example("diffusers_autoencoder").Posterior
    return theirs, lambda moments: ours.from_moments(moments, clamp=(-30.0, 20.0))


def moments(shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    drawn = 3 * torch.randn(shape, generator=generator)
    drawn.view(-1)[:4] = torch.tensor([40.0, -40.0, 19.9, -29.9])
    drawn[:, shape[1] // 2, ..., 0] = torch.linspace(-50, 25, drawn[:, 0, ..., 0].numel()).view(
        drawn[:, 0, ..., 0].shape
    )
    return drawn.to(dtype).requires_grad_()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_both_have_is_the_same(shape, posteriors):
    theirs, ours = posteriors
    exact, own, mine = theirs(moments(shape).double()), theirs(moments(shape)), ours(moments(shape))
    for name in ("mean", "std", "var", "logvar"):
        no_worse(getattr(mine, name), getattr(own, name), getattr(exact, name))
    assert torch.equal(mine.mode(), own.mode())
    z = torch.randn(mine.mean.shape, generator=torch.Generator().manual_seed(1))
    # Of videos diffusers sums over three dimensions, whatever there is: the rest is left to sum.
    rest = list(range(1, len(shape) - 3))
    for found, other, value in (
        (mine.kl(), own.kl(), exact.kl()),
        (mine.nll(z), own.nll(z), exact.nll(z.double())),
        (
            mine.kl(ours(moments(shape) + 0.1)),
            own.kl(theirs(moments(shape) + 0.1)),
            exact.kl(theirs(moments(shape).double() + 0.1)),
        ),
    ):
        no_worse(found, other.sum(rest) if rest else other, value.sum(rest) if rest else value)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_gradient_of_the_kl(shape, posteriors):
    theirs, ours = posteriors
    leaves = [moments(shape, torch.float64), moments(shape), moments(shape)]
    for posterior, leaf in zip((theirs, theirs, ours), leaves, strict=True):
        posterior(leaf).kl().sum().backward()
    exact, own, mine = (leaf.grad for leaf in leaves)
    no_worse(mine, own, exact)


def test_a_sample_is_differentiated(posteriors):
    _, ours = posteriors
    leaf = moments(SHAPES["images"])
    generator = torch.Generator().manual_seed(0)
    z = ours(leaf).sample(generator=generator)
    assert z.shape == (2, 4, 5, 6)
    z.sum().backward()
    assert torch.all(leaf.grad[:, :4] == 1)
    assert torch.equal(z, ours(leaf).sample(generator=generator.manual_seed(0)))


def test_the_model():
    client("diffusers")
    module = example("diffusers_autoencoder")
    settings = {"block_out_channels": (8,), "norm_num_groups": 4, "latent_channels": 4}
    own, mine = module.AutoencoderKL(**settings), module.FusedAutoencoderKL(**settings)
    mine.load_state_dict(own.state_dict())
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mine(x).sample, own(x).sample)
    mine(x, sample_posterior=True, generator=torch.Generator().manual_seed(0)).sample.sum().backward()
    assert all(parameter.grad is not None for parameter in mine.parameters())
    (posterior,) = mine.encode(x, return_dict=False)
    assert isinstance(posterior, module.Posterior)
