"""Keywords that one function passes on to another: typed for checkers and editors, shown by `inspect.signature`.

Such a function takes ``**keywords: Unpack[SomeKeywords]``; `passes_on` names where they go, and so their defaults.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypedDict, TypeVar

import torch
from torch import Tensor

_Function = TypeVar("_Function", bound=Callable[..., object])


class ScaleKeywords(TypedDict, total=False):
    """What a raw scale means, see `fastvae.functional.reparameterize`."""

    parameterization: str
    clamp: tuple[float, float] | None
    min_std: float
    min_var: float


class DrawKeywords(TypedDict, total=False):
    """How many samples, from which source of noise, see `fastvae.functional.reparameterize`."""

    num_samples: int | None
    eps: Tensor | None
    seed: int | Tensor | None
    generator: torch.Generator | None
    shard: tuple[int, int] | None


def passes_on(*targets: Callable[..., object], **defaults: object) -> Callable[[_Function], _Function]:
    """Makes a function's signature show the keywords of `targets` in place of its own ``**keywords``.

    Args:
        *targets: functions or classes. Their parameters that have a default are shown, as keywords.
        **defaults: of those whose default is another than the target's.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        shown = {name: own for name, own in signature.parameters.items() if own.kind is not own.VAR_KEYWORD}
        for target in targets:
            for name, parameter in inspect.signature(target).parameters.items():
                if parameter.default is not parameter.empty:
                    default = defaults.get(name, parameter.default)
                    shown.setdefault(name, parameter.replace(kind=parameter.KEYWORD_ONLY, default=default))
        vars(function)["__signature__"] = signature.replace(parameters=list(shown.values()))
        return function

    return decorate
