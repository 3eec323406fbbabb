"""Counts in .h5ad files, such as those of genes in cells: sparse from the file to the batch.

Small ones are in memory, in compressed rows; larger ones are copied once into mapped files of the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastvae.train.errors import UserError
from fastvae.train.files import cache, stable
from fastvae.train.files.sources import Counts
from fastvae.train.files.stable import Parts

# So many values that are not 0 stay in memory: 8 bytes each.
IN_MEMORY: Final = 2**26
_ROWS: Final = 4096  # read at once
_EXACT: Final = 2**24  # float32 holds every whole number up to this one


class Cells(NamedTuple):
    """The rows of a file.

    Attributes:
        counts: of all of them.
        parts: those that train and those that test, by a hash of their names.
        labels: ``[count]`` int64, zeros without a `label_key`.
        label_names: what they stand for, in their order.
    """

    counts: Counts
    parts: Parts
    labels: NDArray[np.int64]
    label_names: list[str]


def read(path: Path, layer: str | None, label_key: str | None, cache_dir: str | None) -> Cells:
    """The counts in `path`.

    Args:
        path: of the file.
        layer: whose counts, those of X if left out.
        label_key: the column of obs that has the labels.
        cache_dir: see `cache.place`.

    Raises:
        UserError: a damaged file, no such layer or column, anything but counts in it, a label left out.
    """
    if find_spec("anndata") is None:
        raise UserError(f"{path}: anndata is not installed, which reads it: pip install 'fastvae[counts]'")
    with _opened(path) as file:
        from anndata.io import read_elem

        obs = read_elem(file["obs"])
        matrix = _matrix(path, file, layer)
        count, features = matrix.shape
        if count < 2 or not features:
            raise UserError(f"{path}: {count} cells of {features} features; takes at least 2 of at least 1")
        labels, label_names = _labels(path, obs, label_key)
        counts = _counts(path, matrix, layer, cache_dir)
    return Cells(counts, stable.parts(stable.of_names(list(map(str, obs.index)))), labels, label_names)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _stands_alone(path, file)
            yield file
    except UserError:
        raise
    # A damaged file may be found out wherever it is first used, by HDF5, by anndata or by pandas.
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: no .h5ad file that can be read ({why})") from error


def _stands_alone(path: Path, file: Any) -> None:
    """Refuse what would have HDF5 open other files, whichever ones the file names."""
    import h5py

    def linked(name: str, link: Any) -> str | None:
        return f"{name} is a link to another file" if isinstance(link, h5py.ExternalLink) else None

    def elsewhere(name: str, found: Any) -> str | None:
        away = isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
        return f"{name} is stored in another file" if away else None

    why = file.visititems_links(linked) or file.visititems(elsewhere)
    if why:
        raise UserError(f"{path}: {why}; takes files that hold all that they have")


def _matrix(path: Path, file: Any, layer: str | None) -> Any:
    """What has a shape and gives rows, sparse ones or dense ones."""
    import h5py
    from anndata.io import sparse_dataset

    layers = file.get("layers", {})
    if layer is not None and layer not in layers:
        raise UserError(f"--layer: got {layer!r}; {path} has {', '.join(map(repr, layers)) or 'none'}")
    found = file["X"] if layer is None else layers[layer]
    if isinstance(found, h5py.Dataset):
        return found
    matrix = sparse_dataset(found)
    # Rows of compressed columns are all over the file.
    return matrix if matrix.format == "csr" else matrix.to_memory().tocsr()


def _labels(path: Path, obs: Any, key: str | None) -> tuple[NDArray[np.int64], list[str]]:
    if key is None:
        return np.zeros(len(obs), np.int64), []
    if key not in obs.columns:
        raise UserError(f"--label-key: got {key!r}; {path} has {', '.join(map(repr, obs.columns)) or 'none'}")
    column = obs[key].astype("category")
    codes = column.cat.codes.to_numpy().astype(np.int64)
    if (codes < 0).any():
        raise UserError(f"{path}: {key}: {int((codes < 0).sum())} cells have no label; takes one for each")
    used, labels = np.unique(codes, return_inverse=True)
    return labels.astype(np.int64), [str(column.cat.categories[code]) for code in used]


def _rows(path: Path, matrix: Any) -> Iterator[Any]:
    """Compressed rows, some at once, checked."""
    from scipy.sparse import csr_matrix

    for start in range(0, matrix.shape[0], _ROWS):
        rows = csr_matrix(matrix[start : start + _ROWS])
        rows.sum_duplicates()
        rows.eliminate_zeros()
        values = rows.data
        wrong = ~((values >= 0) & (values <= _EXACT) & (values == np.floor(values)))
        if wrong.any():
            raise UserError(
                f"{path}: got {values[wrong.argmax()]:g} among the counts; takes whole numbers from 0 to {_EXACT} "
                "(--layer names where the file has them)"
            )
        yield rows


def _counts(path: Path, matrix: Any, layer: str | None, cache_dir: str | None) -> Counts:
    stored = matrix.size if not hasattr(matrix, "group") else len(matrix.group["data"])
    if stored <= IN_MEMORY:
        chunks = list(_rows(path, matrix))
        columns = np.concatenate([rows.indices.astype(np.int32) for rows in chunks])
        values = np.concatenate([rows.data.astype(np.float32) for rows in chunks])
        return Counts(_starts(chunks), columns, values, matrix.shape[1])
    status = path.stat()
    sources = {"size": status.st_size, "time": status.st_mtime_ns, "layer": layer}
    place = cache.place(cache_dir, path, {"layer": layer})

    def make(into: Path) -> cache.Sources:
        lengths = [0]
        for name, dtype in (("columns", "<i4"), ("values", "<f4")):
            cache.allocate(into / f"{name}.npy", dtype, (stored,))
        mapped = [np.load(into / f"{name}.npy", mmap_mode="r+", allow_pickle=False) for name in ("columns", "values")]
        end = 0
        for rows in _rows(path, matrix):
            begin, end = end, end + len(rows.data)
            mapped[0][begin:end], mapped[1][begin:end] = rows.indices, rows.data
            lengths.extend(np.diff(rows.indptr).tolist())
        np.save(into / "starts.npy", np.cumsum(lengths, dtype=np.int64))
        return {}

    cache.made(place, sources, make)
    starts = np.load(place / "starts.npy", allow_pickle=False)
    columns, values = (
        np.load(place / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("columns", "values")
    )
    return Counts(starts, columns, values, matrix.shape[1])


def _starts(chunks: list[Any]) -> NDArray[np.int64]:
    return np.cumsum(np.concatenate([[0], *(np.diff(rows.indptr) for rows in chunks)]), dtype=np.int64)
