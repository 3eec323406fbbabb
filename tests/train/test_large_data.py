"""Gigabytes of data train in one beside what the same run on little data takes."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.minutes(1)

SIZE = 3 * 2**29
MORE = 2**30
FORMS = {"images": ((128, 128, 3), np.uint8), "vectors": ((4096,), np.float32)}


def peak(run, data) -> int:
    """The most bytes that were resident in a run, its mapped files among them."""
    options = ("--model", "mlp", "--hidden", "16", "--latent-dim", "3", "--batch-size", "128", "--epochs", "1")
    arguments = ("-m", "fastvae", "train", "--data", data, *options, "--threads", "1", "--out", run)
    process = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * 1024


@pytest.mark.parametrize(
    "form", [pytest.param("vectors", marks=pytest.mark.slow), pytest.param("images", marks=pytest.mark.nightly)]
)
def test_more_than_is_kept_in_memory(tmp_path, form):
    shape, dtype = FORMS[form]
    sample = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if shutil.disk_usage(tmp_path).free < 2 * SIZE:
        pytest.skip("needs 3 GB of disk")
    block = np.random.RandomState(0).randint(0, 256, (500, *shape)).astype(dtype)
    for name, blocks in (("small", 1), ("large", -(-SIZE // (500 * sample)))):
        with (tmp_path / f"{name}.npy").open("wb") as file:
            header = {"descr": block.dtype.str, "fortran_order": False, "shape": (500 * blocks, *shape)}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(blocks):
                file.write(block)
    assert (tmp_path / "large.npy").stat().st_size > SIZE
    little, much = (peak(tmp_path / name, tmp_path / f"{name}.npy") for name in ("small", "large"))
    (tmp_path / "large.npy").unlink()
    print(f"{form}: {little / 2**20:.0f} MiB of little, {much / 2**20:.0f} MiB of much")
    assert much - little < MORE
