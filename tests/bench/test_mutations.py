"""The changes that mutation testing makes: each is another program, and the table knows the files it speaks of."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench import ROOT
from tools.checks.mutations import of_python
from tools.checks.mutations.change import OPERATORS, other_number
from tools.checks.mutations.table import TABLE
from tools.checks.mutations.trials import Trial, run

SOURCE = b'''"""A comment of 1 + 1."""
def f(a: float = 2.0, b: "int | None" = None) -> float:
    """Not 2 + 2."""
    if not (a - 1) * b <= 0x10:
        raise ValueError(f"b: got {b + 1}")
    return where(a > 3, (a + b) / 2.5e-1, -b) + fma(a, b, 1.0)
'''


@pytest.mark.parametrize(
    ("literal", "exact", "other"),
    [
        ("0", False, "1"),
        ("23u", False, "24u"),
        ("0x10", False, "17"),
        ("0.0f", True, "1.0f"),
        ("2.0", False, "2.002"),
        ("1e3", False, "1001.0"),
        ("1.0f", True, "1.0000001192092896f"),
        ("0x1.8p+1f", True, "3.000000238418579f"),
        ("-1", False, None),
        ("x", False, None),
    ],
)
def test_a_number_becomes_the_next(literal: str, exact: bool, other: str | None) -> None:
    if other is None:
        with pytest.raises(ValueError, match="literal"):
            other_number(literal, exact)
    else:
        assert other_number(literal, exact) == other


def test_no_operator_stays() -> None:
    assert all(operator != other for operator, other in OPERATORS.items())


def test_the_changes_of_python() -> None:
    changes = of_python.changes(SOURCE, exact=False)
    told = {SOURCE[change.begin : change.stop].decode(): set[str]() for change in changes}
    for change in changes:
        told[SOURCE[change.begin : change.stop].decode()].add(change.expression(SOURCE))
    assert told == {
        "not (a - 1) * b <= 0x10": {"(a - 1) * b <= 0x10"},
        "(a - 1) * b <= 0x10": {"(a - 1) * b < 0x10"},
        "(a - 1) * b": {"(a - 1) / b", "(a - 1)"},
        "a - 1": {"a + 1", "a"},
        "1": {"2"},
        "0x10": {"17"},
        "where(a > 3, (a + b) / 2.5e-1, -b) + fma(a, b, 1.0)": {
            "where(a > 3, (a + b) / 2.5e-1, -b) - fma(a, b, 1.0)",
            "where(a > 3, (a + b) / 2.5e-1, -b)",
        },
        "where(a > 3, (a + b) / 2.5e-1, -b)": {"where(a > 3, -b, (a + b) / 2.5e-1)"},
        "a > 3": {"a >= 3"},
        "3": {"4"},
        "(a + b) / 2.5e-1": {"(a + b) * 2.5e-1", "(a + b)"},
        "a + b": {"a - b", "a"},
        "2.5e-1": {"0.25025"},
        "-b": {"b"},
        "fma(a, b, 1.0)": {"fma(a, b, -(1.0))"},
        "1.0": {"1.001"},
    }
    for change in changes:
        assert ast.dump(ast.parse(change.applied(SOURCE))) != ast.dump(ast.parse(SOURCE))


HEADER = b"""#pragma once
constexpr int kOne = 1;
template <int N>
inline float at(float x, float y) {
  if constexpr (N == 4) return x;
  float sum = x < y ? (x - 1.5f) * y : -y;  // not 2 + 2
  sum += x;
  return sum;
}
"""


@pytest.fixture
def header(tmp_path: Path) -> Path:
    (tmp_path / "formula.h").write_bytes(HEADER)
    (tmp_path / "unit.cpp").write_text('#include "formula.h"\nfloat one() { return at<kOne>(1, 2); }\n')
    return tmp_path / "formula.h"


def test_the_changes_of_cpp(header: Path) -> None:
    pytest.importorskip("clang")
    from tools.checks.mutations import of_cpp

    changes = of_cpp.changes(of_cpp.parsed(header.parent / "unit.cpp", header.parent), header, exact=False)
    assert {change.expression(HEADER) for change in changes} == {
        "x < y ? -y : (x - 1.5f) * y", "x <= y", "(x - 1.5f) / y", "(x - 1.5f)", "x + 1.5f", "x", "1.5015f", "y",
        "sum -= x",
    }  # fmt: skip
    numbered = dict(enumerate(changes))
    with_all = of_cpp.with_changes(HEADER, numbered).decode()
    assert with_all.count("choice == ") == len(changes)
    assert len(with_all.splitlines()) == len(HEADER.splitlines())
    (sums,) = (number for number, change in numbered.items() if change.text == "-=")
    assert f"(choice == {sums} ? (sum -= x) : (sum += x));" in with_all


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.file)
def test_the_table_knows_its_files(row) -> None:
    assert (ROOT / row.file).is_file()
    assert all((ROOT / argument).is_file() for argument in row.arguments if argument.startswith("tests/"))


def test_no_file_of_the_reference_is_forgotten() -> None:
    of_table = {ROOT / row.file for row in TABLE}
    formulas = {path for path in (ROOT / "fastvae" / "reference").glob("*.py") if path.name != "__init__.py"}
    assert formulas <= of_table


def test_a_trial_says_whether_a_test_has_seen_it(tmp_path: Path) -> None:
    """The change is that of one module; the tests, with whatever they import, are the same."""
    (tmp_path / "changed.py").write_text("ANSWER = 43\n")
    (tmp_path / "same.py").write_text("ANSWER = 42\n")
    (tmp_path / "test_answer.py").write_text("def test_it():\n    import answer\n    assert answer.ANSWER == 42\n")
    (tmp_path / "test_loop.py").write_text("def test_it():\n    while True: pass\n")
    (tmp_path / "conftest.py").write_text("")
    alone = [f"--rootdir={tmp_path}", f"--confcutdir={tmp_path}", "-c", "/dev/null"]

    def trial(key: str, module: str, test: str, limit_s: float) -> Trial:
        return Trial(key, {"answer": tmp_path / module}, {}, [*alone, str(tmp_path / test)], limit_s)

    trials = [
        trial("changed", "changed.py", "test_answer.py", 300),
        trial("same", "same.py", "test_answer.py", 300),
        trial("loop", "same.py", "test_loop.py", 2),
    ]
    assert {result.key: result.outcome for result in run(trials, 2, tmp_path)} == {
        "changed": "killed",
        "same": "survived",
        "loop": "timeout",
    }
