"""The noise contract: the same seed gives the same eps, bit for bit, on every implementation."""

import math

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import fastvae.functional as F
from fastvae import _C
from fastvae._options import PARAMETERIZATIONS
from fastvae.reference import noise
from tests.support.backends import BACKENDS, on
from tools import noise_vectors

SEEDS = (0, 1, -1, 2**63 - 1, -(2**63), 2**32, -(2**32), 0x243F6A8885A308D3 - 2**63, 123456789012345678)
LARGEST = 5.77


def cpp_normal(seed, count, start=0, threads=1):
    seeds, out = torch.tensor([seed]), torch.empty(count)
    _C.normal(seeds, start, out, threads)
    return out.numpy()


def eps(shape, seed, dtype=torch.float32, **options):
    """The noise the sampler itself uses: z where mu is 0 and sigma 1."""
    zeros = torch.zeros(shape, dtype=dtype)
    return F.reparameterize(zeros, zeros, seed=seed, **options)


def turns(word):
    """The angle of a word, of the 2^24 odd multiples of 2^-25 turns: bits 1 to 22 within a quarter, two reflections."""
    quarter = ((word >> 1 & 0x3FFFFF).astype(np.float64) + 0.5) * 2.0**-24 - 0.125
    return np.where(word & 0x40000000, 0.25 - quarter, quarter) + np.where(word & 0x80000000, 0.5, 0)


def same_bits(a, b):
    return np.array_equal(np.asarray(a).view(np.uint32), np.asarray(b).view(np.uint32))


