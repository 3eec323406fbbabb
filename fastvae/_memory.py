"""Which bytes a strided tensor covers, and whether what is written there would be read elsewhere."""

from __future__ import annotations

from torch import Tensor


def _span(value: Tensor) -> tuple[int, int] | None:
    """The address range, from the first byte to the one behind the last; None where there is no memory."""
    if value.numel() == 0 or value.untyped_storage().device.type == "meta" or value.data_ptr() == 0:
        return None
    last = sum((size - 1) * stride for size, stride in zip(value.shape, value.stride(), strict=True))
    return value.data_ptr(), value.data_ptr() + (last + 1) * value.element_size()


def overlap(first: Tensor, second: Tensor) -> bool:
    """Do the address ranges of the two intersect? Views whose elements only interleave count, too."""
    one, other = _span(first), _span(second)
    return one is not None and other is not None and one[0] < other[1] and other[0] < one[1]


def same_view(first: Tensor, second: Tensor) -> bool:
    """Are the two the same view: address, dtype, shape and strides?"""
    return (
        first.data_ptr() == second.data_ptr()
        and first.dtype == second.dtype
        and first.is_neg() == second.is_neg()
        and first.shape == second.shape
        and first.stride() == second.stride()
    )


def shares_elements(value: Tensor) -> bool:
    """May two indices have one address, as in an expanded view or in overlapping windows?

    Ordered by stride, each dimension has to step over all that the ones before it cover. A view whose dimensions
    interleave without a common element is taken for one that shares.
    """
    covered = 1
    for stride, size in sorted(zip(value.stride(), value.shape, strict=True)):
        if size > 1 and stride < covered:
            return value.numel() > 0
        covered += (size - 1) * stride
    return False
