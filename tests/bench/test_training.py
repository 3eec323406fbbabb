"""The benchmark of training steps: the same work for every provider, and no number where they disagree."""

import re
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from bench import ROOT
from bench.gpu import FILE, training, training_steps
from bench.gpu.device import device
from bench.results import read
from fastvae.train.runs.metrics import Means


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """What a dry run sets, it sets for the process; and networks this small run best on one thread."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(tmp_path, *options):
    return CliRunner().invoke(training.main, ["--out", str(tmp_path), "--dry-run", *options])


@pytest.mark.slow
def test_a_dry_run_writes_a_row_for_every_provider(tmp_path):
    result = run(tmp_path, "--commit", "abc1234")
    assert result.exit_code == 0, result.output
    rows = read(tmp_path / FILE)
    assert [row.provider for row in rows] == list(training_steps.PROVIDERS)
    for row in rows:
        # Nothing is claimed of a GPU.
        assert row.device == "CPU, Triton's interpreter"
        assert (row.commit, row.torch) == ("abc1234", torch.__version__)
        assert row.q20_s <= row.median_s <= row.q80_s
        assert (row.case, row.mode, row.calls) == ("conv_step 8x1x28x28, bf16", "step", 2)
        assert re.search(rf"{row.provider} .* images/s", result.output)
    assert [row.ratio for row in rows if row.provider in ("fastvae", "fastvae_graph")] == [1, 1]


def test_providers_that_disagree_are_not_reported(tmp_path, monkeypatch):
    class Uphill(training_steps._Plain):
        def forward(self, images):
            losses = super().forward(images)
            return losses._replace(loss=-losses.loss)

    wrong = training_steps.PROVIDERS["eager"]._replace(model=Uphill)
    monkeypatch.setattr(training_steps, "PROVIDERS", {"eager": training_steps.PROVIDERS["eager"], "fastvae": wrong})
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "nothing is reported: fastvae: reconstruction after a step: got 5" in result.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("means", "said"),
    [
        (Means(545.1, -545.1, 537.9, 7.2), []),
        (Means(550.0, -550.0, 543.0, 7.0), ["reconstruction after a step: got 543.0000"]),
        (Means(538.0, -538.0, 538.0, 0.0), ["kl after a step: got 0.0000; takes eager's 7.0000"]),
        (Means(float("nan"), float("nan"), float("nan"), 7.0), ["reconstruction after a step: got nan"]),
    ],
)
def test_disagreements_are_named(means, said):
    found = training.disagreements({"eager": Means(545.0, -545.0, 538.0, 7.0), "fastvae": means})
    assert len(found) == len(said)
    assert all(f"fastvae: {part}" in message for message, part in zip(found, said, strict=True))


def test_every_provider_starts_from_the_same_weights_and_takes_the_batches_in_turn():
    cpu = device(dry_run=True)
    images = training_steps.images(8, cpu)
    plain, other = (
        training_steps.Training(training_steps.PROVIDERS[name], cpu, images, 4) for name in ("eager", "fastvae")
    )
    weights = [list(training._step.state()) for training in (plain, other)]
    assert all(map(torch.equal, *(sorted_weights[:-2] for sorted_weights in weights)))
    seen = []
    plain._step = lambda batch: seen.extend(int((images == image).flatten(1).all(1).nonzero()) for image in batch)
    plain.step()
    plain.step()
    assert sorted(seen) == list(range(8))


def test_a_file_of_other_columns_is_refused(tmp_path):
    (tmp_path / FILE).write_text("date\n")
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "takes a new file" in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_only_a_dry_run_is_taken(tmp_path):
    result = CliRunner().invoke(training.main, ["--out", str(tmp_path)])
    assert result.exit_code == 1
    assert "--dry-run" in result.output


def test_it_needs_none_of_what_only_the_command_line_needs():
    code = "import sys; sys.modules.update(dict.fromkeys(('pydantic', 'tqdm'))); import bench.gpu.training"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
