"""One process a target: compiles every case and says what became of each kernel, one line of JSON each."""

from __future__ import annotations

import json
import sys

import fastvae
from bench.offline import machine_code
from bench.offline.cases import all_cases
from bench.offline.driver import offline

# Partial sums come in any number.
_UNALIGNED = "_add_segments"


def main(target: str) -> None:
    """Write the kernels of all cases to stdout, each once."""
    seen: set[int] = set()
    with offline(target) as driver, fastvae.use_backend("triton"):
        for case in all_cases():
            driver.launched.clear()
            case.run()
            for kernel in (launched.kernel for launched in driver.launched):
                if id(kernel) not in seen:
                    seen.add(id(kernel))
                    aligned = case.aligned and kernel.name != _UNALIGNED
                    facts = machine_code.facts(kernel)._asdict()
                    name = f"{case.name}: {kernel.name.strip('_')}"
                    row = {"kernel": name, "target": target, "aligned": aligned, "element_bits": case.element_bits}
                    print(json.dumps(row | facts), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
