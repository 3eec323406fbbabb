"""What a person sees while a run trains, on a terminal and elsewhere."""

import io
import re
import sys

import pytest
import torch
from tqdm.notebook import tqdm_notebook

from fastvae.train.evaluation.legend import Legend
from fastvae.train.loop import progress
from fastvae.train.loop.progress import Progress
from fastvae.train.runs.metrics import Epoch, Sums
from tests.train.small_runs import config

LEGEND = Legend(config(), 0.0)
ROW = Epoch(1, 14.0, -12.0, 10.0, 2.0, 15.0, -13.0, 11.0, 2.0, 3.21)


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


class CountedSums(Sums):
    """Sums that count how often they are read."""

    reads = 0

    def means(self):
        self.reads += 1
        return super().means()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def sums():
    sums = CountedSums(torch.device("cpu"), 0.0)
    sums.add(torch.tensor(12.0), torch.tensor([10.0]), torch.tensor([2.0]))
    return sums


def last(terminal):
    """The bar as it was last drawn."""
    return re.split(r"[\r\n]", terminal.getvalue())[-1]


def test_a_line_an_epoch_tells_the_speed_of_its_training(capsys):
    with Progress(epochs=2, steps=3, done=0, legend=LEGEND) as bar:
        bar.begin(1)
        bar.step(1000, sums())
        bar.epoch(ROW, 48_000.4)
    line = "epoch 1/2  train ELBO -12.00  test ELBO -13.00 = -(reconstruction 11.00 + KL 2.00)  3.2 s"
    assert capsys.readouterr().out == f"{line}  48,000 images/s\n"


def test_the_bar_tells_the_speed_of_the_epoch_so_far(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(epochs=2, steps=6, done=0, legend=LEGEND) as bar:
        # What came before the epoch, such as an evaluation, does not count.
        clock.now += 50
        bar.begin(2)
        clock.now += 0.4
        bar.step(1000, sums())
        assert "ELBO -12.00 = -(reconstruction 10.00 + KL 2.00), 2,500 images/s" in last(sys.stderr)
        clock.now += 0.6
        bar.step(600, sums())
        assert "1,600 images/s" in last(sys.stderr)
        assert "epoch 2/2" in last(sys.stderr)
        bar.epoch(ROW, 1_234_567.0)
        bar._bar.refresh()
        assert "test ELBO -13.00 = -(reconstruction 11.00 + KL 2.00), 1,234,567 images/s" in last(sys.stderr)


@pytest.mark.parametrize(("stream", "reads"), [(Terminal, 4), (io.StringIO, 0)])
def test_sums_are_read_twice_a_second_at_most_and_only_to_be_shown(monkeypatch, clock, stream, reads):
    monkeypatch.setattr(sys, "stderr", stream())
    measured = sums()
    with Progress(epochs=1, steps=20, done=0, legend=LEGEND) as bar:
        bar.begin(1)
        for _ in range(20):
            clock.now += 0.125
            bar.step(1, measured)
    assert measured.reads == reads


class Notebook(tqdm_notebook):
    """A notebook's bar without a notebook."""

    def __init__(self, **options):
        self.said = [options["total"]]

    def update(self):
        self.said.append("step")

    def set_description(self, text, refresh):
        pass

    def set_postfix_str(self, text, refresh=True):
        self.said.append(text)

    def close(self):
        self.said.append("closed")

    def __del__(self):
        pass


def test_a_notebook_has_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress, "tqdm", Notebook)
    with Progress(epochs=2, steps=3, done=0, legend=LEGEND) as bar:
        bar.begin(1)
        bar.step(1000, sums())
        bar.epoch(ROW, 48_000.4)
    measured = "test ELBO -13.00 = -(reconstruction 11.00 + KL 2.00), 48,000 images/s"
    assert bar._bar.said == [6, "step", measured, "closed"]
    assert capsys.readouterr() == ("", "")


def test_nothing_is_shown_where_nobody_looks(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(epochs=2, steps=3, done=0, legend=LEGEND, shown=False) as bar:
        bar.step(1000, sums())
        bar.epoch(ROW, 48_000.4)
    assert sys.stderr.getvalue() == capsys.readouterr().out == ""
