"""Benchmarks on one GPU: ``bench/gpu.sh OUT`` runs all of them, after the tests that need a GPU."""

from typing import Final

FILE: Final = "gpu.csv"
