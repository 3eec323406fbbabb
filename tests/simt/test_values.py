"""Each instruction that computes a value, with answers known from the PTX ISA or from Python's integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.simt.approximate import APPROXIMATE, Approximations
from tests.simt.kernels import evaluate

INF, NAN = math.inf, math.nan


def _array(dtype: str, *values: Any) -> np.ndarray:
    """Of a type of PTX, or of a half by its bits."""
    if dtype.startswith("b"):
        return np.array([value % 2 ** int(dtype[1:]) for value in values], f"u{int(dtype[1:]) // 8}")
    return np.array(values, {"s": "i", "u": "u", "f": "f"}[dtype[0]] + str(int(dtype[1:]) // 8))


# The instruction, its operands as (type, values...), the type of the result and its values.
CASES: list[tuple[str, list[tuple[Any, ...]], str, list[Any]]] = [
    ("add.s32 {d}, {0}, {1};", [("s32", 2**31 - 1, -5), ("s32", 1, 2)], "s32", [-(2**31), -3]),
    ("add.s32 {d}, {0}, -7;", [("s32", 3, 9)], "s32", [-4, 2]),
    ("sub.s64 {d}, {0}, {1};", [("s64", -(2**40),), ("s64", 5)], "s64", [-(2**40) - 5]),
    ("mul.lo.s32 {d}, {0}, {1};", [("s32", 2**20, -3), ("s32", 2**20, 7)], "s32", [0, -21]),
    ("mul.lo.s64 {d}, {0}, {1};", [("s64", 2**33), ("s64", -3)], "s64", [-3 * 2**33]),
    ("mul.hi.u32 {d}, {0}, {1};", [("u32", 2**32 - 1, 2**16), ("u32", 2**32 - 1, 2**17)], "u32", [2**32 - 2, 2]),
    ("mul.hi.s32 {d}, {0}, {1};", [("s32", -1, -(2**31)), ("s32", 5, 4)], "s32", [-1, -2]),
    ("mul.hi.u64 {d}, {0}, {1};", [("u64", 2**64 - 1, 2**40), ("u64", 2**64 - 1, 2**30)], "u64", [2**64 - 2, 64]),
    ("mul.wide.s32 {d}, {0}, {1};", [("s32", -(2**31), 7), ("s32", 2, -9)], "s64", [-(2**32), -63]),
    ("mul.wide.u32 {d}, {0}, {1};", [("u32", 2**32 - 1), ("u32", 16)], "u64", [(2**32 - 1) * 16]),
    ("mad.lo.s32 {d}, {0}, {1}, {2};", [("s32", 7), ("s32", -3), ("s32", 5)], "s32", [-16]),
    ("mad.lo.s64 {d}, {0}, {1}, {2};", [("s64", 2**35), ("s64", 3), ("s64", -1)], "s64", [3 * 2**35 - 1]),
    ("mad.wide.s32 {d}, {0}, {1}, {2};", [("s32", -5), ("s32", 4), ("s64", 2**40)], "s64", [2**40 - 20]),
    ("mad.wide.u32 {d}, {0}, 4, {1};", [("u32", 2**31), ("u64", 1)], "u64", [2**33 + 1]),
    ("mad.hi.u32 {d}, {0}, {1}, {2};", [("u32", 2**31), ("u32", 6), ("u32", 5)], "u32", [8]),
    ("div.s32 {d}, {0}, {1};", [("s32", -7, 7, -7), ("s32", 2, -2, -2)], "s32", [-3, -3, 3]),
    ("div.u32 {d}, {0}, {1};", [("u32", 2**32 - 1), ("u32", 2)], "u32", [2**31 - 1]),
    ("div.s64 {d}, {0}, {1};", [("s64", -(2**40) - 1), ("s64", 2)], "s64", [-(2**39)]),
    ("rem.s32 {d}, {0}, {1};", [("s32", -7, 7), ("s32", 3, -3)], "s32", [-1, 1]),
    ("rem.s32 {d}, 1, {0};", [("s32", 1, 4)], "s32", [0, 1]),
    ("min.s64 {d}, {0}, {1};", [("s64", -3, 4), ("s64", 2, 9)], "s64", [-3, 4]),
    ("max.u32 {d}, {0}, {1};", [("u32", 2**32 - 1), ("u32", 1)], "u32", [2**32 - 1]),
    ("neg.s32 {d}, {0};", [("s32", 5, -(2**31))], "s32", [-5, -(2**31)]),
    ("abs.s32 {d}, {0};", [("s32", -5, 5)], "s32", [5, 5]),
    ("and.b32 {d}, {0}, {1};", [("b32", 0xF0F0), ("b32", 0xFF00)], "b32", [0xF000]),
    ("xor.b64 {d}, {0}, {1};", [("b64", 2**63 + 1), ("b64", 1)], "b64", [2**63]),
    ("not.b32 {d}, {0};", [("b32", 0)], "b32", [2**32 - 1]),
    ("shl.b32 {d}, {0}, {1};", [("b32", 3, 3, 3), ("u32", 4, 31, 32)], "b32", [48, 2**31, 0]),
    ("shr.u32 {d}, {0}, {1};", [("u32", 2**31, 2**31), ("u32", 31, 40)], "u32", [1, 0]),
    ("shr.s32 {d}, {0}, {1};", [("s32", -8, -8, 8), ("u32", 1, 40, 40)], "s32", [-4, -1, 0]),
    ("shl.b64 {d}, {0}, 32;", [("b64", 5)], "b64", [5 * 2**32]),
    ("bfe.u32 {d}, {0}, 4, 8;", [("u32", 0xABCD)], "u32", [0xBC]),
    ("bfe.s32 {d}, {0}, 4, 1;", [("s32", 0x10, 0xEF)], "s32", [-1, 0]),
    ("bfe.u32 {d}, {0}, 28, 8;", [("u32", 0xF0000000)], "u32", [0xF]),
    ("bfe.s32 {d}, {0}, 28, 8;", [("s32", -(2**31))], "s32", [-8]),
    ("bfe.u32 {d}, {0}, 3, 0;", [("u32", 0xFFFF)], "u32", [0]),
    ("bfe.s64 {d}, {0}, 23, 9;", [("s64", 0x80000000)], "s64", [-256]),
    ("bfi.b32 {d}, {0}, {1}, 8, 4;", [("b32", 0xFF), ("b32", 0)], "b32", [0xF00]),
    ("prmt.b32 {d}, {0}, {1}, 0x7510;", [("b32", 0x33221100), ("b32", 0x77665544)], "b32", [0x77551100]),
    ("prmt.b32 {d}, {0}, 0, 0x7770U;", [("b32", 0x33221199)], "b32", [0x99]),
    ("prmt.b32 {d}, {0}, 0, 0x8888;", [("b32", 0x80)], "b32", [0xFFFFFFFF]),
    ("shf.l.wrap.b32 {d}, {0}, {1}, 8;", [("b32", 0xAB000000), ("b32", 0x12)], "b32", [0x12AB]),
    ("shf.r.clamp.b32 {d}, {0}, {1}, 40;", [("b32", 1), ("b32", 0x77)], "b32", [0x77]),
    ("lop3.b32 {d}, {0}, {1}, {2}, 0x96;", [("b32", 0b1100), ("b32", 0b1010), ("b32", 0b1111)], "b32", [0b1001]),
    ("popc.b32 {d}, {0};", [("b32", 0xF0F)], "u32", [8]),
    ("clz.b32 {d}, {0};", [("b32", 1, 0, 2**31)], "u32", [31, 32, 0]),
    ("brev.b32 {d}, {0};", [("b32", 1, 6)], "b32", [2**31, 6 << 28]),
    ("add.rn.f32 {d}, {0}, 0fBF800000;", [("f32", 1 + 2.0**-23, NAN)], "f32", [2.0**-23, NAN]),
    ("add.f32 {d}, {0}, {1};", [("f32", 1.0, INF), ("f32", 2.0**-24, -INF)], "f32", [1.0, NAN]),
    ("mul.rn.f64 {d}, {0}, 0d3FE0000000000000;", [("f64", 3.0)], "f64", [1.5]),
    ("fma.rn.f32 {d}, {0}, {0}, {1};", [("f32", 1 + 2.0**-12), ("f32", -1 - 2.0**-11)], "f32", [2.0**-24]),
    ("fma.rn.f64 {d}, {0}, {0}, {1};", [("f64", 1 + 2.0**-30), ("f64", -1 - 2.0**-29)], "f64", [2.0**-60]),
    ("mul.f32 {d}, {0}, {1};", [("f32", 2.0**-100), ("f32", 2.0**-40)], "f32", [2.0**-140]),
    ("mul.ftz.f32 {d}, {0}, {1};", [("f32", 2.0**-100), ("f32", -(2.0**-40))], "f32", [-0.0]),
    ("div.rn.f32 {d}, {0}, {1};", [("f32", 1.0, 1.0), ("f32", 3.0, 0.0)], "f32", [np.float32(1) / np.float32(3), INF]),
    ("sqrt.rn.f32 {d}, {0};", [("f32", 2.0, -1.0)], "f32", [np.sqrt(np.float32(2)), NAN]),
    ("max.f32 {d}, {0}, {1};", [("f32", NAN, 1, -0.0), ("f32", 2, NAN, 0.0)], "f32", [2, 1, 0.0]),
    ("min.f32 {d}, {0}, {1};", [("f32", NAN, 1, 0.0), ("f32", 2, 3, -0.0)], "f32", [2, 1, -0.0]),
    ("max.NaN.f32 {d}, {0}, {1};", [("f32", NAN, 1), ("f32", 2, 3)], "f32", [NAN, 3]),
    ("abs.f32 {d}, {0};", [("f32", -0.0, -3)], "f32", [0.0, 3]),
    ("neg.f64 {d}, {0};", [("f64", 0.0)], "f64", [-0.0]),
    ("copysign.f32 {d}, {0}, {1};", [("f32", -1.0), ("f32", 3.0)], "f32", [-3.0]),
    ("cvt.rn.f32.s32 {d}, {0};", [("s32", 2**24 + 1, -(2**31))], "f32", [2.0**24, -(2.0**31)]),
    ("cvt.rn.f32.u64 {d}, {0};", [("u64", 2**63 + 2**39)], "f32", [2.0**63]),
    ("cvt.rzi.s32.f32 {d}, {0};", [("f32", -1.7, 3e10, NAN)], "s32", [-1, 2**31 - 1, 0]),
    ("cvt.rni.s32.f32 {d}, {0};", [("f32", 2.5, 3.5)], "s32", [2, 4]),
    ("cvt.rmi.f32.f32 {d}, {0};", [("f32", -1.5)], "f32", [-2.0]),
    ("cvt.f64.f32 {d}, {0};", [("f32", 0.1)], "f64", [float(np.float32(0.1))]),
    ("cvt.rn.f32.f64 {d}, {0};", [("f64", 1 + 2.0**-24, 1 + 3 * 2.0**-24)], "f32", [1.0, 1 + 2.0**-22]),
    ("cvt.rz.f32.f64 {d}, {0};", [("f64", 1 + 1.9 * 2.0**-23, -1 - 2.0**-24)], "f32", [1 + 2.0**-23, -1.0]),
    ("cvt.rp.f32.f64 {d}, {0};", [("f64", 1 + 2.0**-40)], "f32", [1 + 2.0**-23]),
    ("cvt.s64.s32 {d}, {0};", [("s32", -5)], "s64", [-5]),
    ("cvt.u64.u32 {d}, {0};", [("u32", 2**32 - 1)], "u64", [2**32 - 1]),
    ("cvt.u32.u64 {d}, {0};", [("u64", 2**40 + 7)], "u32", [7]),
    ("cvt.rn.f32.u16 {d}, {0};", [("u16", 65535)], "f32", [65535.0]),
    ("cvt.rn.bf16.f32 {d}, {0};", [("f32", 1 + 2.0**-8, 1 + 3 * 2.0**-8)], "b16", [0x3F80, 0x3F82]),
    ("cvt.rn.bf16x2.f32 {d}, {0}, {1};", [("f32", 1.0), ("f32", -2.0)], "b32", [0x3F80C000]),
    ("cvt.rn.f16x2.f32 {d}, {0}, {1};", [("f32", 1.0), ("f32", 1e6)], "b32", [0x3C007C00]),
    ("cvt.f32.bf16 {d}, {0};", [("b16", 0x3F80, 0xC000)], "f32", [1.0, -2.0]),
    ("cvt.f32.f16 {d}, {0};", [("b16", 0x3C00, 0x7C00)], "f32", [1.0, INF]),
    ("abs.bf16 {d}, {0};", [("b16", 0xBF80)], "b16", [0x3F80]),
    ("abs.f16x2 {d}, {0};", [("b32", 0xBC00C000)], "b32", [0x3C004000]),
    ("fma.rn.bf16x2 {d}, {0}, {0}, {1};", [("b32", 0x3F803F83), ("b32", 0x3F80BF80)], "b32", [0x40003D42]),
    ("mov.b64 {d}, {{{0}, {1}}};", [("b32", 1), ("b32", 2)], "b64", [2**33 + 1]),
    ("mov.b64 {{_, {d}}}, {0};", [("b64", 2**33 + 1)], "b32", [2]),
    ("{{ .reg .b32 tmp; mov.b64 {{tmp, {d}}}, {0}; }}", [("b64", 2**34)], "b32", [4]),
    ("mov.b32 {{{d}, _}}, {0};", [("b32", 0x00050006)], "b16", [6]),
]  # fmt: skip


@pytest.mark.parametrize(("instruction", "operands", "result", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_answers(instruction: str, operands: list[tuple[Any, ...]], result: str, expected: list[Any]) -> None:
    count = len(expected)
    found = evaluate(instruction, [np.resize(_array(*operand), 32) for operand in operands], result)
    np.testing.assert_array_equal(found[:count], _array(result, *expected))
    if result[0] == "f":
        number = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found[:count])[number], np.signbit(np.array(expected))[number])


# Whether each comparison holds for 1 and 2, 1 and 1, 2 and 1, and where one is NaN.
COMPARISONS = {
    "eq": "01000", "ne": "10100", "lt": "10000", "le": "11000", "gt": "00100", "ge": "01100", "num": "11100",
    "equ": "01011", "neu": "10111", "ltu": "10011", "leu": "11011", "gtu": "00111", "geu": "01111", "nan": "00011",
}  # fmt: skip


@pytest.mark.parametrize("compare", COMPARISONS)
def test_comparisons_of_numbers_and_nan(compare: str) -> None:
    a, b = _array("f32", 1, 1, 2, NAN, 1), _array("f32", 2, 1, 1, 1, NAN)
    text = f"setp.{compare}.f32 %p1, {{0}}, {{1}};\n    selp.b32 {{d}}, 1, 0, %p1;"
    found = evaluate(text, [np.resize(a, 32), np.resize(b, 32)], "u32")[:5]
    assert "".join(map(str, found)) == COMPARISONS[compare]


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("setp.lt.s32 %p1|%p2, {0}, 0;\n selp.b32 %r9, 1, 0, %p1;\n selp.b32 {d}, 2, %r9, %p2;", [1, 2]),
        ("setp.gt.s32 %p2, {0}, 3;\n setp.lt.or.s32 %p1, {0}, 0, %p2;\n selp.b32 {d}, 1, 0, %p1;", [1, 1]),
        ("setp.lt.u32 %p1, {0}, 9;\n not.pred %p2, %p1;\n and.pred %p1, %p1, %p2;\n selp.b32 {d}, 1, 0, %p1;", [0, 0]),
        ("setp.lt.s32 %p1, {0}, 0;\n mov.b32 {d}, 7;\n @%p1 mov.b32 {d}, 8;", [8, 7]),
        ("setp.lt.s32 %p1, {0}, 0;\n mov.b32 {d}, 7;\n @!%p1 mov.b32 {d}, 8;", [7, 8]),
        ("mov.pred %p1, -1;\n selp.b32 {d}, 5, 6, %p1;", [5, 5]),
    ],
)
def test_predicates(instruction: str, expected: list[int]) -> None:
    assert evaluate(instruction, [np.resize(_array("s32", -4, 5), 32)], "u32")[:2].tolist() == expected


def test_a_pair_of_halves_is_compared_at_once() -> None:
    """The first predicate is of the lower half: 1 < 2 there, 2 < 1 above."""
    text = "setp.lt.bf16x2 %p1|%p2, {0}, {1}; selp.b32 %r9, 1, 0, %p1; selp.b32 %r8, 2, 0, %p2; or.b32 {d}, %r8, %r9;"
    operands = [np.full(32, value, np.uint32) for value in (0x40003F80, 0x3F804000)]
    assert evaluate(text, operands, "u32")[0] == 1


APPROXIMATIONS = {
    "ex2.approx.f32 {d}, {0};": ("ex2", np.linspace(-120, 120, 32)),
    "lg2.approx.f32 {d}, {0};": ("lg2", np.geomspace(1e-30, 1e30, 32)),
    "rcp.approx.f32 {d}, {0};": ("rcp", np.geomspace(1e-30, 1e30, 32)),
    "rsqrt.approx.f32 {d}, {0};": ("rsqrt", np.geomspace(1e-30, 1e30, 32)),
    "sqrt.approx.f32 {d}, {0};": ("sqrt", np.geomspace(1e-30, 1e30, 32)),
    "tanh.approx.f32 {d}, {0};": ("tanh", np.linspace(-3, 3, 32)),
    "sin.approx.f32 {d}, {0};": ("sin", np.linspace(-3, 3, 32)),
    "div.full.f32 {d}, 0f3F800000, {0};": ("div", np.geomspace(1e-30, 1e30, 32)),
}


@pytest.mark.parametrize("instruction", APPROXIMATIONS)
def test_approximations_are_off_by_what_is_stated_and_no_more(instruction: str) -> None:
    name, values = APPROXIMATIONS[instruction]
    x = values.astype(np.float32)
    arguments = (np.ones(32), x.astype(np.float64)) if name == "div" else (x.astype(np.float64),)
    exact = APPROXIMATE[name].function(*arguments)
    bound = np.maximum(APPROXIMATE[name].bound(exact), np.abs(exact) * APPROXIMATE[name].relative)
    found = {which: evaluate(instruction, [x], "f32", which).astype(np.float64) for which in Approximations}
    np.testing.assert_array_equal(found[Approximations.NEAREST], exact.astype(np.float32))
    for which in (Approximations.HIGHEST, Approximations.LOWEST):
        error = (found[which] - exact) * which
        assert (error <= bound).all()
        # As far off as a float32 can be.
        assert (error >= bound - np.spacing(np.abs(exact).astype(np.float32))).all()
        assert (error > 0).mean() > 0.9


def test_where_approximations_are_exact() -> None:
    for which in Approximations:
        found = evaluate("ex2.approx.ftz.f32 {d}, {0};", [np.resize(_array("f32", -INF, INF, NAN), 32)], "f32", which)
        np.testing.assert_array_equal(found[:3], [0, INF, NAN])
        found = evaluate("rcp.approx.ftz.f32 {d}, {0};", [np.resize(_array("f32", INF, 1e-40), 32)], "f32", which)
        np.testing.assert_array_equal(found[:2], [0, INF])


def test_the_upper_half_of_a_reciprocal_in_float64() -> None:
    x = np.geomspace(1e-30, 1e30, 32)
    for which in Approximations:
        found = evaluate("rcp.approx.ftz.f64 {d}, {0};", [x], "f64", which)
        assert (np.abs(found * x - 1) < 2.0**-18).all()
        assert (found.view(np.uint64) % 2**32 == 0).all()


@pytest.mark.parametrize(
    "instruction", ["add.rz.f32 {d}, {0}, {0};", "vadd.s32 {d}, {0}, {0};", "mad.lo.cc.u32 {d}, {0}, {0}, {0};"]
)
def test_what_is_not_known_is_refused(instruction: str) -> None:
    with pytest.raises(NotImplementedError, match="takes"):
        evaluate(instruction, [np.ones(32, np.uint32)], "u32")
