"""What tests compile is kept from run to run, in what git ignores; it is found again by all that it was made from."""

from pathlib import Path
from typing import Final

KEPT: Final = Path(__file__).parents[2] / "build" / "tests"
