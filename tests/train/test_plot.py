"""`fastvae plot`: which pictures, as what, and where."""

import pytest

from tests.support.command_line import fails, fastvae


@pytest.mark.parametrize(("kind", "begins"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plot_draws_what_is_chosen_where_it_is_told(run, tmp_path, kind, begins):
    out = tmp_path / "new" / "pictures"
    result = fastvae("plot", run, "--only", "losses", "--only", "latent", "--format", kind, "--out", out)
    assert result.code == 0
    assert {file.name for file in out.iterdir()} == {f"losses.{kind}", f"latent.{kind}"}
    assert (out / f"losses.{kind}").read_bytes().startswith(begins)
    assert result.out.split() == [str(out / f"{name}.{kind}") for name in ("latent", "losses")]


def test_plot_says_which_pictures_a_run_has(run, tmp_path):
    line = fails("plot", run, "--only", "labels", "--out", tmp_path / "out")
    assert "--only: got 'labels', which this run does not have; takes reconstructions, samples, latent" in line
    (tmp_path / "file").touch()
    assert "file" in fails("plot", run, "--out", tmp_path / "file")
