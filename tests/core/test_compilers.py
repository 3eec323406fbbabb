"""What the C++ asks of compilers and of DLPack, by what a compiler says of a few lines."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

CSRC = Path(__file__).parents[2] / "csrc"
COMPILER = shutil.which("c++")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs c++")

# Our names of what is published. A tensor's device and dtype are structs there.
LAYOUT = {
    ("Tensor", "DLTensor"): {
        "data": "data",
        "device_type": "device.device_type",
        "device_id": "device.device_id",
        "rank": "ndim",
        "code": "dtype.code",
        "bits": "dtype.bits",
        "lanes": "dtype.lanes",
        "sizes": "shape",
        "strides": "strides",
        "byte_offset": "byte_offset",
    },
    ("ExchangeApi", "DLPackExchangeAPI"): {
        "major_version": "header.version.major",
        "minor_version": "header.version.minor",
        "previous": "header.prev_api",
        "allocate": "managed_tensor_allocator",
        "managed_from_object": "managed_tensor_from_py_object_no_sync",
        "managed_to_object": "managed_tensor_to_py_object_no_sync",
        "tensor_from_object": "dltensor_from_py_object_no_sync",
        "current_stream": "current_work_stream",
    },
}
CODES = {
    "kCpu": "kDLCPU",
    "kCuda": "kDLCUDA",
    "kRocm": "kDLROCM",
    "kSigned": "kDLInt",
    "kUnsigned": "kDLUInt",
    "kFloat": "kDLFloat",
    "kBrainFloat": "kDLBfloat",
    "kBool": "kDLBool",
    "kMajorVersion": "DLPACK_MAJOR_VERSION",
}


def says(code: str, *flags: str) -> str:
    """What the compiler says of a program, "" if nothing."""
    include = [f"-I{CSRC}", "-isystem", str(Path(torch.__file__).parent / "include")]
    command = [str(COMPILER), "-std=c++17", "-fsyntax-only", "-x", "c++", *include, *flags, "-"]
    return subprocess.run(command, input=code, capture_output=True, text=True, check=False).stderr


def test_a_tensor_is_laid_out_as_in_the_header_of_torch() -> None:
    """Torch's copy of dlpack.h is the published one."""
    asserted = [f"static_assert(int(ours::{ours}) == int({published}));" for ours, published in CODES.items()]
    for (struct, published), fields in LAYOUT.items():
        asserted.append(f"static_assert(sizeof(ours::{struct}) == sizeof({published}));")
        asserted += [
            f"static_assert(offsetof(ours::{struct}, {field}) == offsetof({published}, {theirs}));\n"
            f"static_assert(sizeof(ours::{struct}::{field}) == sizeof({published}{{}}.{theirs}));"
            for field, theirs in fields.items()
        ]
    head = '#include <cstddef>\n#include <ATen/dlpack.h>\n#include "dlpack.h"\nnamespace ours = fastvae::dlpack;\n'
    assert not says(head + "\n".join(asserted), "-Wno-invalid-offsetof")


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast"])
def test_flags_that_change_results_are_refused_by_name(flag: str) -> None:
    code = '#include "kernels/common.h"'
    assert not says(code)
    assert '#error "fastvae: -ffast-math, -Ofast' in says(code, flag)
