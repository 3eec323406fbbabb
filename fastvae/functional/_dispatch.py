"""The one place that decides between the kernels and the plain mathematics of `fastvae.reference`.

Arguments are checked before, so that both give the same errors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from fastvae import _backend, _checks


def use_reference(name: str, like: Tensor) -> bool:
    """Did this thread ask for the reference backend, or does the program leave for another runtime?

    Where neither is so, the kernels must run on the device of `like`.
    """
    if _backend.in_plain_torch():
        if is_dynamo_compiling() and not _backend.leaves():
            # Dynamo would write a `use_backend` inside the graph past its threading.local.
            torch._dynamo.graph_break()
        return True
    _checks.fused_device(name, like)
    return False
