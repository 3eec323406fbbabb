"""The C++ kernels under the undefined-behaviour sanitizer, which sees what happens to go well on this processor."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.units import run, supported

pytestmark = pytest.mark.minutes(4)

ROOT = Path(__file__).parents[2]
FLAGS = "-O1 -fsanitize=undefined -fno-sanitize=vptr"

CODE = """
import importlib.util, itertools, math, sys
spec = importlib.util.spec_from_file_location("fastvae._C", {extension!r})
sys.modules["fastvae._C"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

import torch
import fastvae.functional as F
from tests.support.ops import ALL_OPS
from tests.support.oracle import evaluate, outputs_of, upstreams_like

SPECIAL = (0.0, -0.0, 1.0, -1.0, 90.0, -90.0, 200.0, -200.0, 1e30, -1e30, 1e-40, math.inf, -math.inf, math.nan)

def both(op, operands, **options):
    with torch.no_grad():
        upstreams = upstreams_like(outputs_of(op.call, operands, **options))
    evaluate(op.call, operands, op.wanted, upstreams, **options)

for op, dtype in itertools.product(ALL_OPS.values(), (torch.float32, torch.float64, torch.bfloat16, torch.float16)):
    for shape in ((0,), (0, 3), (3, 0), (1,), (2, 3, 5), (3, 2500)):
        for reduction in ("none", "sample", "sum") if op.reduces else (None,):
            try:
                operands = op.operands(shape, dtype)
                both(op, operands, **({{}} if reduction is None else {{"reduction": reduction}}))
                apart = {{name: torch.stack([t, t], -1)[..., 0] for name, t in operands.items()}}
                both(op, apart, **({{}} if reduction is None else {{"reduction": reduction}}))
            except (ValueError, RuntimeError) as error:
                assert shape[0] == 0 or len(shape) == 1, (shape, error)
    of_all = itertools.cycle(SPECIAL)
    special = {{
        name: torch.tensor([next(of_all) for _ in range(t.numel())], dtype=dtype).view(t.shape)
        for name, t in op.operands((3, 28), dtype).items()
    }}
    both(op, special)
from tests.support.posteriors import FORMS, posterior, prior_of, scale_options
for parameterization, modifier in FORMS:
    for dtype in (torch.float32, torch.float64):
        tensors = posterior(parameterization, (7, 33), dtype, "same")
        tensors["scale"][0, : len(SPECIAL)] = torch.tensor(SPECIAL, dtype=dtype)
        leaves = [t.requires_grad_() for t in tensors.values()]
        z, kl = F.reparameterize_kl(*leaves[:2], tuple(leaves[2:]), **scale_options(parameterization, modifier))
        torch.autograd.grad([z.sum(), kl], leaves)
print(module.capability())
"""


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sanitized")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder / "site"), str(ROOT)]
    command += [f"--config-settings={option}" for option in ("cmake.build-type=None", f"build-dir={folder / 'build'}")]
    environment = {**os.environ, "CXXFLAGS": FLAGS}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    (found,) = (folder / "site" / "fastvae").glob("_C*.so")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("unit", supported())
def test_no_behaviour_is_undefined(unit: str, extension: Path) -> None:
    result = run(CODE.format(extension=str(extension)), unit)
    assert result.returncode == 0, result.stderr[-3000:]
    faults = {line for line in result.stderr.splitlines() if "runtime error" in line}
    assert not faults
    assert result.stdout.split() == [unit]
