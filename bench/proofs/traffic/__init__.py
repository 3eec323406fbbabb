"""Bytes moved and kernels launched on a GPU, counted without one: ``python -m bench.traffic_report``."""
