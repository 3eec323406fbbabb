"""One process a target: compiles every variant and prints facts of each kernel, one line of JSON each."""

from __future__ import annotations

import json
import sys

import fastvae
from bench.proofs.compiled import machine_code
from bench.proofs.compiled.driver import offline
from bench.proofs.compiled.variants import all_variants

# Scales the gradient of a learned sigma, too, which has any number of elements.
_UNALIGNED = "gaussian_nll", "_scale"


def main(target: str, text: str = "") -> None:
    """Write the kernels of all variants that have the text in their names to stdout, each once."""
    seen: set[int] = set()
    with offline(target) as driver, fastvae.use_backend("triton"):
        for variant in (variant for variant in all_variants() if text in variant.name):
            driver.launched.clear()
            variant.run()
            for kernel in (launched.kernel for launched in driver.launched):
                if id(kernel) not in seen:
                    seen.add(id(kernel))
                    facts = machine_code.facts(kernel)._asdict()
                    name = f"{variant.name}: {kernel.name.strip('_')}"
                    row = {
                        "kernel": name,
                        "target": target,
                        "aligned": variant.aligned and (variant.name.split()[0], kernel.name) != _UNALIGNED,
                        "element_bits": variant.element_bits,
                        "lanes": variant.lanes,
                    }
                    print(json.dumps(row | facts), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
