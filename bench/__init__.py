"""Benchmarks of fastvae against eager PyTorch and torch.compile: ``python -m bench.run``, from a checkout."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
