"""Registers, stack and memory instructions of a compiled kernel, read from its machine code."""

from __future__ import annotations

import math
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import triton
from triton.compiler import CompiledKernel

_TOOLS: Final = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_NVIDIA_BITS: Final = {"U8": 8, "S8": 8, "U16": 16, "S16": 16, "64": 64, "128": 128}
_AMD_BITS: Final = {
    "ubyte": 8, "sbyte": 8, "ushort": 16, "sshort": 16, "short": 16, "dword": 32, "dwordx2": 64, "dwordx3": 96,
    "dwordx4": 128,
}  # fmt: skip


class Facts(NamedTuple):
    """Of one kernel for one target.

    Attributes:
        registers: a thread (a lane, on AMD, of vectors).
        stack: bytes a thread.
        spills: registers kept in memory, or instructions that do so.
        loads: the widths of its loads from global memory, in bits, loads of one value for many threads left out, and
            those of what other programs wrote, which pass the cache of a multiprocessor by.
        instructions: in its code.
        arithmetic: the float32 instructions of its PTX that round; empty on AMD.
    """

    registers: int
    stack: int
    spills: int
    loads: list[int]
    instructions: int
    arithmetic: list[str]


class Resources(NamedTuple):
    """Registers and bytes of the stack and of local memory a thread, bytes of shared memory a block."""

    registers: int
    stack: int
    shared: int
    local: int


def facts(kernel: CompiledKernel) -> Facts:
    """Disassemble a kernel compiled for NVIDIA or AMD."""
    return _nvidia(kernel) if "cubin" in kernel.asm else _amd(kernel)


def listing(cubin: bytes) -> str:
    """The disassembly of machine code for NVIDIA, with the bits of each instruction."""
    return _printed(cubin, "nvdisasm", "-c", "-hex")


def resources(cubin: bytes) -> Resources:
    """What a kernel for NVIDIA takes of a multiprocessor, as the assembler noted it."""
    usage = _printed(cubin, "cuobjdump", "--dump-resource-usage")
    return Resources(*map(int, _found(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", usage)))


def _printed(cubin: bytes, tool: str, *options: str) -> str:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(_TOOLS / tool), *options, file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _nvidia(kernel: CompiledKernel) -> Facts:
    cubin = kernel.asm["cubin"]
    registers, stack, _, local = resources(cubin)
    code = _printed(cubin, "nvdisasm", "-c", "-ndf")
    opcodes = re.findall(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", code, re.MULTILINE)
    loads = [_nvidia_bits(opcode) for opcode in opcodes if opcode.startswith("LDG") and "STRONG" not in opcode]
    return Facts(
        registers,
        stack,
        local + sum(opcode.startswith(("LDL", "STL")) for opcode in opcodes),
        _of_elements(loads, kernel),
        sum(opcode != "NOP" for opcode in opcodes),
        sorted(set(re.findall(r"\b((?:add|sub|mul|fma|mad|div|sqrt|rcp|rsqrt)[.\w]*\.f32)\b", kernel.asm["ptx"]))),
    )


def _nvidia_bits(opcode: str) -> int:
    return next((bits for part in opcode.split(".") if (bits := _NVIDIA_BITS.get(part))), 32)


def _amd(kernel: CompiledKernel) -> Facts:
    code = kernel.asm["amdgcn"]
    registers, spilled, stack = (
        int(_found(rf"\.{field}:\s+(\d+)", code)[0])
        for field in ("vgpr_count", "vgpr_spill_count", "private_segment_fixed_size")
    )
    # Scalar registers that are too many are kept in lanes of vector registers; in memory, they would be in the stack.
    widths = re.findall(r"\b(?:global|buffer|flat)_load_([a-z]+(?:x\d)?)\b(?!.* nt\b)", code)
    loads = [_AMD_BITS[width] for width in widths]
    instructions = re.findall(r"^\t(?!\.|;)[a-z]\w+", code, re.MULTILINE)
    return Facts(registers, stack, spilled, _of_elements(loads, kernel), len(instructions), [])


def _found(pattern: str, text: str) -> Sequence[str]:
    match = re.search(pattern, text)
    if match is None:
        raise ValueError(f"disassembly: got no {pattern!r}; takes the output of another version of the tools")
    return match.groups()


def _of_elements(loads: list[int], kernel: CompiledKernel) -> list[int]:
    """The loads without those of one value for all threads or for a group, which the intermediate code tells apart."""
    threads = kernel.metadata.num_warps * kernel.metadata.target.warp_size
    others: Counter[int] = Counter()
    for shape, bits in re.findall(r"tt\.load .* : (?:tensor<((?:\d+x)+1x))?!tt\.ptr<[a-z]+(\d+)>", kernel.asm["ttir"]):
        values = math.prod(map(int, shape.split("x")[:-1])) if shape else 1
        others[int(bits)] += max(1, values // threads)
    return sorted((Counter(loads) - others).elements())
