"""The model of a step on many GPUs, and the page that is made of it."""

import csv

import pytest

from bench import scaling
from bench.scaling import Cluster, Step


def test_one_gpu_waits_for_nobody():
    found = scaling.simulated(Step(100, 0.5, 10**6), 1)
    assert found == (1, 0.0, 200.0, 1.0)


def test_a_ring_by_hand():
    """Four GPUs in two nodes: six messages of 250 bytes at 100 bytes a second, each begun by a tenth of a second."""
    cluster = Cluster(node=2, inside=1e9, between=100.0, hop_inside=0.0, hop_between=0.1)
    assert scaling.all_reduce_seconds(4, 1000, cluster) == pytest.approx(6 * (2.5 + 0.1))
    assert scaling.all_reduce_seconds(2, 1000, cluster) == pytest.approx(2 * 500 / 1e9)
    found = scaling.simulated(Step(8, 15.6, 1000), 4, cluster)
    assert found.efficiency == pytest.approx(0.5)
    assert found.images_per_second == pytest.approx(4 * 8 / 31.2)


def test_more_gpus_do_more_work_less_efficiently():
    step = scaling.measured_step()
    found = [scaling.simulated(step, gpus) for gpus in (1, 8, 64, 512, 4096)]
    assert [row.images_per_second for row in found] == sorted(row.images_per_second for row in found)
    assert [row.efficiency for row in found] == sorted((row.efficiency for row in found), reverse=True)


def test_the_page_is_made_of_the_kept_rows():
    with scaling.RESULTS.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["processes"]) for row in rows] == [1, 2]
    losses = [float(row["test_elbo"]) for row in rows]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    text = scaling.PAGE.read_text(encoding="utf-8")
    assert all(part in text for part in scaling.parts(scaling.kept(), scaling.measured_step()).values())
