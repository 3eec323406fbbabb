"""The report of a run: all that there is to know of it, in one file that loads nothing."""

import base64
import io
import json
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

import fastvae as package
from fastvae.train.pictures import run as pictures
from fastvae.train.report import page
from fastvae.train.settings.config import Config
from tests.support.command_line import fails, fastvae

VOID = {"img", "meta", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """What a file holds: terms with their definitions, cells, pictures, and whatever a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.images: list[dict] = []
        self.loads: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.loads += [given[name] for name in ("src", "href", "data", "srcset", "action") if name in given]
        if tag == "img":
            self.images.append(given)
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]][-1] += data


def report_of(path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def test_a_run_ends_with_a_report_of_everything(trained):
    folder, result = trained
    assert "report.html" in result.out
    found = report_of(folder / "report.html")
    config = json.loads((folder / "config.json").read_text())
    settings = dict(zip(found.texts["dt"], found.texts["dd"], strict=True))
    assert set(Config.model_fields) <= set(settings)
    assert settings["latent_dim"] == str(config["config"]["latent_dim"])
    assert settings["torch"] == torch.__version__
    # A picture for each file, with its own bytes, and the header of the table of epochs that of metrics.csv.
    files = {file.name for file in folder.glob("*.png")}
    assert len(found.images) == len(files) >= 6
    drawn = {base64.b64decode(image["src"].partition(",")[2]) for image in found.images}
    assert drawn == {(folder / name).read_bytes() for name in files}
    assert all(image["alt"] for image in found.images)
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    assert found.texts["th"][-len(header.split(",")) :] == header.split(",")
    last = float(rows[-1].split(",")[1])
    assert f"{last:.6g}" in found.texts["td"]


def test_it_loads_nothing_from_elsewhere_and_runs_nothing(trained):
    text = (trained[0] / "report.html").read_text(encoding="utf-8")
    found = report_of(trained[0] / "report.html")
    assert found.loads
    assert all(address.startswith("data:image/png;base64,") for address in found.loads)
    assert "script" not in found.texts
    assert "url(" not in text
    assert "@import" not in text
    with Image.open(io.BytesIO(base64.b64decode(found.loads[0].partition(",")[2]))) as image:
        image.verify()


def test_names_are_escaped(run):
    renamed = run.parent / "<b>&amp; run"
    run.rename(renamed)
    text = page.page(renamed)
    assert "<h1>&lt;b&gt;&amp;amp; run</h1>" in text
    assert Page(text).texts["h1"] == ["<b>&amp; run"]


def test_it_has_what_evaluate_found_and_goes_where_it_is_told(run, tmp_path):
    (run / "evaluation.json").write_text(json.dumps({"psnr": 12.34567891, "kl_per_dimension": [1.0, 2.0]}))
    out = tmp_path / "elsewhere.html"
    assert fastvae("report", run, "--out", out).out == f"{out}\n"
    found = report_of(out)
    assert dict(zip(found.texts["dt"], found.texts["dd"], strict=True))["psnr"] == "12.3457"
    assert "kl_per_dimension" not in found.texts["dt"]


def test_a_fit_has_one_too(tmp_path):
    encoder, decoder, latent = package.networks.build("mlp", (1, 8, 8), 2, hidden=(8,))
    vae = package.VAE(encoder, decoder, latent_shape=latent)
    package.fit(vae, torch.rand(64, 1, 8, 8), epochs=2, out=tmp_path / "fit", progress=False, validation=0.25)
    assert fastvae("report", tmp_path / "fit").code == 0
    found = report_of(tmp_path / "fit" / "report.html")
    assert found.texts["dd"][found.texts["dt"].index("model")] == "VAE"
    assert len(found.images) == len(list((tmp_path / "fit").glob("*.png")))


def test_mistakes_are_named(run, tmp_path):
    assert "--out: missing: no such folder" in fails("report", run, "--out", "missing/a.html")
    assert "nowhere: no such run folder" in fails("report", "nowhere")
    (run / "evaluation.json").write_text("{")
    assert "evaluation.json: damaged, no JSON" in fails("report", run)
    (run / "metrics.csv").unlink()
    assert "has not finished an epoch" in fails("report", run)


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


def test_every_picture_of_a_run_has_a_caption(run):
    names = {file.stem for file in run.glob("*.png")}
    assert names <= set(pictures.CAPTIONS)
