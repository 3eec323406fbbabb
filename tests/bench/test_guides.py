"""The guides' tables and pictures: every row a run of `fastvae train`, every part in its page."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import ROOT
from bench.guides import __main__ as guides
from bench.guides import running
from bench.guides.pictures import PICTURES
from bench.guides.studies import ACTIVE, COLLAPSED, NUMBERS, STUDIES, Study
from fastvae.train import commands
from fastvae.train.settings import resolve

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = "--epochs 1 --hidden 8"


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_of_runs_that_train_takes_and_has_its_place(name: str) -> None:
    study = STUDIES[name]
    for options in study.settings:
        line = commands.train.make_context("fastvae train", f"{study.common} {options}".split())
        resolve.new({option: value for option, value in line.params.items() if value is not None})
    assert {*study.columns} <= {*NUMBERS, ACTIVE, COLLAPSED}
    text = (ROOT / "docs" / "guides" / study.page).read_text(encoding="utf-8")
    between = text.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0]
    rows = [line.split("|")[1].strip() for line in between.splitlines() if line.startswith("| ")][1:]
    assert rows == [f"`{options}`" if options else "no option more" for options in study.settings]
    assert f"`python -m bench.guides {name}`" in " ".join(text.split())


def test_every_picture_is_of_runs_of_its_study_and_on_its_page() -> None:
    for file, picture in PICTURES.items():
        study = STUDIES[picture.study]
        assert {*picture.settings} <= {*study.settings}
        assert f"](../pictures/{file})" in (ROOT / "docs" / "guides" / study.page).read_text(encoding="utf-8")
        assert (ROOT / "docs" / "pictures" / file).stat().st_size < 150_000


def test_a_row_has_means_and_spans() -> None:
    runs = [
        {"elbo": 1.0, "active_units": 3, "collapsed": [0]},
        {"elbo": 2.5, "active_units": 2, "collapsed": [1]},
    ]
    assert running.cells(("test ELBO", ACTIVE, COLLAPSED), runs) == ["1.8", "2 to 3", "1"]
    assert running.cells(("KL", ACTIVE), [{}]) == ["", ""]


def test_a_table_and_its_picture_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PICTURES["guide-beta.png"].settings
    study = Study("page.md", SHORT, settings, ("test ELBO", "log-likelihood", ACTIVE, COLLAPSED), num_samples=2)
    monkeypatch.setitem(STUDIES, "betas", study)
    (tmp_path / "guides").mkdir()
    (tmp_path / "pictures").mkdir()
    page = tmp_path / "guides" / "page.md"
    page.write_text("Before\n<!-- betas:begin -->\nold\n<!-- betas:end -->\nafter\n")
    result = CliRunner().invoke(guides.main, ["betas", "--seeds", "1", "--docs", str(tmp_path)])
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith(f"Before\n<!-- betas:begin -->\n| `fastvae train {SHORT}` | test ELBO | ")
    assert "old" not in text
    assert "| `--beta 16` | " in text
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["guide-beta.png"]


def test_a_divided_run_is_of_the_images_that_train() -> None:
    run = running.trained(f"{SHORT} --objective tc --total-correlation 4 --batch-size 256", 0)
    assert run.config.dataset_size == 1350
    assert 0 < run.found["correlation"] <= 1
