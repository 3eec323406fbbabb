"""Models whose parameters `torch.distributed.fsdp.fully_shard` has sharded over processes (FSDP2).

FSDP gathers parameters before `forward` and no other method, so that the others would compute with a process's shard.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from fastvae.distributions import DiagonalGaussian

_METHODS: Final = ("encode", "encode_prior", "decode", "reconstruct", "log_weights")
_WITHOUT_GRADIENT: Final = ("sample", "predict", "log_likelihood")


def gather_in_methods(cls: type) -> None:
    """Have the methods of a sharded model gather its parameters; any other class stays as it is.

    `fully_shard` makes one class of FSDPModule and the class of the model, and this one is changed.
    """
    # Not imported for models that are not sharded; whoever has sharded one has imported it.
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None or not issubclass(cls, fsdp.FSDPModule):
        return
    sharded: Any = cls
    sharded._are_gathered = False
    sharded._gathered_call = _within(_call)
    sharded.forward = _within(sharded.forward)
    for name in (*_METHODS, *_WITHOUT_GRADIENT):
        if hasattr(sharded, name):
            setattr(sharded, name, _gathering(getattr(sharded, name), reshard=name in _WITHOUT_GRADIENT))


def _call(self: Any, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> tuple[Any, list[Any]]:
    """What `method` returns, and the tensors in it, which FSDP does not look for in a DiagonalGaussian.

    It gathers parameters for the backward pass, and sums their gradients over the processes, where such a tensor gets
    its gradient.
    """
    output = method(self, *args, **kwargs)
    return output, list(vars(output).values()) if isinstance(output, DiagonalGaussian) else []


def _within(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method`, in which other methods find the parameters gathered, and leave them so."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        before, self._are_gathered = self._are_gathered, True
        try:
            return method(self, *args, **kwargs)
        finally:
            self._are_gathered = before

    return call


def _gathering(method: Callable[..., Any], *, reshard: bool) -> Callable[..., Any]:
    """`method` between the hooks that FSDP puts around `forward`."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._are_gathered:
            return method(self, *args, **kwargs)
        if "_gathered_call" not in vars(self):
            from torch.distributed.fsdp import register_fsdp_forward_method

            register_fsdp_forward_method(self, "_gathered_call")
        output, _ = self._gathered_call(method, *args, **kwargs)
        if reshard:
            # FSDP leaves the parameters of the outermost module gathered for a backward pass, which does not come here:
            # an optimizer's next step would change the shards, and the next forward would use what was gathered before.
            self.reshard()
        return output

    return call
