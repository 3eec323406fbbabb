"""What `fastvae evaluate` measures of images, of which runs, and what it says."""

import json
from pathlib import Path

import pytest
from torch import nn

from fastvae import VAE
from fastvae.train.errors import UserError
from fastvae.train.evaluation.evaluate import evaluated
from fastvae.train.quality import asked as asking
from fastvae.train.quality.asked import Asked, check
from tests.support.command_line import fails, fastvae
from tests.train.scripted import Corner, saved
from tests.train.simple_models import (
    COLOUR,
    Flat,
    config,
    noisy,
    spatial,
    split,
)

pytestmark = pytest.mark.usefixtures("one_thread")


REFUSED = {
    "flat": (config((50,), 0), Asked(ssim=True), r"--ssim: got a run on samples of shape \(50,\); takes one on images"),
    "quadrants": (
        config((1, 8, 8), 10, condition="quadrants"),
        Asked(kid=Path("a")),
        "--kid: got a run with condition 'quadrants'; takes one that draws whole images",
    ),
    "baseline": (
        config(COLOUR, 10, condition="label", objective="baseline"),
        Asked(fid=Path("a")),
        "--fid: got a run with objective 'baseline'; takes one with a latent",
    ),
    "gsnn": (
        config(COLOUR, 10, condition="label", objective="gsnn"),
        Asked(ssim=True),
        "--ssim: got a run with objective 'gsnn'; takes one with a posterior",
    ),
    "small": (config((3, 5, 8), 0), Asked(ssim=True), r"shape \(3, 5, 8\); takes at least 6 x 6 pixels"),
    "channels": (config((4, 8, 8), 0), Asked(fid=Path("a")), "--fid: got images of 4 channels; takes 1 or 3"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_runs_without_such_images(case):
    chosen, asked, said = REFUSED[case]
    with pytest.raises(UserError, match=said):
        check(asked, chosen)


def test_what_a_run_has_is_not_refused():
    check(Asked(True, Path("a"), Path("a")), config(COLOUR, 10))
    check(Asked(fid=Path("a")), config(COLOUR, 10, condition="label", objective="gsnn"))
    check(Asked(), config((50,), 0))


@pytest.mark.parametrize("asked", [Asked(ssim=True), Asked(fid=Path("a")), Asked(kid=Path("a"))])
def test_without_torchmetrics(monkeypatch, asked):
    monkeypatch.setattr(asking, "find_spec", lambda name: None)
    check(Asked(), config(COLOUR, 10))
    name = "ssim" if asked.ssim else next(iter(asked.features))
    with pytest.raises(UserError, match=rf"--{name}: torchmetrics is not installed: pip install 'fastvae\[metrics\]'"):
        check(asked, config(COLOUR, 10))


def everything(model, chosen, test, num_samples=None, asked=Asked()) -> tuple[dict, list[str]]:  # noqa: B008
    values, lines = {}, []
    for found, said in evaluated(model, chosen, test, num_samples, asked):
        values |= found
        lines += said
    return values, lines


def test_evaluation_of_coloured_images(tmp_path):
    file = saved(Corner(), tmp_path / "corner.pt")
    chosen = config(COLOUR, 10, latent_dim=2, likelihood="gaussian", dropout=0.0)
    values, lines = everything(noisy(*COLOUR), chosen, split(*COLOUR), 3, Asked(True, file, file))
    assert {"psnr", "ssim", "fid", "kid", "bits_per_dimension", "log_likelihood_bits_per_dimension"} < set(values)
    assert f"reconstruction PSNR {values['psnr']:.2f} dB, SSIM {values['ssim']:.4f}" in lines
    assert f"FID {values['fid']:.2f}, 40 samples, features of corner.pt" in lines
    assert f"KID {values['kid']:.4f}, 40 samples, features of corner.pt" in lines


def test_evaluation_of_a_spatial_latent():
    values, lines = everything(spatial(), config(COLOUR, 10, latent_dim=2, likelihood="gaussian"), split(*COLOUR))
    assert values["positions"] == 4
    assert values["latent_dim"] == 2
    assert sum(values["kl_per_dimension"]) == pytest.approx(values["kl"], rel=1e-5)
    assert any(line.startswith("latent: ") and "channels active" in line for line in lines)


def test_evaluation_of_flat_data_has_no_images():
    model = VAE(Flat(2), nn.Linear(2, 50), likelihood="gaussian", latent_shape=2)
    values, lines = everything(model, config((50,), 0, latent_dim=2, likelihood="gaussian"), split(50))
    assert "psnr" not in values
    assert not any("PSNR" in line for line in lines)


def test_evaluate_command(run, tmp_path):
    file = saved(Corner(), tmp_path / "corner.pt")
    result = fastvae("evaluate", run, "--ssim", "--fid", file, "--kid", file)
    assert result.code == 0, result
    found = json.loads((run / "evaluation.json").read_text())
    assert f"reconstruction PSNR {found['psnr']:.2f} dB, SSIM {found['ssim']:.4f}\n" in result.out
    assert f"FID {found['fid']:.2f}, 297 samples, features of corner.pt\n" in result.out
    assert f"KID {found['kid']:.4f}, 297 samples, features of corner.pt\n" in result.out
    assert found["images"] == 297


def test_evaluate_command_says_what_is_wrong_before_it_begins(run):
    line = fails("evaluate", run, "--fid", run / "checkpoint.safetensors")
    assert "--fid: " in line
    assert "takes a TorchScript file" in line
    assert "--kid" in fails("evaluate", run, "--kid", run / "missing.pt")
    assert not (run / "evaluation.json").exists()
