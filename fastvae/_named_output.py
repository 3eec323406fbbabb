"""What models and losses return: a dict whose entries are attributes, too."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from torch import Tensor
from torch.utils import _pytree

from fastvae._describe import named


class NamedOutput(dict[str, Any]):
    """A dict by the names of its entries, `loss` among them, and a pytree.

    Training loops look for one: Lightning takes it from ``training_step``, and transformers' Trainer finds the loss in
    it. A plain dict, so that whoever copies one entry by entry, as Lightning and Accelerate do, makes another such.
    """

    loss: Tensor

    def __init_subclass__(cls) -> None:
        _pytree.register_pytree_node(
            cls,
            lambda output: (list(output.values()), list(output)),
            lambda values, names: cls(zip(names, values, strict=True)),
            serialized_type_name=f"{cls.__module__}.{cls.__name__}",
            flatten_with_keys_fn=lambda output: (
                [(_pytree.MappingKey[Hashable, Any](name), value) for name, value in output.items()],
                list(output),
            ),
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{name}: takes one of {', '.join(self)}") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({named(self)})"
