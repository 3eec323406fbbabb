"""What a kernel that only draws compiles to with contraction forbidden and allowed: the PTX of both, as JSON.

Run as a script, without the interpreter.
"""

from __future__ import annotations

import json

import torch
import triton
import triton.language as tl

from bench.proofs.compiled.driver import offline
from fastvae._triton import noise


@triton.jit
def draw(seed, by_group, by_element):
    group = tl.program_id(0) * 64 + tl.arange(0, 64)[None, :, None]
    index = group * 4 + tl.arange(0, 4)[None, None, :]
    tl.store(by_group + index, noise.normal_groups(tl.load(seed), group.to(tl.int64)))
    tl.store(by_element + index, noise.normal_elements(tl.load(seed), index.to(tl.int64)))


def main() -> None:
    seed, normals = torch.zeros(1, dtype=torch.int64), torch.zeros(2, 256)
    found = []
    with offline("sm_90") as driver:
        for contract in (False, True):
            draw[(1,)](seed, *normals, num_warps=1, enable_fp_fusion=contract)
            found.append(driver.launched[-1].kernel.asm["ptx"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
