"""bench/gpu.sh: every stage of it in a dry run, so that no time of a GPU is lost to a slip."""

import os
import re
import subprocess
import sys

import pytest

from bench import ROOT, results
from bench.gpu import benchmarks, training_steps
from bench.gpu.launches import counted
from tests.bench.gpu_benches import DRY

pytestmark = pytest.mark.minutes(2)

SCRIPT = ROOT / "bench" / "gpu.sh"
STAGES = (
    "correctness",
    "micro",
    "runs",
    "host",
    "graphs",
    "compile",
    "training",
    "sanitize",
    "large",
    "picture",
    "table",
)


def run(*arguments, **environment):
    command, variables = [SCRIPT, *arguments], {**os.environ, "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    return subprocess.run(command, env=variables | environment, capture_output=True, text=True, check=False)


def test_it_is_over_in_ten_minutes():
    text = SCRIPT.read_text()
    seconds, more = (int(re.search(pattern, text)[1]) for pattern in (r"_SECONDS:-(\d+)", r"--kill-after=(\d+)"))
    assert seconds + more <= 600


def test_no_stage_begins_when_the_time_is_over(tmp_path):
    assert run(tmp_path, "--dry-run", FASTVAE_GPU_SECONDS="0").returncode == 1
    expected = [f"{stage:12} no time left" for stage in STAGES]
    assert (tmp_path / "summary.txt").read_text().splitlines() == expected


@pytest.mark.slow
def test_a_stage_is_stopped_at_its_end(tmp_path):
    assert run(tmp_path, "--dry-run", "micro", FASTVAE_GPU_SECONDS="1").returncode == 1
    # As `timeout` says it.
    assert re.fullmatch(r"micro +rc +124 +\d+ s\n", (tmp_path / "summary.txt").read_text())


@pytest.mark.parametrize("arguments", [(), ("out", "--fast"), ("out", "--dry-run", "more")])
def test_it_takes_a_folder_and_stages(arguments, tmp_path):
    result = subprocess.run([SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    usage, stages = result.stderr.splitlines()
    assert usage == "usage: bench/gpu.sh OUT [--dry-run] [STAGE...]"
    assert set(STAGES) < set(stages.split()[1:])
    assert not list(tmp_path.iterdir())


# A machine with a GPU may have less than a developer's.
ABSENT = ("pydantic", "safetensors", "sklearn")


WORK = {
    "benches": "from bench import plot, table\n"
    "from bench.gpu import host, launches, micro, profiled, sanitize, training",
    "tests": "import pytest; assert not pytest.main(['--collect-only', '-p', 'no:cacheprovider', 'tests/gpu'])",
}


def _alone(work: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); {work}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK)
def test_what_runs_on_a_gpu_needs_little(work):
    result = _alone(WORK[work])
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What a dry run leaves."""
    folder = tmp_path_factory.mktemp("gpu")
    run(folder, "--dry-run")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_runs(out, stage):
    codes = dict(re.findall(r"^(\w+) +rc +(\d+)", (out / "summary.txt").read_text(), re.MULTILINE))
    assert tuple(codes) == STAGES
    assert codes[stage] == "0", (out / "log.txt").read_text().split(f"== {stage}")[1].split("\n== ")[0][-3000:]


@pytest.mark.slow
def test_what_it_leaves_can_be_carried(out):
    files = [path for path in out.rglob("*") if path.is_file()]
    assert {"summary.txt", "log.txt", "gpu.csv", "gpu.png"} <= {path.name for path in files}
    assert len(files) <= 8
    assert max(path.stat().st_size for path in files) <= 16 * 2**20


@pytest.mark.slow
def test_every_op_and_size_has_rows(out):
    found = {(row.case, row.provider) for row in results.newest(out / "gpu.csv")}
    ops = sum(len(list(benchmarks.benchmarks_of(size))) for size in benchmarks.sizes(DRY))
    assert len(found) == 3 * ops + len(training_steps.PROVIDERS)


@pytest.mark.slow
def test_launches_are_asked_for_in_a_process_of_their_own():
    size = benchmarks.sizes(DRY)[1]
    assert set(counted(size, DRY)) == {some.name for some in benchmarks.benchmarks_of(size)}
