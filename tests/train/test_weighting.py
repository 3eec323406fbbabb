"""The weights of a minibatch in a divided KL, and the batches that the stratified ones do not take."""

import csv
import json
import re

import pytest

from fastvae import VAE
from fastvae.train.errors import UserError
from fastvae.train.models import batches, build
from tests.support.command_line import TINY, fails, fastvae, mnist
from tests.train.small_runs import config

pytestmark = pytest.mark.usefixtures("one_thread")

STRATIFIED = ("train", *TINY, "--objective", "tc", "--weighting", "mss")


def test_the_weighting_is_that_of_the_model():
    for weighting in ("mws", "mss"):
        found = build.create(config(objective="tc", dataset_size=100, weighting=weighting))
        assert isinstance(found, VAE)
        assert found.elbo.decomposition is not None
        assert found.elbo.decomposition.weighting == weighting


def terms(tmp_path, weighting):
    run = tmp_path / weighting
    options = ("--objective", "tc", "--weighting", weighting, "--epochs", 1, "--out", run)
    assert fastvae("train", *TINY, *options).code == 0
    assert fastvae("evaluate", run).code == 0
    assert json.loads((run / "config.json").read_text())["config"]["weighting"] == weighting
    return next(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


def test_a_run_has_other_terms_by_it_that_add_up_to_the_kl(tmp_path):
    sized, stratified = terms(tmp_path, "mws"), terms(tmp_path, "mss")
    assert sized["test_total_correlation"] != stratified["test_total_correlation"]
    for row in (sized, stratified):
        names = ("mutual_information", "total_correlation", "dimension_kl")
        assert sum(float(row[f"test_{name}"]) for name in names) == pytest.approx(float(row["test_kl"]), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        # 1,350 images train: 19 * 71 + 1. The later option holds.
        (("--batch-size", "71"), "--batch-size: got 71, which leaves 1 of 1350 images alone in a batch"),
        (("--batch-size", "1"), "--batch-size: got 1, which leaves 1 of 1350 images alone in a batch"),
        (("--validation", "0.0005"), "--validation: got 0.0005, which leaves 1 of 1 images alone in a batch"),
        (("--dataset-size", "32"), "--dataset-size: got 32 with weighting 'mss'; takes at least the 500 images"),
        (("--dataset-size", "200", "--batch-size", "64"), "--dataset-size: got 200 .*; takes at least the 297 images"),
        (("--validation", "0.99"), "--dataset-size: got 15 with weighting 'mss'; takes at least the 500 images"),
    ],
)
def test_batches_that_it_does_not_take_are_refused_before_the_first_epoch(tmp_path, options, message):
    out = tmp_path / "run"
    assert re.search(message, fails(*STRATIFIED, *options, "--out", out))
    assert not out.exists()


def test_test_images_that_are_one_too_many(tmp_path):
    options = ("--data", "mnist", "--data-dir", mnist(tmp_path / "data", train=40, test=1))
    assert "data', which leaves 1 of 1 images alone in a batch" in fails(*STRATIFIED, *options)
    run = tmp_path / "run"
    options = (*options[:-1], mnist(tmp_path / "other"))
    assert fastvae(*STRATIFIED, *options, "--epochs", 1, "--out", run).code == 0
    assert "1 of 1 images alone in a batch" in fails("evaluate", run, "--data-dir", tmp_path / "data")


def test_sizes_that_it_takes():
    chosen = config(objective="tc", dataset_size=100, weighting="mss", batch_size=10)
    for images in (0, 2, 9, 10, 12, 100):
        batches.check(chosen, training=images)
    for images in (1, 11, 101):
        with pytest.raises(UserError, match=r"1 of .* images alone in a batch"):
            batches.check(chosen, training=images)
    for other in (config(objective="tc", dataset_size=100, batch_size=10), config(batch_size=10)):
        batches.check(other, training=1, validation=1, test=1)


def test_it_goes_with_a_divided_kl():
    assert "--weighting: got 'mss'; takes 'mws' with objective 'elbo'" in fails("train", "--weighting", "mss")
