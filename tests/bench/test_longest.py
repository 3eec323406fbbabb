"""What `tools.checks.longest` says of a run of pytest."""

from pathlib import Path

from tools.checks import longest

REPORT = """<testsuites><testsuite>
<testcase classname="tests.core.test_sums" name="one"/>
<testcase classname="tests.bench.test_traffic.TestReport" name="two"/>
<testcase classname="tests.core.test_sums" name="three"><failure message="wrong"/></testcase>
<testcase classname="tests.core.test_sums" name="four"><error message="no fixture"/></testcase>
<testcase classname="tests.core.test_sums" name="five"><skipped message="no avx512"/></testcase>
</testsuite></testsuites>"""


def test_outcomes_are_counted_by_file(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    found = longest.results(tmp_path / "report.xml")
    assert found == {
        "tests/bench/test_traffic.py": {"passed": 1},
        "tests/core/test_sums.py": {"passed": 1, "failed": 2, "skipped": 1},
    }
    assert "| `tests/core/test_sums.py` | 1 | 2 | 1 |" in longest.text(found)
