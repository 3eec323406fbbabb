"""One run on several processes of this machine, as torchrun starts them: the curve of one process, and one folder."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.command_line import fastvae
from tests.train.test_command_processes import start

pytestmark = pytest.mark.minutes(3)

ROOT = Path(__file__).parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
# Of 1,350 images the last batch has one, fewer than there are processes.
SMALL = ("--hidden", "32", "--batch-size", "71", "--epochs", "2", "--threads", "1", "--device", "cpu")
METRICS = 1e-3


def torchrun(count, *arguments, launcher=("--standalone",), wait=True):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, *launcher, f"--nproc-per-node={count}", "-m", "fastvae", *map(str, arguments)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    return ended(process) if wait else process


def ended(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return [
            {name: float(value) for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


def assert_same_run(found, expected, rel=METRICS):
    ours, theirs = rows(found), rows(expected)
    assert len(ours) == len(theirs)
    for row, other in zip(ours, theirs, strict=True):
        assert row == pytest.approx(other, rel=rel)
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (found, expected))
    for name, weights in theirs.items():
        torch.testing.assert_close(ours[name], weights, rtol=1e-2, atol=1e-3)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("single") / "run"
    code, _, err = ended(start("train", *SMALL, "--out", folder))
    assert code == 0, err
    return folder


def test_two_processes_train_the_run_of_one_into_one_folder(single, tmp_path):
    code, out, err = torchrun(2, "train", *SMALL, "--out", tmp_path / "run")
    assert code == 0, err
    assert_same_run(tmp_path / "run", single)
    names = {file.name for file in (tmp_path / "run").iterdir()}
    assert names == {file.name for file in single.iterdir()}
    assert out.count("epoch 2/2") == 1


@pytest.mark.slow
def test_four_processes_train_the_run_of_one_in_parts(tmp_path):
    options = (*SMALL, "--accumulate", "3")
    assert fastvae("train", *options, "--out", tmp_path / "single").code == 0
    code, _, err = torchrun(4, "train", *options, "--out", tmp_path / "run")
    assert code == 0, err
    assert_same_run(tmp_path / "run", tmp_path / "single")


KINDS = (
    "--model conv --binarize dynamic --likelihood bernoulli --ema 0.9",
    "--objective iwae --train-samples 3 --likelihood bernoulli --dropout 0 --shard-parameters",
    "--condition label --objective gsnn --clip-grad 5 --amp bf16",
    "--prior vamp --components 5 --dropout 0",
    "--prior mixture --components 5 --shard-parameters",
    "--condition quadrants --objective hybrid --prior learned --shard-parameters --ema 0.9 --clip-grad 5",
)


@pytest.mark.slow
@pytest.mark.parametrize("options", KINDS)
def test_every_kind_of_run_is_that_of_one_process(tmp_path, options):
    several = options.split()
    alone = [option for option in several if option != "--shard-parameters"]
    assert fastvae("train", *SMALL, *alone, "--out", tmp_path / "single").code == 0
    code, _, err = torchrun(2, "train", *SMALL, *several, "--out", tmp_path / "run")
    assert code == 0, err
    # bfloat16 rounds what other sums differ by in float32.
    assert_same_run(tmp_path / "run", tmp_path / "single", rel=1e-2 if "bf16" in options else METRICS)


@pytest.mark.slow
def test_a_run_of_four_goes_on_with_two_that_share_parameters_and_with_one(single, tmp_path):
    options = [*SMALL[:4], "--epochs", "1", *SMALL[6:]]
    code, _, err = torchrun(4, "train", *options, "--out", tmp_path / "run")
    assert code == 0, err
    code, out, err = torchrun(2, "train", "--resume", tmp_path / "run", "--epochs", "2", "--shard-parameters")
    assert code == 0, err
    assert out.startswith("resuming after epoch 1")
    assert_same_run(tmp_path / "run", single)
    assert fastvae("train", "--resume", tmp_path / "run", "--epochs", "3").code == 0
    assert len(rows(tmp_path / "run")) == 3


@pytest.mark.slow
def test_two_nodes_are_two_groups_of_processes(single, tmp_path):
    where = ("--nnodes=2", "--master-addr=127.0.0.1", "--master-port=29571")
    nodes = [
        torchrun(1, "train", *SMALL, "--out", tmp_path / "run", launcher=(*where, f"--node-rank={node}"), wait=False)
        for node in (0, 1)
    ]
    for node in nodes:
        code, _, err = ended(node)
        assert code == 0, err
    assert_same_run(tmp_path / "run", single)


@pytest.mark.slow
def test_evaluation_is_divided_and_comes_to_the_same(single, tmp_path):
    samples = ("--num-samples", "20", "--ssim")
    assert fastvae("evaluate", single, *samples).code == 0
    expected = json.loads((single / "evaluation.json").read_text())
    code, out, err = torchrun(2, "evaluate", single, *samples)
    assert code == 0, err
    assert out.count("log-likelihood") == 1
    found = json.loads((single / "evaluation.json").read_text())
    numbers = {name for name, value in expected.items() if isinstance(value, float) and not name.endswith("_seconds")}
    assert "log_likelihood" in numbers
    for name in numbers:
        assert found[name] == pytest.approx(expected[name], rel=1e-5, abs=1e-6), name


@pytest.mark.slow
def test_a_process_that_fails_ends_all_with_one_message(tmp_path):
    code, _, err = torchrun(2, "train", "--data", "mnist", "--data-dir", tmp_path / "missing")
    assert code != 0
    assert err.count("fastvae: error") == 1, err
    assert "missing: no such folder" in err


@pytest.mark.slow
def test_what_needs_whole_batches_is_refused_by_name(tmp_path):
    code, _, err = torchrun(2, "train", "--objective", "tc", "--out", tmp_path / "run")
    assert code != 0
    assert "--nproc-per-node: got several processes with objective 'tc'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--shard-parameters",), "--shard-parameters: got one process; takes several, which torchrun starts")],
)
def test_what_one_process_refuses(arguments, message, tmp_path):
    assert message in fastvae("train", *SMALL, *arguments, "--out", tmp_path / "run").err


def test_a_folder_has_one_run_at_a_time(tmp_path):
    options = ("train", "--hidden", 16, "--threads", 1, "--epochs", 500, "--out", tmp_path / "run")
    first = start(*options)
    try:
        while not (tmp_path / "run" / "config.json").exists():
            assert first.poll() is None
        result = fastvae(*options)
        assert (result.code, "another process is writing this run" in result.err) == (2, True), result
        resumed = fastvae("train", "--resume", tmp_path / "run")
        assert "another process is writing this run" in resumed.err
    finally:
        first.kill()
        first.communicate()
    # What was killed gives its claim up.
    assert fastvae("train", "--hidden", 16, "--threads", 1, "--epochs", 1, "--out", tmp_path / "run").code == 0
