"""What holds for every Triton op: outputs as the fake ones, no host read, and clear errors where it cannot run."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from fastvae import _ops, _triton
from fastvae._options import DensityOptions, Packing, PosteriorOptions, ReconstructionOptions, ScaleForm
from fastvae._triton import _launch, _layout, _operands
from tests.support.backends import on
from tests.support.layouts import LAYOUTS, expand_first

VIEWS = {**LAYOUTS, "expanded": expand_first}
FORM = ScaleForm("logvar", -5.0, 5.0, 0.0, 0.0)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cases(layout: str) -> dict[str, tuple[Any, ...]]:
    """Arguments of every op, tensors of [2, 4, 3, 8] in `layout`."""
    first, second, third = (VIEWS[layout](normal(2, 4, 3, 8, seed=seed)) for seed in range(3))
    probability, target = (
        VIEWS[layout](normal(2, 4, 3, 8, seed=3).sigmoid()),
        VIEWS[layout](normal(2, 4, 3, 8, seed=4).sigmoid()),
    )
    prior, seed, one, sample = (torch.zeros(4, 1, 1), torch.zeros(())), torch.tensor([3]), torch.ones(()), torch.ones(2)
    given, posterior = (*prior, None, seed), PosteriorOptions(None, FORM, "sample", 1)
    pair = (target, torch.ones(2, 1, 1, 1), None)
    bce = ReconstructionOptions("binary_cross_entropy", False, "mean", 1)
    density = DensityOptions(FORM, "batchmean", 1)
    moments = torch.cat([first, second], 1)
    return {
        "reparameterize_kl": (first, second, *given, posterior),
        "reparameterize_kl_backward": (third, sample, first, second, *given, posterior, [True] * 4),
        "reparameterize_kl_packed": (moments, *given, Packing(1, False), posterior),
        "reparameterize_kl_packed_backward": (third, sample, moments, *given, Packing(1, False), posterior, [True] * 3),
        "reconstruction": (probability, *pair, bce, True, (True, False)),
        "reconstruction_backward": (one, first, *pair, bce._replace(loss="mse_loss"), [True, True, False]),
        "log_normal": (first, second, prior[0], density),
        "log_normal_backward": (one, first, second, prior[0], density, [True] * 3),
        "importance_weighted_bound": (first, 0),
        "importance_weighted_bound_backward": (torch.ones(4, 3, 8), first, torch.zeros(4, 3, 8), 0),
    }


OPS = tuple(cases("contiguous"))


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("layout", VIEWS)
def test_outputs_have_the_shape_dtype_and_strides_of_the_fake_ones(op: str, layout: str) -> None:
    arguments = cases(layout)[op]
    with on("triton"):
        real = getattr(_ops, op)(*arguments)
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        fake = getattr(_ops, op)(*tree_map(lambda a: mode.from_tensor(a) if isinstance(a, Tensor) else a, arguments))
    real, fake = ([value] if isinstance(value, Tensor) else value for value in (real, fake))
    for value, other in zip(real, fake, strict=True):
        if value is None:
            assert other is None or other.numel() == 0
            continue
        assert (value.shape, value.dtype, value.stride()) == (other.shape, other.dtype, other.stride())


class _NoHostRead(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "a tensor was read on the host"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("op", OPS)
def test_no_op_reads_a_tensor_on_the_host(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_operands, "on_host", lambda seed: False)
    with np.errstate(all="ignore"), _NoHostRead():
        getattr(_triton, op)(*cases("contiguous")[op])


def test_scaling_reads_nothing_on_the_host() -> None:
    with _NoHostRead():
        _triton.scale_gradients(torch.ones(5), torch.ones(3), None, torch.ones(()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gradient_is_scaled_where_it_lies(dtype: torch.dtype, layout: str) -> None:
    grad = VIEWS[layout](normal(2, 4, 3, 8).to(dtype))
    before = grad.clone()
    with on("triton"):
        _ops.scale_gradients(grad, None, None, torch.tensor(1.0, dtype=torch.float64))
        assert torch.equal(grad, before)
        _ops.scale_gradients(grad, None, None, torch.tensor(-0.5))
    assert torch.equal(grad, -0.5 * before)


def test_gradients_of_several_operands_are_scaled_together() -> None:
    shapes = (3, 4099), (7,), (2, 1030)
    gradients = [normal(*shape) for shape in shapes]
    before = [gradient.clone() for gradient in gradients]
    with on("triton"):
        _ops.scale_gradients(*gradients, torch.tensor(-2.0))
    assert all(torch.equal(after, -2 * value) for after, value in zip(gradients, before, strict=True))


def test_a_gradient_of_more_tiles_than_programs_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    # The module, which the op of the same name hides.
    monkeypatch.setattr(importlib.import_module("fastvae._triton.reconstruction"), "_SCALE_PROGRAMS", 2)
    grad = normal(5, 4099)
    before = grad.clone()
    with on("triton"):
        _ops.scale_gradients(grad, None, None, torch.tensor(3.0))
    assert torch.equal(grad, 3 * before)


def test_every_op_is_there() -> None:
    registered = {name for name in torch._C._dispatch_get_all_op_names() if name.startswith("fastvae::")}
    assert {f"fastvae::{name}" for name in (*_triton.__all__, "seed")} == registered


@pytest.mark.parametrize("block", [pytest.param(16, marks=pytest.mark.slow), 64])
@pytest.mark.parametrize("layout", VIEWS)
def test_results_do_not_depend_on_the_block(block: int, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = cases(layout)["reparameterize_kl"]
    with on("triton"):
        z, kl = _ops.reparameterize_kl(*arguments)
        monkeypatch.setattr(_launch, "_INTERPRETED", _launch.Blocking(block, 128))
        other_z, other_kl = _ops.reparameterize_kl(*arguments)
    assert torch.equal(z, other_z)
    torch.testing.assert_close(kl, other_kl, rtol=3e-7, atol=0)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every tensor counts as one of 2^31 elements."""
    monkeypatch.setattr(_layout, "_INT32_ELEMENTS", 0)
    _layout.plan.cache_clear()
    yield
    _layout.plan.cache_clear()


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("layout", ["contiguous", "half"])
def test_results_do_not_depend_on_the_width_of_an_index(op: str, layout: str, request: pytest.FixtureRequest) -> None:
    arguments = cases(layout)[op]
    with on("triton"):
        narrow = getattr(_ops, op)(*arguments)
        request.getfixturevalue("wide")
        result = getattr(_ops, op)(*arguments)
    narrow, result = ([value] if isinstance(value, Tensor) else value for value in (narrow, result))
    assert all(value is other is None or torch.equal(value, other) for value, other in zip(narrow, result, strict=True))


def _run(code: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return result.stdout


_CALL = """
import torch, fastvae, fastvae.functional as F
with fastvae.use_backend("triton"):
    try:
        F.mse_loss(torch.zeros(2, 3), torch.zeros(2, 3))
    except {error} as error:
        print(error)
"""


def test_a_cpu_tensor_without_the_interpreter_is_an_error_that_names_it() -> None:
    message = _run(_CALL.format(error="RuntimeError"))
    assert "TRITON_INTERPRET=1" in message


def test_a_missing_triton_is_an_error_that_says_how_to_install_it() -> None:
    message = _run("import sys; sys.modules['triton'] = None" + _CALL.format(error="ImportError"))
    assert "pip install triton" in message


def test_importing_fastvae_does_not_import_triton() -> None:
    assert _run("import sys, fastvae; print('triton' in sys.modules)").strip() == "False"
