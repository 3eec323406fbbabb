"""The hot loops are vectorised in every instruction-set unit: by what the compiler wrote, not by the clock.

One innocent edit can make a loop scalar, and twenty times slower, while every other test passes.
"""

from __future__ import annotations

import platform
import re
import shutil
from functools import cache
from typing import NamedTuple

import pytest

from tests.core.assembly import INSTRUCTIONS, Function, functions_of

TOOLS = [tool for tool in ("cmake", "c++filt") if not shutil.which(tool)] + (
    [] if shutil.which("make") or shutil.which("ninja") else ["make or ninja"]
)
pytestmark = [
    pytest.mark.minutes(3),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 assembly"),
    pytest.mark.slow,
    pytest.mark.skipif(bool(TOOLS), reason=f"needs {', '.join(TOOLS)}"),
]

ASSEMBLY = cache(functions_of)


class Hot(NamedTuple):
    """A kernel and its variant, as their names contain them, and `loops` of at least `floor` packed instructions each.

    Of the two names in Has<>, the first says whether there is a KL, the second whether there is a prior.
    """

    kernel: str
    variant: str
    loops: int
    floor: int


# Floors are about four fifths of what there is with fused multiply-adds; without them there is more.
# What underflows comes twice: for values of a common size, and for any. A loss comes with a gradient and without, for a
# target of float32 and one of bytes.
HOT = [
    Hot("reconstruction<float>", "<BinaryCrossEntropyWithLogits<false> >", loops=8, floor=18),
    Hot("reconstruction<float>", "<BinaryCrossEntropy>", loops=2, floor=36),
    Hot("reconstruction<float>", "<MseLoss>", loops=2, floor=2),
    Hot("reconstruction<float>", "<L1Loss>", loops=1, floor=2),
    Hot("reconstruction<float>", "<GaussianNll>", loops=2, floor=20),
    Hot("reconstruction_backward<float>", "<BinaryCrossEntropyWithLogits<false> >", loops=1, floor=16),
    Hot("reconstruction_backward<float>", "<BinaryCrossEntropy>", loops=1, floor=39),
    Hot("reconstruction_backward<float>", "<MseLoss>", loops=1, floor=3),
    Hot("reconstruction_backward<float>", "<GaussianNll>", loops=1, floor=21),
    Hot("reparameterize_kl<float>", "<LogForm<1, false> >.*<Has<false>, Has<false> >", loops=1, floor=16),
    Hot("reparameterize_kl<float>", "<LogForm<1, false> >.*<Has<true>, Has<false> >", loops=2, floor=20),
    Hot("reparameterize_kl<float>", "<LogForm<1, false> >.*<Has<true>, Has<true> >", loops=2, floor=40),
    Hot("reparameterize_kl<float>", "<LogForm<1, false> >.*<Has<true>, Has<true> >", loops=3, floor=1),
    Hot("reparameterize_kl<float>", "<SoftplusForm>.*<Has<true>, Has<false> >", loops=1, floor=55),
    Hot("reparameterize_kl<float>", "<LinearForm<VarianceBase, true> >.*<Has<true>, Has<false> >", loops=1, floor=36),
    # Without samples, with one and with several, of scales of a common size and of any.
    Hot("reparameterize_kl_backward<float>", "<LogForm<1, false> >.*<Has<true>, Has<false> >", loops=6, floor=17),
    # The sixth may become a function of its own, which the last test here sees.
    Hot("reparameterize_kl_backward<float>", "<LogForm<1, false> >.*<Has<true>, Has<true> >", loops=5, floor=32),
    Hot("reparameterize_kl_backward<float>", "<SoftplusForm>.*<Has<true>, Has<f", loops=2, floor=31),
    Hot("log_normal<float>", "<LogForm<1, false> >", loops=1, floor=16),
    Hot("log_normal<float>", "<LinearForm<VarianceBase, false> >", loops=1, floor=20),
    Hot("(?:log_normal_backward<float>|density_gradients<float)", "LogForm<1, false> >", loops=1, floor=17),
    Hot("add_level<., float>", "", loops=3, floor=66),  # of a channel of a mixture
    Hot("mixture_of<float>", "", loops=1, floor=15),  # densities of a dimension, their sum and exponents
    Hot("add_tile<float>", "", loops=1, floor=17),  # their gradients
    Hot("add_tile<float>", "", loops=2, floor=10),  # the weights of all dimensions together
    # Of counts and of zeros, with gradients; with zero inflation and without; of means and of their logarithms.
    Hot("evaluate_counts<", ", false, true, float>", loops=2, floor=118),
    Hot("(?:evaluate_zeros<.*float>|evaluate<.*(?:Chunk<float>|NegativeBinomialNll))", "", loops=2, floor=76),
    Hot("(?:evaluate_zeros<.*float>|evaluate<.*(?:Chunk<float>|NegativeBinomialNll))", "", loops=5, floor=20),
    Hot("importance_weighted_bound<float>", "", loops=2, floor=12),  # exponentials, logarithms
    Hot("importance_weighted_bound_backward<float>", "", loops=2, floor=12),  # exponentials, twice
]


def matching(functions: list[Function], pattern: str) -> list[Function]:
    found = [each for each in functions if each.packed + each.scalar and re.search(pattern, each.name)]
    assert found, f"nothing is called {pattern}: name what took its place"
    return found


@pytest.mark.parametrize("unit", INSTRUCTIONS)
@pytest.mark.parametrize("hot", HOT, ids=lambda hot: f"{hot.kernel}{hot.variant}-{hot.floor}")
def test_a_hot_loop_fills_the_registers(hot: Hot, unit: str) -> None:
    pattern = f"{hot.kernel}.*{hot.variant}"
    loops = [size for function in matching(ASSEMBLY(unit), pattern) for size in function.loops]
    assert sum(size >= hot.floor for size in loops) >= hot.loops, loops


@pytest.mark.parametrize("unit", INSTRUCTIONS)
def test_the_noise_fills_the_registers(unit: str) -> None:
    """Box-Muller is a loop; of Philox, which is written in intrinsics or unrolled, the products count."""
    (noise,) = matching(ASSEMBLY(unit), r"fill_normal<float>\(")
    # Where there is no fused multiply-add it takes float64, which is not counted; rounds are not unrolled there.
    arithmetic, products = (8, 13) if unit == "default" else (19, 20)
    assert any(size >= arithmetic for size in noise.loops)
    assert noise.products >= products
    assert noise.scalar == 0


@pytest.mark.parametrize("unit", INSTRUCTIONS)
def test_nothing_else_is_scalar(unit: str) -> None:
    """Scalar is what is left over after whole registers, once or, unrolled, up to nine times; float64 is not asked."""
    single = [function for function in ASSEMBLY(unit) if "double" not in function.name]
    scalar = {function.name for function in single if function.scalar > max(30, 10 * function.packed)}
    assert not scalar
