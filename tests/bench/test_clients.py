"""Whole steps of other packages: the bench of docs/clients.md."""

from bench import clients
from bench.clients import Case


def test_both_steps_are_timed_in_turn():
    case = Case("PyTorch's example", "torch", "pytorch_examples", {})
    row = clients.measured(case, repeats=2, min_time=0.0)
    assert row.theirs > 0
    assert row.fused > 0
    assert 0.1 < row.ratio < 10
    assert row.version.startswith("2.")


def test_the_page_is_made_of_the_kept_rows():
    rows = clients.kept()
    assert [row.case for row in rows] == [case.name for case in clients.CASES]
    assert clients.table(rows) in clients.PAGE.read_text(encoding="utf-8")
