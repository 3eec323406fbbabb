"""Do what README.md has a newcomer type, in the folder this is called from: ``python tools/readme.py``.

Called by its path and not as a module: the checkout is then not among the folders that Python imports from.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def snippets() -> list[str]:
    """The blocks of Python. Each may use what those before it have left."""
    return re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def commands() -> list[str]:
    """The lines, of those set as code, that begin with ``fastvae``."""
    return re.findall(r"^    (fastvae .*)$", TEXT, re.MULTILINE)


def main() -> None:
    """Run the snippets, as one program, and the command lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only-snippets", action="store_true")
    only_snippets = parser.parse_args().only_snippets
    lines = commands()
    if not snippets() or not lines:
        raise SystemExit("README.md: got no snippet, or no command of fastvae; takes both")
    # -P: nothing is imported from the folder either.
    program = "\n".join([*snippets(), "print('snippets of', fastvae.__file__)"])
    subprocess.run([sys.executable, "-P", "-c", program], check=True)
    for line in [] if only_snippets else lines:
        print("$", line, flush=True)
        subprocess.run(shlex.split(line), check=True)


if __name__ == "__main__":
    main()
