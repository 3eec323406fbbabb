"""Calls of the user's networks: what a network fails on is named, and several samples go through as one batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.compiler import is_dynamo_compiling

from fastvae._describe import describe
from fastvae._folding import unfold


def call(name: str, network: Callable[..., Any], **inputs: Any) -> Any:
    """``network(*inputs)``.

    Raises:
        TypeError, ValueError: torch refuses what the network, called `name`, makes of its inputs.
    """
    # Inside a try block torch.compile could not go on after a graph break of the network.
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
        # With these torch refuses dtypes and shapes. Classes derived from them are of memory or a compiler.
        if type(error) not in (IndexError, RuntimeError, ValueError):
            raise
        raise _refusal(name, network, inputs, error) from error


def _refusal(name: str, network: Callable[..., Any], inputs: dict[str, Any], error: Exception) -> Exception:
    """What torch says of a network, in terms of its inputs."""
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
    """The target seen by each sample: a view."""
    return target if num_samples is None else target.expand(num_samples, *target.shape)
