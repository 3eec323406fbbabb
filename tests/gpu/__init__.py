"""Tests that need a GPU. FASTVAE_GPU_DRY_RUN=1 runs those it can on the CPU, in Triton's interpreter.

FASTVAE_GPU_DRY_RUN=machine runs them on the SIMT machine of tests/simt, which executes the compiled code.
"""
