"""Benchmarks on a CPU: ``python -m bench.run`` runs all of them, one process for each allocator and thread count."""
