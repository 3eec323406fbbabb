"""`python -m bench.loader`, on little data for a moment."""

import csv

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bench import loader


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_rows_are_added(tmp_path):
    out = tmp_path / "loader.csv"
    options = ["--out", str(out), "--rounds", "1", "--seconds", "0.01", "--threads", "1", "--fewer", "400"]
    for times in (1, 2):
        result = CliRunner().invoke(loader.main, options, catch_exceptions=False)
        assert result.exit_code == 0
        rows = list(csv.DictReader(out.read_text().splitlines()))
        assert len(rows) == times * 7 * len(loader.CASES)
    loaders = [f"{what}{name}" for name in loader.LOADERS for what in ("training from ", "")]
    assert {row["what"].removesuffix(" alone") for row in rows} == {*loaders, "training"}
    assert all(float(row["images_per_second"]) > 0 for row in rows)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")  # on a single core
@pytest.mark.parametrize("made", loader.LOADERS.values())
def test_an_epoch_has_every_image_once(tmp_path, made):
    case = loader.Case("mlp", (1, 2, 2), 50, 8)
    images = np.arange(200, dtype=np.uint8).reshape(50, 1, 2, 2)
    np.save(tmp_path / "images.npy", images)
    batches = made(tmp_path / "images.npy", case)
    found = torch.cat([next(batches) for _ in range(7)])
    batches.close()
    assert sorted(found[:, 0, 0, 0].tolist()) == sorted(images[:, 0, 0, 0].tolist())
