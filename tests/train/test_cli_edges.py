"""What a user leaves out, and data sets of a single image."""

import pytest

from tests.support.command_line import TINY, fails, fastvae, mnist

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--data-dir: got None; takes the folder of the four MNIST files"),
        (("--data-dir", "missing"), "missing: no such folder"),
        (("--data-dir", "~no-such-user/x"), "takes no ~ of an unknown user"),
        (("--data-dir", ".", "--epochs", "0"), "--epochs: got 0"),
    ],
)
def test_the_study_says_what_it_lacks(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails("quadrants", "--out", tmp_path / "study", *options)
    assert not list(tmp_path.iterdir())


CONDITIONS = {"none": (), "label": ("--condition", "label"), "quadrants": ("--condition", "quadrants")}


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.usefixtures("drawn")
def test_one_test_image_has_every_picture(tmp_path, condition, latent_dim):
    pictures = []
    for count in (1, 2):
        folder, run = mnist(tmp_path / f"data{count}", 12, count), tmp_path / f"run{count}"
        options = (*TINY, *CONDITIONS[condition], "--latent-dim", latent_dim, "--epochs", 1, "--out", run)
        result = fastvae("train", "--data", "mnist", "--data-dir", folder, *options)
        assert result.code == 0, result
        pictures.append({file.name for file in run.glob("*.png")})
    assert pictures[0] == pictures[1]
