"""`fastvae compare`: what differs between runs, what they reached, and a column for each."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fastvae.train.data import datasets
from fastvae.train.models import build
from fastvae.train.pictures import comparison
from fastvae.train.runs import weights
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Epoch, best
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve
from fastvae.train.studies import compare
from tests.support.command_line import TINY, fails, fastvae, mnist, without_pictures

MAGIC = {".png": b"\x89PNG\r\n\x1a\n", ".pdf": b"%PDF", ".svg": b"<?xml"}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Runs that differ in beta, and one in more."""
    folder = tmp_path_factory.mktemp("runs")
    options = {
        "half": ("--beta", 0.5, "--epochs", 2),
        "two": ("--beta", 2, "--epochs", 2),
        "other": ("--beta", 2, "--epochs", 1, "--latent-dim", 3, "--likelihood", "bernoulli"),
    }
    with without_pictures():
        for name, given in options.items():
            assert fastvae("train", *TINY, *given, "--out", folder / name).code == 0
    return {name: folder / name for name in options}


def rows(file: Path) -> list[dict[str, str]]:
    with file.open() as text:
        return list(csv.DictReader(text))


def test_table_and_files(runs, tmp_path):
    out = tmp_path / "picture.png"
    result = fastvae("compare", runs["half"], runs["two"], "--out", out)
    assert (result.code, result.err) == (0, ""), result
    header, *lines = result.out.splitlines()
    assert header.split() == ["run", "reconstruction", "KL", "ELBO", "(nats", "per", "test", "image)"]
    assert lines[2:] == [str(out), str(tmp_path / "picture.csv")]
    assert out.read_bytes().startswith(MAGIC[".png"])
    table = rows(tmp_path / "picture.csv")
    assert list(table[0]) == ["name", "reconstruction", "kl", "elbo", "beta", "run"]
    for name, line, row in zip(("half", "two"), lines, table, strict=False):
        last = rows(runs[name] / "metrics.csv")[-1]
        beta = {"half": "0.5", "two": "2"}[name]
        assert (row["name"], row["beta"], row["run"]) == (f"beta {beta}", beta, str(runs[name]))
        values = [row[quantity] for quantity in ("reconstruction", "kl", "elbo")]
        assert values == [last[f"test_{quantity}"] for quantity in ("reconstruction", "kl", "elbo")]
        assert line.split() == ["beta", beta, *(f"{float(value):.2f}" for value in values)]


def test_every_differing_setting_is_named_in_the_order_of_the_config(runs, tmp_path):
    out = tmp_path / "picture.png"
    assert fastvae("compare", *runs.values(), "--out", out).code == 0
    table = rows(tmp_path / "picture.csv")
    fields = list(table[0])[4:-1]
    assert set(fields) == {"latent_dim", "likelihood", "beta", "epochs"}
    assert fields == [field for field in Config.model_fields if field in fields]
    assert table[2]["name"] == ", ".join(f"{field.replace('_', ' ')} {table[2][field]}" for field in fields)
    assert table[2]["likelihood"] == "bernoulli"


def test_runs_without_a_difference_are_named_after_their_folders(runs, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(runs["two"], again)
    assert fastvae("compare", again, runs["two"], "--out", tmp_path / "a.png").code == 0
    assert [row["name"] for row in rows(tmp_path / "a.csv")] == ["again", "two"]
    assert fastvae("compare", again, runs["half"], runs["two"], "--out", tmp_path / "b.png").code == 0
    assert [row["name"] for row in rows(tmp_path / "b.csv")] == ["beta 2, again", "beta 0.5", "beta 2, two"]


@pytest.mark.parametrize("suffix", compare.SUFFIXES)
def test_suffixes(runs, tmp_path, suffix):
    out = tmp_path / f"picture{suffix}"
    assert fastvae("compare", runs["half"], runs["two"], "--out", out).code == 0
    assert out.read_bytes().startswith(MAGIC[suffix])


def changed(run: Path, copy: Path, **settings) -> Path:
    """A copy of a run with other settings in its config."""
    shutil.copytree(run, copy)
    file = copy / "config.json"
    content = json.loads(file.read_text())
    content["config"] |= settings
    file.write_text(json.dumps(content))
    return copy


@pytest.fixture(scope="module")
def strangers(tmp_path_factory) -> dict[str, Path]:
    """Runs whose test images differ from those of the digits, and from each other's."""
    folder = tmp_path_factory.mktemp("strangers")
    few, many = (mnist(folder / f"data-{count}", test=count) for count in (10, 20))
    run = folder / "many"
    with without_pictures():
        assert fastvae("train", *TINY, "--data", "mnist", "--data-dir", many, "--epochs", 1, "--out", run).code == 0
    return {
        "many": run,
        "few": changed(run, folder / "few", data_dir=str(few)),
        "binarized": changed(run, folder / "binarized", binarize="threshold"),
    }


def test_runs_on_data_that_has_moved(strangers, tmp_path):
    run = changed(strangers["many"], tmp_path / "run", data_dir=str(tmp_path / "gone"))
    arguments = ("compare", strangers["many"], run, "--out", tmp_path / "picture.png")
    assert f"{tmp_path / 'gone'}: no such folder" in fails(*arguments)
    assert fastvae(*arguments, "--data-dir", strangers["many"].parent / "data-20").code == 0
    assert [row["name"] for row in rows(tmp_path / "picture.csv")] == ["many", "run"]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("half", "many", "{many} (mnist) are not those of {half} (digits)"),
        ("few", "many", "{many} (mnist) are not those of {few} (mnist)"),
        ("many", "binarized", "{binarized} (mnist, binarized: threshold) are not those of {many} (mnist)"),
    ],
)
def test_runs_on_different_data(runs, strangers, tmp_path, first, second, message):
    everything = runs | strangers
    line = fails("compare", everything[first], everything[second], "--out", tmp_path / "a.png")
    assert message.format(**everything) in line
    assert "takes runs on the same data" in line
    assert not list(tmp_path.iterdir())


