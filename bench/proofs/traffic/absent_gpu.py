"""Let inductor generate code for an H200 in a process without a GPU.

Inductor asks about the device in three places: Dynamo's interface for ``cuda``, `torch.cuda`, and Triton's driver. Each
answers here as an H200 would, until the process ends. Nothing can run there: tensors on the device are fake, and graphs
are traced on the CPU and then moved, because autograd asks even for a fake tensor's stream. A compiler pass that runs
an op on fake tensors may ask too, and then fails: the gradient of a slice does so, that of a chunk does not.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

import torch
from torch import Tensor
from torch._dynamo import device_interface
from torch._inductor import compile_fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.utils._pytree import tree_map
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

_DEVICE: Final = torch.device("cuda", 0)
_CAPABILITY: Final = (9, 0)
_PROPERTIES: Final = SimpleNamespace(
    major=_CAPABILITY[0],
    multi_processor_count=132,
    regs_per_multiprocessor=65536,
    max_threads_per_multi_processor=2048,
    max_threads_per_block=1024,
    warp_size=32,
)


class _Interface(device_interface.CudaInterface):
    """What Dynamo and inductor ask about the devices of a type."""

    class Worker(device_interface.CudaInterface.Worker):
        @staticmethod
        def get_device_properties(device: Any = None) -> Any:
            return _PROPERTIES

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def get_device_properties(device: Any = None) -> Any:
        return _PROPERTIES

    @staticmethod
    def get_compute_capability(device: Any = None) -> Any:
        return _target().arch

    @staticmethod
    def is_bf16_supported(including_emulation: bool = False) -> bool:
        return True

    @staticmethod
    def is_triton_capable(device: Any = None) -> bool:
        return True


def _target() -> GPUTarget:
    major, minor = _CAPABILITY
    return GPUTarget("cuda", 10 * major + minor, _PROPERTIES.warp_size)


@functools.cache
def pretend() -> None:
    """Answer for the device from now on."""
    device_interface.get_interface_for_device("cuda")  # the first question registers PyTorch's own answers
    device_interface.register_interface_for_device("cuda", _Interface)
    driver.set_active(SimpleNamespace(get_current_target=_target))
    mock.patch.object(torch.cuda, "get_device_capability", return_value=_CAPABILITY).start()
    # This pass gives each node a fake result, as `move` has already done. It would run the moved graph to do so, and
    # indexing a CUDA tensor asks for the device even of a fake one.
    mock.patch.object(compile_fx, "fake_tensor_prop", lambda graph, inputs, *_: mode_of(inputs)).start()


def mode_of(inputs: Sequence[Any]) -> FakeTensorMode:
    """The mode that fake `inputs` belong to."""
    mode = torch._guards.detect_fake_mode(inputs)
    assert mode is not None
    return mode


def move(graph: GraphModule, inputs: Sequence[Any]) -> list[Any]:
    """Move a traced `graph` from the CPU to the device, and return its fake `inputs` there."""

    def there(value: Any) -> Any:
        if isinstance(value, torch.device):
            return _DEVICE
        if isinstance(value, Tensor):
            return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=_DEVICE)
        return value

    with mode_of(inputs):
        for node in graph.graph.nodes:
            node.args, node.kwargs = tree_map(there, node.args), tree_map(there, node.kwargs)
            if "val" in node.meta:
                node.meta["val"] = tree_map(there, node.meta["val"])
        graph.recompile()
        return [there(value) for value in inputs]
