"""The rules of the log densities and of the bound made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fastvae._options import DensityOptions
from fastvae._vmap import _rows
from fastvae._vmap._rows import Dims, Many, One, OneResult, Results


def log_normal(
    op: One, rows: int, dims: Dims, z: Tensor, mu: Tensor | None, scale: Tensor | None, options: DensityOptions
) -> OneResult:
    shape = _rows.row_shape(z, dims[0])
    operands = _rows.operands((z, mu, scale), dims[:3], rows, len(shape))
    reduction, batch_dims, factor = _rows.folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    return _rows.times(op(*operands, over_all), factor), 0


def log_normal_backward(
    op: Many, rows: int, dims: Dims, grad_log_prob: Tensor, z: Tensor, mu: Tensor | None, scale: Tensor | None,
    options: DensityOptions, wanted: Sequence[bool],
) -> Results:  # fmt: skip
    of_log_prob, *of_operands = dims[:4]
    shape = _rows.row_shape(z, of_operands[0])
    operands = _rows.operands((z, mu, scale), of_operands, rows, len(shape))
    reduction, batch_dims, factor = _rows.folded(options.reduction, options.batch_dims, shape)
    over_all = options._replace(reduction=reduction, batch_dims=batch_dims)
    gradients = op(_rows.upstream(grad_log_prob, of_log_prob, rows, factor), *operands, over_all, wanted)
    return _rows.of_operands(gradients, wanted, (z, mu, scale), of_operands)


def row_by_row(op: Callable[..., Sequence[Tensor]], rows: int, dims: Dims, *arguments: object) -> Results:
    """One call a row: each is a sum over pairs that rows do not share."""
    each = [
        op(*(_at(argument, dim, row) for argument, dim in zip(arguments, _of_arguments(dims, arguments), strict=True)))
        for row in range(rows)
    ]
    return tuple(map(torch.stack, zip(*each, strict=True))), (0,) * len(each[0])


def _of_arguments(dims: Dims, arguments: Sequence[object]) -> list[int | None]:
    """The batched dimension of each argument, where an options tuple, which has none, is one argument."""
    tensors = sum(argument is None or isinstance(argument, Tensor) for argument in arguments)
    return [*dims[:tensors], *(None,) * (len(arguments) - tensors)]


def _at(argument: object, dim: int | None, row: int) -> object:
    return argument if dim is None or not isinstance(argument, Tensor) else argument.select(dim, row)


def importance_weighted_bound(op: One, rows: int, dims: Dims, log_w: Tensor, dim: int) -> OneResult:
    return op(_rows.rows_at(0, log_w, dims[0], rows), dim + 1), 0


def importance_weighted_bound_backward(
    op: One, rows: int, dims: Dims, grad_bound: Tensor, log_w: Tensor, bound: Tensor, dim: int
) -> OneResult:
    tensors = zip((grad_bound, log_w, bound), dims, strict=False)
    return op(*[_rows.rows_at(0, tensor, of, rows) for tensor, of in tensors], dim + 1), 0