MISTAKES = {
    "no runs": (("--out", "a.png"), "RUN: got 0; takes at least 2 run folders"),
    "one run": (("{half}", "--out", "a.png"), "RUN: got 1; takes at least 2 run folders"),
    "no picture": (("{half}", "{two}"), "Missing option '--out'"),
    "missing run": (("{half}", "missing", "--out", "a.png"), "missing: no such run folder"),
    "not a run": (("{half}", ".", "--out", "a.png"), "not a run folder, it has no config.json"),
    "suffix": (("{half}", "{two}", "--out", "a.txt"), "--out: got a.txt; takes a file that ends in .png, .pdf, .svg"),
    "folder": (("{half}", "{two}", "--out", "no/a.png"), "--out: no: no such folder"),
    "data dir": (("{half}", "{two}", "--out", "a.png", "--data-dir", "x"), "--data-dir: got 'x'; takes none with data"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(runs, tmp_path, monkeypatch, mistake):
    monkeypatch.chdir(tmp_path)
    arguments, message = MISTAKES[mistake]
    assert message in fails("compare", *(argument.format(**runs) for argument in arguments))
    assert not list(tmp_path.iterdir()), "a mistake leaves nothing behind"


def test_conditional_run(runs, tmp_path):
    run = tmp_path / "run"
    assert fastvae("train", *TINY, "--epochs", 1, "--condition", "label", "--out", run).code == 0
    line = fails("compare", runs["half"], run, "--out", tmp_path / "a.png")
    assert f"RUN: {run} has condition 'label'; takes runs with condition 'none'" in line


def test_run_without_metrics(runs, tmp_path):
    lacking = tmp_path / "run"
    shutil.copytree(runs["two"], lacking)
    (lacking / "metrics.csv").unlink()
    assert f"{lacking / 'metrics.csv'}: No such file" in fails(
        "compare", runs["half"], lacking, "--out", tmp_path / "a.png"
    )


def test_missing_cuda(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = fails("compare", runs["half"], runs["two"], "--out", tmp_path / "a.png", "--device", "cuda")
    assert "--device: got cuda, but torch finds no CUDA device" in line


def config(**changes) -> Config:
    return Config(**resolve({"device": "cpu", **changes}))


def test_differing_settings_are_those_that_decide_numbers():
    first = config()
    assert compare.differing([first, config(keep_weights=True, threads=7)]) == []
    preset = resolve({"preset": "s5", "data_dir": "a", "device": "cpu", "threads": 1})
    explicit = Config(**{**preset, "preset": None, "data_dir": "b"})
    assert compare.differing([Config(**preset), explicit]) == []
    assert compare.differing([first, first, config(lr=0.1, beta=2.0)]) == ["beta", "lr"]


@pytest.fixture(scope="module")
def columns(runs):
    test = datasets.load_part("digits", None, "test")
    found = []
    for name, path in runs.items():
        folder = RunFolder(path)
        run = folder.read_config()
        vae = build.create(run)
        weights.load(vae, folder)
        found.append(comparison.column(name, run, vae, test, folder.read_metrics()))
    return found


def test_columns_hold_one_original_of_each_label(columns):
    test = datasets.load_part("digits", None, "test")
    for column in columns:
        first = [test.labels.tolist().index(label) for label in range(10)]
        np.testing.assert_array_equal(column.originals, test.images[first, 0] / 255)
        assert column.reconstructed.shape == column.originals.shape
        assert column.points.shape == (len(test.labels), 2)
    half, two, other = columns
    assert len(half.decoded) == len(two.decoded) == len(half.coordinates) ** 2
    assert other.coordinates is None
    assert len(other.decoded) == 64


def grid(columns) -> list[list]:
    """The axes of the figure by row; legends have none of their own."""
    figure = comparison.figure(columns, "title")
    rows, rest = divmod(len(figure.axes), len(columns))
    assert (rows, rest) == (6, 0)
    return [figure.axes[row * len(columns) : (row + 1) * len(columns)] for row in range(rows)]


def test_planes_of_the_latent_have_the_same_scale(columns):
    half, two, other = columns
    spread = half._replace(points=10 * half.points)
    latents = grid([spread, two, other])[0]
    limits = [(*axes.get_xlim(), *axes.get_ylim()) for axes in latents]
    assert limits[0] == limits[1] != limits[2]
    assert limits[0][1] == limits[0][3] == -limits[0][0] >= np.abs(spread.points).max()
    assert [axes.get_title() for axes in latents] == ["half", "two", "other"]


def test_losses_are_those_of_the_history(columns):
    half, two, other = columns
    for row, name in zip(grid([half, two])[3:], ("loss", "reconstruction", "kl"), strict=True):
        for axes, column in zip(row, (half, two), strict=True):
            *lines, kept = axes.get_lines()
            assert set(kept.get_xdata()) == {best(column.history).epoch}
            parts = ("train", "test", "validation") if name == "loss" else ("train", "test")
            for line, part in zip(lines, parts, strict=True):
                values = [getattr(epoch, f"{part}_{name}") for epoch in column.history]
                np.testing.assert_allclose(line.get_ydata(), values)
                low, high = axes.get_ylim()
                assert low <= min(values) <= max(values) <= high
        assert row[0].get_ylim() == row[1].get_ylim()
    shared = [row[0].get_ylim() == row[1].get_ylim() for row in grid([half, other])[3:]]
    assert shared == [False, False, True], "log densities and log probabilities have no common scale"


def test_long_names_break_between_settings(columns):
    name = ", ".join(("hidden 256,128", "likelihood gaussian_learned", "kl estimator monte_carlo", "epochs 30"))
    title = grid([columns[0]._replace(name=name), columns[1]])[0][0].get_title()
    lines = title.replace("\N{NO-BREAK SPACE}", " ").split("\n")
    assert " ".join(lines) == name
    assert len(lines) > 1
    assert all(line.endswith(",") for line in lines[:-1])


@pytest.mark.parametrize(("pixels", "labels"), [(28, 10), (8, 10), (28, 1)])
def test_nothing_is_cut_off(columns, pixels, labels):
    images = np.zeros((labels, pixels, pixels))
    drawn = [column._replace(originals=images, reconstructed=images) for column in columns]
    figure = comparison.figure(drawn, "title")
    FigureCanvasAgg(figure).draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    assert min(min(box.x0, box.y0) for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.width
    assert max(box.y1 for box in boxes) <= figure.bbox.height


def test_history_of_one_epoch_can_be_drawn(columns):
    history = [Epoch(1, 9.0, -9.0, 6.0, 3.0, 10.0, -10.0, 6.5, 3.5, 0.1)]
    assert grid([column._replace(history=history) for column in columns])


def test_a_row_of_one_scale_is_named_at_its_left(columns):
    half, two, other = columns
    for row in grid([half, two]):
        assert [bool(axes.get_ylabel()) for axes in row[1:]] == [False]
        assert not any(label.get_visible() and label.get_text() for label in row[1].get_yticklabels())
    latents = grid([half, other])[0]
    assert all(axes.get_ylabel() for axes in latents), "the first two of three components are other axes"


def test_every_other_image_of_the_plane_is_decoded_in_a_column(columns):
    half, two, _ = columns
    axes = grid([half, two])[2][0]
    (picture,) = axes.get_images()
    side = picture.get_array().shape[0]
    # Ten digits of 8 pixels, with a pixel about each, enlarged by 4, and a gap between them.
    assert side == 10 * 40 + 9
    corners = [label.get_text() for label in (axes.get_xticklabels()[0], axes.get_xticklabels()[-1])]
    assert [float(text.replace("\N{MINUS SIGN}", "-")) for text in corners] == [-1.64, 1.64]
