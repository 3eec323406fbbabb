"""The table of the defaults: every row a run of `fastvae train`, the numbers those of the weights it keeps."""

import pytest
from click.testing import CliRunner

from bench.reproductions import defaults
from bench.reproductions.defaults import Found
from fastvae.train.settings import resolve

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_row_sums_up_its_runs():
    runs = [Found(30.04, 12, 0, 140), Found(32.0, 11, 2, 150)]
    assert defaults.row((), runs) == ["by default", "31.0", "30.0", "32.0", "11 to 12", "1 of 2", "140 to 150"]
    assert defaults.row(("--lr", "0.1"), runs[:1]) == ["`--lr 0.1`", *3 * ["30.0"], "12", "1 of 1", "140"]


def test_the_table_goes_into_the_page(tmp_path, monkeypatch):
    options = (("--epochs", "1", "--hidden", "8"), ("--epochs", "2", "--hidden", "8"))
    monkeypatch.setattr(defaults, "SETTINGS", options)
    page = tmp_path / "page.md"
    page.write_text("Before\n<!-- defaults:begin -->\nold\n<!-- defaults:end -->\nafter\n")
    result = CliRunner().invoke(defaults.main, ["--seeds", "2", "--page", str(page)])
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert text.startswith("Before\n<!-- defaults:begin -->\n| `fastvae train` | test ELBO | ")
    assert "old" not in text
    assert "| `--epochs 1 --hidden 8` | " in text
    assert "| `--epochs 2 --hidden 8` | " in text
    assert "Seeds 0 to 1, torch " in text


def test_a_seed_is_the_run_of_that_seed(tmp_path):
    options = ("--epochs", "1", "--hidden", "8")
    assert defaults.trained(options, 3) == defaults.trained(options, 3) != defaults.trained(options, 4)


@pytest.mark.parametrize("options", defaults.SETTINGS)
def test_every_setting_is_one_that_train_takes(options):
    line = defaults.commands.train.make_context("fastvae train", [*options])
    resolve.new({name: value for name, value in line.params.items() if value is not None})
