"""`python -m bench.accuracy`: the table of its page, and the processor that it needs."""

import pytest
from click.testing import CliRunner

from bench import accuracy

ERRORS = {
    form: {"KL to N(0, I)": 1.0, "KL to N(0, I), d / d mu": 2.0, "KL to N(0, I), d / d scale": 3.0}
    | {"KL to a prior": 4.0, "KL to a prior, d / d mu": 5.0, "log density": 6.0, "log density, d / d mu": 7.0}
    for form in accuracy.PARAMETERIZATIONS
}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page to write into; nothing is measured."""
    monkeypatch.setattr(accuracy, "measured", lambda name, points: ERRORS)
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- accuracy:begin -->\nold\n<!-- accuracy:end -->\nafter\n")
    return path


def test_the_table_has_a_column_for_each_implementation(page, monkeypatch):
    monkeypatch.setattr(accuracy._C, "capability", lambda: "avx512")
    result = CliRunner().invoke(accuracy.main, ["--page", str(page)])
    assert result.exit_code == 0, result.output
    said = page.read_text()
    assert "| form |  | reference | default | avx2 | avx512 | interpreter |" in said
    # Of gradients the largest.
    assert "| logvar | KL to N(0, I), gradients | 3.00 | 3.00 | 3.00 | 3.00 | 3.00 |" in said
    assert "| softplus | log density | 6.00 |" in said
    assert "old" not in said


def test_a_processor_without_avx512_is_refused_before_anything_is_measured(page, monkeypatch):
    monkeypatch.setattr(accuracy._C, "capability", lambda: "avx2")
    result = CliRunner().invoke(accuracy.main, ["--page", str(page)])
    assert result.exit_code == 1
    assert "processor: got avx2 at most; takes one with AVX-512" in result.output
    assert "old" in page.read_text()
