"""Kernels of fastvae: what Triton's interpreter loads and stores when it runs them.

Needs ``TRITON_INTERPRET=1`` before Triton is first imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes
from triton.runtime import interpreter

import fastvae
from bench.proofs.traffic import counts
from bench.proofs.traffic.counts import Tally
from bench.proofs.traffic.eager import Kernels
from bench.proofs.traffic.workloads import Workload
from fastvae import _noise, _ops


class Accesses:
    """The addresses that one launch touches in one direction."""

    def __init__(self) -> None:
        self._addresses: dict[int, list[NDArray[np.uint64]]] = {}

    def add(self, pointers: Any, mask: Any) -> None:
        """Note a masked load or store of the interpreter."""
        size = max(1, pointers.get_element_ty().primitive_bitwidth // 8)
        pointer, present = np.broadcast_arrays(pointers.data, mask.data)
        self._addresses.setdefault(size, []).append(pointer[present])

    @property
    def bytes(self) -> int:
        """Of distinct elements: what a launch touches twice comes from memory once."""
        return sum(size * np.unique(np.concatenate(parts)).size for size, parts in self._addresses.items())


def _drawn_on_host(mu: Tensor, generator: torch.Generator | None) -> Tensor:
    with _disable_current_modes():
        return _ops.draw_seed(torch.empty(0), generator)


@contextmanager
def counted() -> Iterator[Tally]:
    """Count the Triton launches of the block, and the kernels of PyTorch's own ops.

    A branch that depends on data counts as it runs. A seed is drawn as for a GPU in eager mode, on the host.
    """
    tally = Tally()
    loads, stores = Accesses(), Accesses()
    builder, grid = interpreter.InterpreterBuilder, interpreter.GridExecutor
    load, store, launch = builder.create_masked_load, builder.create_masked_store, grid.__call__

    def noted_load(self: Any, pointers: Any, mask: Any, *rest: Any, **options: Any) -> Any:
        loads.add(pointers, mask)
        return load(self, pointers, mask, *rest, **options)

    def noted_store(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any, **options: Any) -> Any:
        stores.add(pointers, mask)
        return store(self, pointers, value, mask, *rest, **options)

    def noted_launch(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal loads, stores
        loads, stores = Accesses(), Accesses()
        # The interpreter's own tensors are no work of the kernel's.
        with _disable_current_modes():
            result = launch(self, *args, **options)
        tally.launches += 1
        tally.bytes += loads.bytes + stores.bytes
        return result

    with (
        mock.patch.object(builder, "create_masked_load", noted_load),
        mock.patch.object(builder, "create_masked_store", noted_store),
        mock.patch.object(grid, "__call__", noted_launch),
        mock.patch.object(_noise, "_drawn", _drawn_on_host),
        fastvae.use_backend("triton"),
        np.errstate(all="ignore"),
        Kernels(tally),
    ):
        yield tally


def count(workload: Workload) -> tuple[Tally, Tally]:
    """Forward and backward of fastvae's op."""
    return counts.count(workload.sized.op.fastvae, workload, counted)
