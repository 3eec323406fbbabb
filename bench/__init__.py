"""Benchmarks of fastvae against eager PyTorch and torch.compile: ``python -m bench.run``, from a checkout."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
# For processes that profile: Kineto announces each trace on stderr, and torch what is freed that it did not see made.
QUIET: Final = {"KINETO_LOG_LEVEL": "9", "TORCH_CPP_LOG_LEVEL": "ERROR"}
