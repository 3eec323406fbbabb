"""How few instructions an element the kernels of large tensors are to take, on sm_90."""

from __future__ import annotations

from typing import Final, NamedTuple


class Limit(NamedTuple):
    """At most so many: what must hold, and what is aimed for."""

    must: int
    goal: int


_LIMITS: Final = {
    "reparameterize_kl": Limit(105, 75),
    "reparameterize_kl_packed": Limit(105, 75),
    "bce_logits": Limit(45, 28),
    "bce_logits bfloat16 uint8": Limit(45, 30),
    "bce_probabilities": Limit(65, 45),
}


def limit(kernel: str) -> Limit | None:
    """Of a kernel by its name; None where nothing is asked."""
    op, dtype, *_ = kernel.split()
    return _LIMITS.get(f"{op} {dtype} uint8" if "uint8 target" in kernel else op)
