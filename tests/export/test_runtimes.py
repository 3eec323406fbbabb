"""ONNX in onnxruntime, and AOTInductor: what a program gives where there is neither Python nor fastvae."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import fastvae
from tests.clients.packages import client
from tests.export.programs import CALLS, Asked, batch, exported, tensors_of, vae
from tests.modules.tiny import BATCH, EXACT, LATENT

OTHER = 7
# A dozen terms a sum, four sums one behind the other, a rounding of 2^-24 each. Not in float64: ONNX's exporter writes
# the constants of such a program as float32, too.
SINGLE = {"rtol": 12 * 4 * 2.0**-24, "atol": 12 * 4 * 2.0**-24}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated"),
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated"),
]


def all_in_one(vae: fastvae.VAE, x: Tensor) -> tuple[Tensor, ...]:
    """Every call, for one compilation."""
    outputs: list[Any] = [call(vae, x) for call in CALLS.values()]
    return tuple(torch.utils._pytree.tree_leaves(outputs))


def in_onnx(asked: Asked, x: Tensor, **options: Any) -> list[Tensor]:
    """What onnxruntime gives for `x`, in float32, of a program that was exported at another batch size."""
    client("onnxscript")
    runtime: Any = client("onnxruntime")
    program = torch.onnx.export(exported(asked.float(), batch(BATCH).float()), dynamo=True, verbose=False, **options)
    assert program is not None
    session = runtime.InferenceSession(program.model_proto.SerializeToString())
    found = session.run(None, {session.get_inputs()[0].name: x.float().numpy()})
    asked.double()
    return [torch.from_numpy(value).double() for value in found]


def assert_same(found: Sequence[Tensor], expected: Sequence[Tensor], tolerance: dict[str, float]) -> None:
    torch.testing.assert_close(list(found), list(expected), **tolerance)


@pytest.mark.parametrize("name", ["plain", "floored", "free bits"])
def test_onnx(name: str) -> None:
    asked = Asked(vae(name), all_in_one)
    assert_same(in_onnx(asked, batch(OTHER)), asked(batch(OTHER)), SINGLE)


def test_onnx_of_a_scale_clamped_twice() -> None:
    """onnxscript's optimizer loses a bound of the second of two equal clamps."""
    asked = Asked(vae("clamped"), all_in_one)
    assert_same(in_onnx(asked, batch(OTHER), optimize=False), asked(batch(OTHER)), SINGLE)


def test_onnx_noise() -> None:
    """Of the runtime's RandomNormalLike: standard normals that differ from call to call."""
    asked = Asked(vae("plain"), lambda vae, x: (vae(x, num_samples=64).z, vae.encode(x).mu, vae.encode(x).std))
    z, mu, std = in_onnx(asked, batch(64))
    eps = (z - mu) / std
    count = 64 * 64 * LATENT
    assert eps.shape == (64, 64, LATENT)
    assert eps.unique().numel() > 0.99 * count
    # Five standard errors: 1 / sqrt(n) of a mean, sqrt(2 / n) of a variance.
    assert abs(eps.mean().item()) < 5 / count**0.5
    assert abs(eps.var().item() - 1) < 5 * (2 / count) ** 0.5


def compiled(program: torch.export.ExportedProgram, folder: Path) -> Any:
    # A third of the time, the compiler's.
    quick = {"aot_inductor.compile_wrapper_opt_level": "O0", "cpp_cache_precompile_headers": False}
    package = str(folder / "model.pt2")
    path = torch._inductor.aoti_compile_and_package(program, package_path=package, inductor_configs=quick)
    return torch._inductor.aoti_load_package(path)


def test_aot_inductor(tmp_path: Path) -> None:
    asked = Asked(vae("floored"), CALLS["objective"])
    run = compiled(exported(asked, batch(BATCH)), tmp_path)
    assert_same(run(batch(OTHER)), asked(batch(OTHER)), EXACT)


def test_aot_inductor_with_fused_ops(tmp_path: Path) -> None:
    """In a process that has fastvae: an unbounded clamp is no number that JSON does not have."""
    asked = Asked(vae("plain"), lambda vae, x: tensors_of(vae(x, sample=False)))
    with fastvae.use_backend("fused"):
        program = exported(asked, batch(BATCH))
    assert_same(compiled(program, tmp_path)(batch(OTHER)), asked(batch(OTHER)), EXACT)
