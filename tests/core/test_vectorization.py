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

    Kl is 0 where there is none, 1 of a standard normal prior, 2 of a prior that is given.
    """

    kernel: str
    variant: str
    loops: int
    floor: int


# Floors are about four fifths of what there is with fused multiply-adds; without them there is more.
# What underflows comes twice: for values of a common size, and for any. A loss comes with a gradient and without, for a
# target of float32 and one of bytes.
HOT = [
    Hot("evaluate(_block)?<float, ", "BinaryCrossEntropyWithLogits<", loops=8, floor=18),
    Hot("evaluate(_block)?<float, ", "BinaryCrossEntropy[>,]", loops=4, floor=36),
    Hot("evaluate(_block)?<float, ", "MseLoss", loops=4, floor=2),
    Hot("evaluate(_block)?<float, ", "L1Loss", loops=2, floor=2),
    Hot("evaluate(_block)?<float, ", "GaussianNll", loops=3, floor=20),
    Hot("evaluate(_block)?<float, ", "GaussianNll", loops=4, floor=14),
    Hot(" differentiate<float, ", "BinaryCrossEntropyWithLogits<", loops=1, floor=16),
    Hot(" differentiate<float, ", "BinaryCrossEntropy>", loops=1, floor=39),
    Hot(" differentiate<float, ", "MseLoss", loops=1, floor=3),
    Hot(" differentiate<float, ", "GaussianNll", loops=1, floor=21),
    Hot("sigma_and_kl.*<float, ", r"LogForm<1, .*\(Kl\)0", loops=1, floor=16),
    Hot("sigma_and_kl.*<float, ", r"LogForm<1, .*\(Kl\)0", loops=2, floor=11),
    Hot("sigma_and_kl.*<float, ", r"LogForm<1, .*\(Kl\)1", loops=2, floor=20),
    Hot("sigma_and_kl.*<float, ", r"LogForm<1, .*\(Kl\)2", loops=2, floor=40),
    Hot("sigma_and_kl.*<float, ", r"SoftplusForm, \(Kl\)1", loops=1, floor=55),
    Hot("sigma_and_kl.*<float, ", r"LinearForm<VarianceBase, true>, \(Kl\)1", loops=1, floor=36),
    Hot("for_each_block<reparameterize_kl<float>", "", loops=1, floor=1),  # z
    # Without samples, with one and with several, of scales of a common size and of any.
    Hot("posterior_gradients.*<float, ", r"LogForm<1, .*\(Kl\)1", loops=6, floor=17),
    Hot("posterior_gradients.*<float, ", r"LogForm<1, .*\(Kl\)2", loops=6, floor=41),
    Hot("posterior_gradients.*<float, ", r"SoftplusForm, \(Kl\)1", loops=3, floor=31),
    Hot("Density<float, ", "LogForm<1, false> >::evaluate", loops=1, floor=16),
    Hot("Density<float, ", "LinearForm<VarianceBase, false> >::evaluate", loops=1, floor=20),
    Hot("Density<float, ", "LogForm<1, false> >::differentiate", loops=1, floor=17),
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
