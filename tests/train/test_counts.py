"""Counts in .h5ad files: sparse until the batch, whole numbers, labels from obs."""

import numpy as np
import pytest
import torch

from fastvae.train.data import datasets, own
from fastvae.train.data.description import Reading
from fastvae.train.data.stored import Stored
from fastvae.train.errors import UserError
from fastvae.train.files import counts, stable
from tests.train import own_data

pytest.importorskip("anndata")


def loaded(path, **options):
    return datasets.load(str(path), None, reading=Reading(**options))


def rows_of(cells):
    return stable.parts(stable.of_names([f"cell{number}" for number in range(cells)]))


@pytest.mark.parametrize("sparse", ["csr", "csc", None])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_batch_is_what_the_file_has(tmp_path, sparse, mapped, monkeypatch):
    if mapped:
        monkeypatch.setattr(counts, "IN_MEMORY", 10)
    monkeypatch.setattr(counts, "_ROWS", 7)  # several reads
    own._cells_of.cache_clear()
    dense = own_data.counts(tmp_path / "x.h5ad", sparse=sparse)
    options = {"label_key": "kind", "cache_dir": str(tmp_path / "cache")}
    assert datasets.describe(str(tmp_path / "x.h5ad"), Reading(**options)) == ("counts", (7,), "counts", 2)
    data = loaded(tmp_path / "x.h5ad", **options)
    for split, rows in zip(data, rows_of(60), strict=True):
        assert isinstance(split.images, Stored)
        assert split.images[:].dtype == torch.float32
        np.testing.assert_array_equal(split.images[:], dense[rows])
        np.testing.assert_array_equal(split.labels, 1 - rows % 2)  # in the order of their names: B, T
        order = torch.randperm(len(rows))
        found = torch.cat([images for images, _ in split.at(order.split(4))])
        np.testing.assert_array_equal(found, dense[rows][order])
    assert bool(list((tmp_path / "cache").glob("x-*"))) == mapped


def test_sparse_counts_stay_sparse(tmp_path):
    dense = own_data.counts(tmp_path / "x.h5ad")
    source = loaded(tmp_path / "x.h5ad").train.images._source
    assert len(source._values) == len(source._columns) == (dense != 0).sum()


def test_a_layer(tmp_path):
    layer = np.arange(60 * 7, dtype=np.float32).reshape(60, 7)
    own_data.counts(tmp_path / "x.h5ad", values=layer / 7, layers={"counts": layer})
    np.testing.assert_array_equal(loaded(tmp_path / "x.h5ad", layer="counts").test.images[:], layer[rows_of(60).test])


def test_cells_without_any_count(tmp_path):
    values = np.zeros((9, 4), np.float32)
    values[4, 2] = 3
    own_data.counts(tmp_path / "x.h5ad", 9, 4, values=values)
    data = loaded(tmp_path / "x.h5ad")
    np.testing.assert_array_equal(data.train.images[:], values[rows_of(9).train])


def missing_label(path):
    import anndata

    own_data.counts(path)
    adata = anndata.read_h5ad(path)
    adata.obs.loc["cell3", "kind"] = np.nan
    adata.write_h5ad(path)


def of(values, **options):
    return lambda path: own_data.counts(path, *values.shape, values=values, **options)


ONES = np.ones((6, 3), np.float32)
MISTAKES = {
    "fractions": (of(ONES / 4), {}, r"got 0.25 among the counts; takes whole numbers from 0 to 16777216 \(--layer "),
    "negative": (of(-ONES), {}, "got -1 among the counts; takes whole numbers"),
    "nan": (of(ONES * np.nan), {}, "got nan among the counts"),
    "dense nan": (of(ONES * np.nan, sparse=None), {}, "got nan among the counts"),
    "too many": (of(ONES * 2**25), {}, "got 3.35544e[+]07 among the counts"),
    "one cell": (of(ONES[:1]), {}, "1 cells of 3 features; takes at least 2 of at least 1"),
    "no column": (of(ONES), {"label_key": "type"}, "--label-key: got 'type'; .* has 'kind'"),
    "no columns": (of(ONES, labels=False), {"label_key": "type"}, "--label-key: got 'type'; .* has none"),
    "no layer": (of(ONES), {"layer": "raw"}, "--layer: got 'raw'; .* has none"),
    "no label": (missing_label, {"label_key": "kind"}, "kind: 1 cells have no label; takes one for each"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_named(tmp_path, case):
    make, options, message = MISTAKES[case]
    make(tmp_path / "x.h5ad")
    with pytest.raises(UserError, match=message) as raised:
        loaded(tmp_path / "x.h5ad", **options)
    assert str(tmp_path / "x.h5ad") in str(raised.value)


def test_without_anndata_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.h5ad").touch()
    monkeypatch.setattr(counts, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"anndata is not installed, which reads it: pip install 'fastvae\[counts\]'"):
        loaded(tmp_path / "x.h5ad")
