"""Whether an installed fastvae works, in seconds: ``python -P tools/smoke.py``, from any folder.

Called by its path and not as a module, so that the checkout is not among the folders that Python imports from.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch

import fastvae
import fastvae.functional as F
import fastvae.reference

CHECKOUT: Final = Path(__file__).resolve().parents[1]
NOISE: Final = (CHECKOUT / "docs" / "noise.md").read_text(encoding="utf-8")


def _noise(shape: list[int], **options: Any) -> torch.Tensor:
    """The standard normals that an op draws."""
    samples, *of_one = shape
    zero = torch.zeros(of_one)
    return F.reparameterize(zero, zero, num_samples=samples, **options)


def it_is_the_installed_copy() -> None:
    """Or all that follows would say nothing of it."""
    assert CHECKOUT not in Path(fastvae.__file__).resolve().parents, fastvae.__file__
    assert fastvae.__version__


def one_openmp_runtime_is_loaded_and_it_is_of_torch() -> None:
    """A second one would take the cores from the first; the system need not have one."""
    if not sys.platform.startswith("linux"):
        return
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    found = {line.split()[-1] for line in maps if re.search(r"/lib(g|i)?omp", line)}
    assert len(found) == 1, found
    assert Path(torch.__file__).parent in Path(found.pop()).parents, found


def noise_is_that_of_the_page() -> None:
    """Bit for bit, by the hash of docs/noise.md and by its shards."""
    digest = re.findall(r"SHA-256 `(\w{64})`", NOISE)
    assert [hashlib.sha256(_noise([1, 2**20], seed=0).numpy().tobytes()).hexdigest()] == digest
    rows = [line.replace("`", "").split(" | ") for line in NOISE.splitlines()]
    shards = [row for row in rows if len(row) == 5 and re.fullmatch(r"[\d ]+ \d+", row[1])]
    assert len(shards) == 3, shards
    for seed, shape, shard, _, normals in shards:
        start, total = map(int, shard.split())
        eps = _noise([int(size) for size in shape.split()], seed=int(seed.strip("| ")), shard=(start, total))
        assert eps.flatten(1)[:, 0].tolist() == [float.fromhex(value) for value in normals.strip(" |").split()]


def _losses(ops: Any) -> Iterator[torch.Tensor]:
    """The gradients of a few ops, and their values."""
    generator = torch.Generator().manual_seed(0)
    moments = torch.randn(17, 66, dtype=torch.float64, generator=generator).requires_grad_()
    target = torch.rand(17, 33, dtype=torch.float64, generator=generator)
    z, kl = ops.reparameterize_kl_packed(moments, seed=5)
    for loss in (
        kl + z.square().sum(),
        ops.binary_cross_entropy_with_logits(z, target, reduction="sum"),
        ops.mse_loss(z, target),
        ops.log_normal(z, reduction="sum"),
    ):
        yield loss.detach()
        yield from torch.autograd.grad(loss.sum(), moments, retain_graph=True)


def ops_agree_with_their_reference() -> None:
    """Forward and backward."""
    for got, expected in zip(_losses(F), _losses(fastvae.reference), strict=True):
        torch.testing.assert_close(got, expected)


def the_command_line_trains_and_tells_what_it_found() -> None:
    """One epoch on the bundled digits."""
    with tempfile.TemporaryDirectory() as folder:
        for arguments in (["info"], ["train", "--epochs", "1", "--out", f"{folder}/run"]):
            command = [sys.executable, "-P", "-m", "fastvae", *arguments]
            result = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
            assert result.returncode == 0, result.stderr
        assert (Path(folder) / "run" / "weights.safetensors").is_file()


CHECKS: Final[tuple[Callable[[], None], ...]] = (
    it_is_the_installed_copy,
    one_openmp_runtime_is_loaded_and_it_is_of_torch,
    noise_is_that_of_the_page,
    ops_agree_with_their_reference,
    the_command_line_trains_and_tells_what_it_found,
)


def main() -> None:
    """Each of the checks, an AssertionError for the first that fails."""
    for check in CHECKS:
        check()
        print(check.__name__.replace("_", " "), flush=True)
    print("Python", sys.version.split()[0], "torch", torch.__version__, "fastvae", fastvae.__version__)


if __name__ == "__main__":
    main()
