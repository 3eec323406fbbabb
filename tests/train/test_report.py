"""`fastvae report`: a page that holds all of a run, and loads nothing."""

import base64
import csv
import json
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import fastvae as library
from fastvae.train.data.description import Description
from fastvae.train.report import settings, tables
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch
from fastvae.train.settings import resolve
from fastvae.train.settings.config import Config
from tests.support.command_line import TINY, fails, fastvae
from tests.train.fits import QUIET, Regression, images, pairs, vae
from tests.train.test_damaged_runs import DAMAGED_METRICS, DAMAGES, cut, edit

pytestmark = pytest.mark.usefixtures("one_thread")
HOSTILE = "<script>alert('x')</script>&\"{{ 7 * 7 }}"


@pytest.fixture
def run(run):
    """Without the page that it ended with."""
    (run / "report.html").unlink()
    return run


class Page(HTMLParser):
    """What a browser would find: tags, the addresses in them, styles, and the texts of cells and terms."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.texts, self.kept = [], [], [], []
        self.rows, self.terms, self.style, self._inside = [], {}, "", []
        self.feed(text)
        self.close()
        assert not self._inside, "tags that are not closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        self.addresses += [found[name] for name in ("src", "href", "srcset", "action", "data") if name in found]
        if tag == "tr":
            self.rows.append([])
            if found.get("class") == "kept":
                self.kept.append(self.rows[-1])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in ("meta", "img"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        assert self._inside.pop() == tag

    def handle_data(self, data):
        if not self._inside or not data.strip():
            return
        if self._inside[-1] == "style":
            self.style += data
        if {"td", "th"} & set(self._inside):
            self.rows[-1][-1] += data
        if self._inside[-1] == "dt":
            assert data not in self.terms
            self.terms[data] = ""
        if self._inside[-1] == "dd":
            self.terms[next(reversed(self.terms))] += data
        self.texts.append(data)


def page_of(run, *options):
    result = fastvae("report", run, *options)
    assert result.code == 0, result
    path = result.out.splitlines()[-1]
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as printed
        return Page(file.read())


def cells(run):
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_page_holds_every_setting_and_metric(run):
    fastvae("evaluate", run, "--num-samples", 2)
    page = page_of(run)
    folder = RunFolder(run)
    for field in Config.model_fields:
        value = getattr(folder.read_config(), field)
        name = field if field in Description._fields else resolve.option(field)
        stands = page.terms | {row[0]: row[1] for row in page.rows if len(row) == 4}
        assert stands[name] == ("none" if value is None else resolve.shown(value))
    header, *rows = page.rows[: 1 + len(cells(run))]
    assert header == [name.replace("_", " ") for name in cells(run)[0]]
    for shown, row in zip(rows, cells(run), strict=True):
        assert [float(text) for text in shown] == pytest.approx(
            [float(text) for text in row.values()], rel=1e-2, abs=5e-3
        )
    (begin,) = [number for number, row in enumerate(page.rows) if row[0] == "dimension"]
    columns = {column[0]: column[1:] for column in zip(*page.rows[begin : begin + 3], strict=True)}
    for name, value in json.loads((run / "evaluation.json").read_bytes()).items():
        if isinstance(value, list) and name != "collapsed":
            assert [float(text) for text in columns[name.replace("_", " ")]] == pytest.approx(value, rel=1e-2)
        elif isinstance(value, float):
            assert float(page.terms[name.replace("_", " ")]) == pytest.approx(value, rel=1e-5)
        else:
            assert name.replace("_", " ") in page.terms
    for name, version in folder.read_versions().items():
        assert page.terms[name] == version


def test_the_headline_is_of_the_epoch_whose_weights_are_kept(run):
    rows = cells(run)
    rows[0]["validation_loss"], rows[0]["test_elbo"] = "-1e6", "-12.34"
    with (run / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    page = page_of(run)
    assert any(text.startswith("test ELBO -12.34 = -(reconstruction ") for text in page.texts)
    assert [row[0] for row in page.kept] == ["1"]
    assert page.terms["epochs"] == "2 of 2; weights of epoch 1, the least validation loss"


def test_pictures_are_inside_and_nothing_is_loaded(run):
    page = page_of(run)
    inside = [address for address in page.addresses if not address.startswith("#")]
    on_disk = sorted(file.read_bytes() for file in run.iterdir() if file.suffix in (".png", ".gif"))
    assert len(on_disk) > 5
    assert all(address.startswith("data:image/") for address in inside)
    assert sorted(base64.b64decode(address.split(",")[1]) for address in inside) == on_disk
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert "url(" not in page.style
    assert "@import" not in page.style
    # A link within the page has somewhere to go.
    text = (run / "report.html").read_text()
    assert all(f'id="{address[1:]}"' in text for address in page.addresses if address.startswith("#"))


def test_an_animation_is_one_too(run):
    frames = [Image.new("L", (4, 4), level) for level in (0, 255)]
    frames[0].save(run / "samples.gif", save_all=True, append_images=frames[1:])
    page = page_of(run)
    assert any(address.startswith("data:image/gif;") for address in page.addresses)


def test_names_are_text_whatever_they_are(run):
    edit(run, data=f"/data/{HOSTILE.replace('/', '')}.npy")
    (run / "losses.png").rename(run / f"{HOSTILE.replace('/', '')}.png")
    page = page_of(run)
    assert "script" not in page.tags
    assert sum(HOSTILE.replace("/", "") in text for text in page.texts) >= 4


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name.startswith("config")])
def test_damaged_configs(run, damage):
    do, message = DAMAGES[damage]
    do(run)
    assert message in fails("report", run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("damage", DAMAGED_METRICS)
def test_damaged_metrics(run, damage):
    do, message = DAMAGED_METRICS[damage]
    (run / "metrics.csv").write_bytes(do((run / "metrics.csv").read_bytes()))
    assert message in fails("report", run)


DAMAGED = {
    "picture": (lambda run: cut(run / "samples.png"), "samples.png: damaged, no picture"),
    "no picture": (lambda run: (run / "samples.png").write_text("<svg/>"), "samples.png: damaged, no picture"),
    "evaluation": (lambda run: (run / "evaluation.json").write_text("{"), "evaluation.json: damaged, no JSON"),
    "evaluation bytes": (
        lambda run: (run / "evaluation.json").write_bytes(b"\xff"),
        "evaluation.json: damaged, no JSON",
    ),
    "evaluation list": (lambda run: (run / "evaluation.json").write_text("[1]"), "evaluation.json: got list; takes"),
    "metrics": (lambda run: (run / "metrics.csv").unlink(), "metrics.csv: No such file"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_other_damage(run, damage):
    do, message = DAMAGED[damage]
    do(run)
    line = fails("report", run)
    assert message in line
    assert str(run) in line


def test_no_run(tmp_path):
    assert "no such run folder" in fails("report", tmp_path / "none")
    assert "not a run folder, it has no config.json" in fails("report", tmp_path)


def test_out(run, tmp_path):
    page_of(run, "--out", tmp_path / "page.html")
    assert not (run / "report.html").exists()
    assert "takes a file that ends in .html or .htm" in fails("report", run, "--out", run / "metrics.csv")
    assert "no such folder" in fails("report", run, "--out", tmp_path / "none" / "page.html")


def test_a_run_without_pictures_gets_them(run):
    drawn = {file.name for file in run.glob("*.png")}
    for name in drawn:
        (run / name).unlink()
    page = page_of(run)
    assert {file.name for file in run.glob("*.png")} == drawn
    assert page.tags.count("img") == len(drawn)


def test_what_is_no_image(tmp_path):
    """It gets the pictures that there are of it."""
    values = np.random.RandomState(0).rand(60, 6).astype(np.float32)
    np.save(tmp_path / "features.npy", values)
    run = tmp_path / "run"
    assert fastvae("train", "--data", tmp_path / "features.npy", *TINY, "--epochs", 1, "--out", run).code == 0
    page = page_of(run)
    assert page.tags.count("img") == 2
    assert page.terms["data"] == "features.npy: 6 numbers in [0, 1]"


@pytest.mark.parametrize(
    "given", [{}, {"preset": "s2", "data_dir": "/mnist"}, {"condition": "label"}, {"model": "conv"}]
)
def test_settings_differ_where_they_were_given(given, monkeypatch):
    monkeypatch.setattr(
        "fastvae.train.data.datasets.describe", lambda *_: Description("named", (1, 28, 28), "bytes", 10)
    )
    given = {"lr": 0.01, "device": "cpu", "threads": 1, **given}
    found = settings.of_run(Config(**resolve.resolve(given)))
    changed = {setting.name for setting in found.changed}
    # The machine's device is not told from one that was given, and one thread is the default of digits.
    names = given.keys() | ({"data"} if "preset" in given else set())
    assert changed == {resolve.option(name) for name in names - {"device", "threads"}}
    assert len(found.changed) + len(found.others) == len(Config.model_fields)


def test_a_setting_says_its_default(run):
    page = page_of(run)
    (row,) = [row for row in page.rows if row[:1] == ["--batch-size"]]
    assert row == ["--batch-size", "500", "64", "Images per step."]


def test_a_fit(tmp_path):
    run = tmp_path / "fit"
    library.fit(vae(), images(), epochs=2, batch_size=16, validation=0.2, clip_grad=1.0, out=run, **QUIET)
    page = page_of(run)
    assert page.tags.count("img") == 4
    assert page.terms["model"] == "VAE, by fastvae.fit"
    assert any(text.startswith("validation loss ") for text in page.texts)
    changed = {row[0]: row[1:3] for row in page.rows if len(row) == 4}
    assert changed.pop("setting") == ["value", "default"]
    assert changed == {
        "epochs": ["2", "none"],
        "batch_size": ["16", "128"],
        "validation": ["0.2", "0"],
        "clip_grad": ["1", "none"],
    }
    assert "train grad norm" in page.texts


def test_a_fit_of_any_module_without_pictures(tmp_path):
    run = tmp_path / "fit"
    library.fit(Regression(), pairs(), epochs=1, out=run, **QUIET)
    (run / "losses.png").unlink()
    page = page_of(run)
    assert "img" not in page.tags
    assert any(text.startswith("train loss ") for text in page.texts)
    assert not any("ELBO" in text for text in page.texts)
    cut(run / "fit.json")
    assert "fit.json: invalid JSON" in fails("report", run)


def test_long_runs_are_thinned():
    history = [Epoch(number, *[1.0] * 9, validation_loss=abs(number - 77.0)) for number in range(1, 201)]
    found = tables.of_epochs(history)
    assert found.step == 7
    assert [row.cells[0] for row in found.rows if row.kept] == ["77"]
    shown = [int(row.cells[0]) for row in found.rows]
    assert shown == sorted({1, *range(7, 201, 7), 77, 200})


def test_numbers():
    assert tables.decimals([1, 20]) == ["1", "20"]
    assert tables.decimals([1234.5, None, 0.25]) == ["1234.50", "", "0.25"]
    assert tables.decimals([0.001, 0.0005]) == ["0.001000", "0.000500"]
    assert tables.decimals([0.0, float("nan")]) == ["0.00", "nan"]
    assert [tables.duration(seconds) for seconds in (0.24, 59, 61, 3600 + 125)] == [
        "0.2 s",
        "59.0 s",
        "1 min 1 s",
        "1 h 2 min",
    ]


@pytest.mark.slow
def test_the_page_of_the_digits_is_small(tmp_path):
    """In a process of its own, whose pictures have the resolution of a user's."""
    run = tmp_path / "run"
    for command in (["train", "--epochs", "2", "--keep-weights", "--out", run], ["report", run]):
        subprocess.run([sys.executable, "-m", "fastvae", *command], check=True, stdout=subprocess.DEVNULL)
    assert 5e5 < (run / "report.html").stat().st_size < 2e6
