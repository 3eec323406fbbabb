"""Instructions an element of the kernels of large tensors: ``python -m bench.proofs.sm_model.counted TARGET [TEXT]``.

One line of JSON for each kernel whose name has the text in it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from bench.proofs.compiled import large, machine_code
from bench.proofs.sm_model import sass
from bench.proofs.sm_model.counts import Count, per_element


def main(target: str, text: str = "") -> None:
    """Print the counts as JSON."""
    chosen = [op for op in large.OPS if text in large.name_of(op)]
    for name, kernel, elements in large.compiled(target, chosen):
        code = sass.parse(machine_code.listing(kernel.asm["cubin"]))
        counted = per_element(code, kernel.metadata.num_warps, elements)
        print(json.dumps(asdict(Count(name, target, counted))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
