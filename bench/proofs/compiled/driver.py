"""In place of a GPU's driver: Triton compiles for a target, and launches are recorded, or go to a fake libcuda."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import torch
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.driver import CudaLauncher, CudaUtils
from triton.compiler import CompiledKernel
from triton.runtime.driver import driver

from fastvae._triton import _launch

_FAKE_CUDA: Final = Path(__file__).parent / "fake_cuda.c"

TARGETS: Final = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}


class Launched(NamedTuple):
    """A launch: the kernel, how many programs, and the arguments as Triton's launcher would get them."""

    kernel: CompiledKernel
    programs: int
    arguments: tuple[Any, ...]


class OfflineDriver:
    """Answers what Triton asks of a driver, and records what it would launch."""

    def __init__(self, target: GPUTarget) -> None:
        self.target = target
        self.launched: list[Launched] = []
        self.utils: CudaUtils | None = None

    def get_current_target(self) -> GPUTarget:
        """The device that kernels are compiled for."""
        return self.target

    def get_current_device(self) -> int:
        """Its number."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """The default stream."""
        return 0

    def get_active_torch_device(self) -> torch.device:
        """Where the tensors are."""
        return torch.device("cpu")

    def load(self, kernel: CompiledKernel) -> None:
        """In place of loading a binary and compiling the C function that launches it."""

        def launch(programs: int, *arguments: Any) -> None:
            # y, z, stream, function, metadata and three hooks come before what the kernel is given.
            self.launch(Launched(kernel, programs, arguments[8:]))

        kernel.module, kernel.function, kernel._run = kernel.name, kernel.name, launch

    def launch(self, launched: Launched) -> None:
        """Take note of a launch."""
        self.launched.append(launched)


@contextmanager
def offline(target: str, there: OfflineDriver | None = None) -> Iterator[OfflineDriver]:
    """Launch on CPU tensors as on a device of `TARGETS`. One target a process: kernels cache what they compile."""
    there = there or OfflineDriver(TARGETS[target])
    driver.set_active(there)
    with (
        mock.patch.object(_launch, "check_device"),
        mock.patch.object(CompiledKernel, "_init_handles", lambda kernel: there.load(kernel)),
    ):
        yield there


@contextmanager
def fake_cuda(folder: Path) -> Iterator[ctypes.CDLL]:
    """Launch on CPU tensors as on an sm_90, down to the C function that Triton compiles to launch a kernel.

    What that function calls is `fake_cuda.c`, compiled into `folder`; its variables are yielded. Needs a C compiler.
    """
    library = folder / "libcuda.so.1"
    include = Path(nvidia.__file__).parent / "include"
    command = [
        "cc",
        "-shared",
        "-fPIC",
        "-Wl,-soname,libcuda.so.1",
        "-I",
        str(include),
        "-o",
        str(library),
        str(_FAKE_CUDA),
    ]
    subprocess.run(command, check=True)
    (folder / "libcuda.so").symlink_to(library)
    # Found under its name from now on, wherever it is.
    fake = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    there = OfflineDriver(TARGETS["sm_90"])

    def load(kernel: CompiledKernel) -> None:
        if kernel.module is None:
            kernel.module, kernel.function = kernel.name, 1
            kernel._run = CudaLauncher(kernel.src, kernel.metadata)

    driver.set_active(there)
    with (
        mock.patch.object(_launch, "check_device"),
        mock.patch.object(CompiledKernel, "_init_handles", load),
        mock.patch.dict(os.environ, TRITON_LIBCUDA_PATH=str(folder)),
    ):
        there.utils = CudaUtils()  # Triton 3.7 takes from there what launches
        yield fake