PI_DIGITS = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)
ONES = (0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2
KNOWN = [  # Random123, kat_vectors: rounds, counter and key, words
    (7, ((0, 0, 0, 0), (0, 0)), (0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48)),
    (7, ONES, (0x5207DDC2, 0x45165E59, 0x4D8EE751, 0x8C52F662)),
    (7, PI_DIGITS, (0x4DFCCABA, 0x190A87F0, 0xC47362BA, 0xB6B5242A)),
    (10, ((0, 0, 0, 0), (0, 0)), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (10, ONES, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (10, PI_DIGITS, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@pytest.mark.parametrize(("rounds", "block", "words"), KNOWN)
def test_philox_known_answers(rounds, block, words):
    assert tuple(int(word) for word in noise.philox(*block, rounds)) == words


def test_the_contract_in_plain_arithmetic():
    """Philox's words become normals by Box-Muller, here with libm in float64: close, in the order of the contract."""
    seed, count = -987654321, 4096
    words = noise.words(seed, np.arange(count // 4, dtype=np.uint64))
    expected = []
    for radius, angle in (words[:2], words[2:]):
        r = np.sqrt(-2 * np.log((2 * (radius >> 9).astype(np.float64) + 1) * 2.0**-24))
        turn = 2 * np.pi * turns(angle)
        expected += [r * np.cos(turn), r * np.sin(turn)]
    np.testing.assert_allclose(cpp_normal(seed, count), np.stack(expected, -1).reshape(-1), rtol=4e-7, atol=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_cpp_is_numpy_bit_for_bit(seed):
    assert same_bits(cpp_normal(seed, 70_001), noise.normal(seed, 70_001))


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4, 63, 64, 2047, 2**31 - 2, 2**34 - 3, 2**34, 2**40 + 5, 2**62 + 1])
@pytest.mark.parametrize("count", [1, 3, 130])
def test_any_stretch_of_the_stream(start, count):
    assert same_bits(cpp_normal(-5, count, start), noise.normal(-5, count, start))


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_nothing(threads):
    assert same_bits(cpp_normal(9, 100_003, threads=threads), noise.normal(9, 100_003))


SHAPES = [(1,), (5,), (2047,), (2048,), (2049,), (3, 2047), (2, 2049), (5, 3, 7, 2), (70, 50), (4, 4100), (2048, 1)]
# Groups of four elements begin rows, straddle them, or are all there is.
SHAPES += [(2,), (4,), (3, 1), (4, 20), (3, 21), (2, 4, 8, 8)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("num_samples", [None, 1, 3])
@pytest.mark.usefixtures("kernels")
def test_the_sampler_uses_the_logical_index(shape, num_samples):
    z = eps(shape, 77, num_samples=num_samples)
    assert same_bits(z.reshape(-1), noise.normal(77, z.numel()))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("kernels")
def test_the_sampler_takes_any_seed(seed):
    assert same_bits(eps((6, 36), seed).reshape(-1), noise.normal(seed, 216))


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.usefixtures("kernels")
def test_backward_regenerates_the_same_noise(parameterization):
    """With z = mu + sigma eps and a linear sigma, the gradient of z by the scale is eps itself."""
    mu = torch.zeros(33, 70)
    one = {"logvar": 0.0, "log_std": 0.0, "std": 1.0, "softplus": 60.0, "variance": 1.0}[parameterization]
    slope = {"logvar": 0.5, "log_std": 1.0, "std": 1.0, "softplus": 1.0, "variance": 0.5}[parameterization]
    raw = torch.full_like(mu, one).requires_grad_()
    F.reparameterize(mu, raw, parameterization=parameterization, seed=3).sum().backward()
    assert same_bits(raw.grad.reshape(-1), noise.normal(3, mu.numel()) * np.float32(slope))


@pytest.mark.usefixtures("kernels")
def test_gradients_of_several_samples_sum_their_noise():
    raw = torch.ones(50, 41, dtype=torch.float64).requires_grad_()
    z = F.reparameterize(torch.zeros_like(raw), raw, parameterization="std", seed=3, num_samples=4)
    z.sum().backward()
    expected = noise.normal(3, 4 * raw.numel()).astype(np.float64).reshape(4, *raw.shape).sum(0)
    np.testing.assert_allclose(raw.grad.numpy(), expected, rtol=0, atol=1e-14)


LAYOUTS = {
    "transposed": lambda: torch.zeros(40, 30).t(),
    "sliced": lambda: torch.zeros(60, 50)[::2, 3:43],
    "expanded": lambda: torch.zeros(1, 40).expand(30, 40),
    "channels_last": lambda: torch.zeros(2, 3, 20, 10).contiguous(memory_format=torch.channels_last),
    "permuted": lambda: torch.zeros(4, 5, 6, 7).permute(2, 0, 3, 1),
}


@pytest.mark.parametrize("num_samples", [None, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("kernels")
def test_strides_change_no_noise(layout, num_samples):
    mu = LAYOUTS[layout]()
    z = F.reparameterize(mu, mu, seed=5, num_samples=num_samples)
    assert same_bits(z.contiguous().reshape(-1), noise.normal(5, z.numel()))


@pytest.mark.usefixtures("kernels")
def test_float64_gets_the_float32_noise_exactly():
    z = eps((9, 500), 21, torch.float64)
    assert np.array_equal(z.numpy().reshape(-1), noise.normal(21, 4500).astype(np.float64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_rounds_the_same_noise_once(dtype, kernels):
    expected = torch.from_numpy(noise.normal(21, 4500)).to(dtype)
    # Triton's interpreter truncates to bfloat16 where a device rounds.
    unit = torch.finfo(dtype).eps if kernels == "triton" and dtype == torch.bfloat16 else 0.0
    torch.testing.assert_close(eps((9, 500), 21, dtype).flatten(), expected, rtol=unit, atol=0)


@pytest.mark.usefixtures("kernels")
def test_chunks_of_a_batch_are_not_the_batch():
    """The index is that of the call: equal shapes under one seed repeat, longer ones continue."""
    assert torch.equal(eps((10, 8), 1)[:4], eps((4, 8), 1))


@pytest.mark.parametrize("parameterization", ["logvar", "std"])
def test_every_backend_draws_the_same_samples(parameterization):
    mu, scale = torch.randn(2, 40, 50, generator=torch.Generator().manual_seed(2))
    samples, states = [], []
    for backend in BACKENDS:
        torch.manual_seed(11)
        with on(backend):
            samples.append(F.reparameterize(mu, scale, parameterization=parameterization))
            F.reparameterize_kl(mu, scale)
        states.append(torch.get_rng_state())
    for sample, state in zip(samples, states, strict=True):
        torch.testing.assert_close(sample, samples[0], rtol=3e-7, atol=3e-7)
        assert torch.equal(state, states[0])


@pytest.mark.usefixtures("kernels")
def test_manual_seed_reproduces_and_calls_differ():
    zeros = torch.zeros(4, 5)
    torch.manual_seed(1)
    first, second = F.reparameterize(zeros, zeros), F.reparameterize(zeros, zeros)
    torch.manual_seed(1)
    assert torch.equal(first, F.reparameterize(zeros, zeros))
    assert torch.equal(second, F.reparameterize_kl(zeros, zeros)[0])
    assert not torch.equal(first, second)


@pytest.mark.usefixtures("backend")
def test_a_generator_of_ones_own():
    zeros, generator = torch.zeros(4, 5), torch.Generator()
    state = torch.get_rng_state()
    draws = [F.reparameterize(zeros, zeros, generator=generator.manual_seed(6)) for _ in range(2)]
    third = F.reparameterize(zeros, zeros, generator=generator)
    assert torch.equal(*draws)
    assert not torch.equal(draws[0], third)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("options", [{"seed": 3}, {"eps": torch.ones(4, 5)}], ids=["seed", "eps"])
@pytest.mark.usefixtures("backend")
def test_a_given_source_leaves_the_generator_alone(options):
    state, zeros = torch.get_rng_state(), torch.zeros(4, 5)
    F.reparameterize(zeros, zeros, **options)
    F.gaussian_kl(zeros, zeros)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_tensor_is_its_int(seed):
    expected = eps((6, 7), seed)
    for tensor in (torch.tensor(seed), torch.tensor([seed]), torch.tensor([[seed]])):
        assert torch.equal(eps((6, 7), tensor), expected)


def test_a_seed_tensor_changed_after_the_forward_pass_is_noticed():
    seed, mu = torch.tensor([4]), torch.zeros(3, 2, requires_grad=True)
    z = F.reparameterize(mu, torch.zeros(3, 2, requires_grad=True), seed=seed)
    seed.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing_recomputes_the_same_noise(reentrant):
    mu, scale = torch.zeros(8, 9, requires_grad=True), torch.zeros(8, 9, requires_grad=True)

    def block(mu, scale):
        z = F.reparameterize(mu, scale)
        return z * z.detach()

    torch.manual_seed(0)
    out = checkpoint(block, mu, scale, use_reentrant=reentrant)
    out.sum().backward()
    torch.manual_seed(0)
    z = F.reparameterize(torch.zeros(8, 9), torch.zeros(8, 9))
    torch.testing.assert_close(mu.grad, z)
    torch.testing.assert_close(scale.grad, 0.5 * z * z)


def test_the_largest_normal_is_known():
    """The radius of the extreme words: 0 gives sqrt(-2 ln 2^-24), all ones the smallest."""
    words = np.array([0, 0x1FF, 0x200, 0xFFFFFFFF], dtype=np.uint32)
    radius = np.sqrt(noise.minus_two_log(words))
    assert radius[0] == radius[1] == pytest.approx(math.sqrt(48 * math.log(2)), rel=1e-6)
    assert 5.76 < radius[0] < LARGEST
    assert radius[2] < radius[0]
    assert radius[3] == pytest.approx(math.sqrt(2.0**-23), rel=1e-6)


def test_angles_come_in_mirror_images():
    """Every odd moment, and every correlation of a pair, is then exactly 0 over all words."""
    words = np.random.default_rng(0).integers(0, 2**32, 10_000, dtype=np.uint32)
    radius = words[::-1]
    first, second = noise.pair(radius, words)
    for changed, expected in (
        (words ^ np.uint32(1 << 31), (-first, -second)),
        (words ^ np.uint32(1 << 30), (second, first)),
        (words ^ np.uint32(0x007FFFFE), np.where(words & 0x40000000, (-first, second), (first, -second))),
        (words ^ np.uint32(0x3F800001), (first, second)),  # of no effect
    ):
        assert same_bits(noise.pair(radius, changed), expected)


def test_angles_are_evenly_spaced():
    words = np.arange(0, 2**32, 2**21 + 2, dtype=np.uint32)
    assert same_bits(turns(words) * 2**25 % 2, np.ones(words.size))
    assert turns(words).min() < -0.12
    assert turns(words).max() > 0.87


def test_the_values_in_the_documentation():
    """If not: python -m tools.noise_vectors, and a line in CHANGELOG.md that every seed gives other noise."""
    text = noise_vectors.PAGE.read_text()
    assert noise_vectors.page(text) == text
    for seed, start in noise_vectors.STREAMS:
        assert same_bits(cpp_normal(seed, 4, start), noise.normal(seed, 4, start))
    for seed, (samples, *shape), shard in noise_vectors.SHARDS:
        found = eps(shape, seed, num_samples=samples, shard=shard)
        firsts = " ".join(noise_vectors._hexadecimal(one.flatten()[0]) for one in found)
        assert f"`{firsts}`" in text
