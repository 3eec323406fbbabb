"""The compiled extension, or what to do where Python found none."""

import importlib.util
from pathlib import Path

import torch as torch  # its OpenMP runtime is the extension's, which finds it in the process by its name

# In the root of a checkout Python finds this folder of sources before an installed copy.
if importlib.util.find_spec("fastvae._C") is None:
    raise ImportError(
        f"fastvae: got its sources in {Path(__file__).parent}, which have no compiled extension and hide an installed "
        "copy; takes another working directory: cd .., or an editable install of the checkout: pip install -e ."
    )

from fastvae import _C

__all__ = ["_C"]
