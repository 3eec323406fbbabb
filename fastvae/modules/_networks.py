"""Calls of the user's networks: errors name the inputs, and several samples of a batch go through as one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.compiler import is_dynamo_compiling

from fastvae._describe import describe
from fastvae._folding import unfold


def call(name: str, network: Callable[..., Any], **inputs: object) -> Any:
    """``network(*inputs)``.

    Raises:
        TypeError, ValueError: the inputs do not fit the network, in the message `name`.
    """
    # torch.compile cannot resume after a graph break within a try block.
    if is_dynamo_compiling():
        return network(*inputs.values())
    try:
        return network(*inputs.values())
    except (AttributeError, TypeError) as error:
        for argument, value in inputs.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"{argument}: got {type(value).__name__}; takes a torch.Tensor") from error
        raise
    except (IndexError, RuntimeError, ValueError) as error:
        # torch raises these for dtypes and shapes; their subclasses are other errors, such as of memory or a compiler.
        if type(error) not in (IndexError, RuntimeError, ValueError):
            raise
        raise _misfit(name, network, inputs, error) from error


def _misfit(name: str, network: Callable[..., Any], inputs: dict[str, object], error: Exception) -> Exception:
    """torch's error in a network, with the inputs and what the network takes: a TypeError where dtypes differ."""
    parameters = network.parameters() if isinstance(network, nn.Module) else iter(())
    dtype = next((parameter.dtype for parameter in parameters if parameter.is_floating_point()), None)
    dtypes = {dtype} | {value.dtype for value in inputs.values() if isinstance(value, Tensor)}
    got = " and ".join(map(describe, inputs.values()))
    which = type(network).__name__ + (f", {str(dtype).removeprefix('torch.')}" if dtype else "")
    message = f"{', '.join(inputs)}: got {got}; takes inputs of {name} ({which}), which says: {error}"
    return TypeError(message) if len(dtypes - {None}) > 1 else ValueError(message)


def folded(network: Callable[..., Any], z: Tensor, *inputs: Tensor, folds: bool) -> Any:
    """`network(z, *inputs)`; with `folds`, z of ``[num_samples, batch, ...]`` goes through in one batch.

    The inputs are repeated for each sample. Tensors, also in tuples, lists and dicts, come back unfolded.
    """
    if not folds:
        return network(z, *inputs)
    lead = z.shape[:2]
    return unfold(network(z.flatten(0, 1), *(repeated(value, lead[0]).flatten(0, 1) for value in inputs)), lead)


def repeated(target: Tensor, num_samples: int | None) -> Tensor:
    """The target once for each sample, ``[num_samples, ...]``: an expanded view, not a copy."""
    return target if num_samples is None else target.expand(num_samples, *target.shape)
