"""The shares of a batch, and what is drawn for them: what the whole batch would get."""

import pytest
import torch
from torch import nn

from fastvae.networks.dropout import Dropout
from fastvae.train.models import build, objectives
from fastvae.train.processes import group
from fastvae.train.processes.group import Share
from tests.train.small_runs import config

pytestmark = pytest.mark.usefixtures("one_thread")


def shares(monkeypatch, total, count):
    """Of every process of so many."""
    monkeypatch.setattr(group, "count", lambda: count)
    found = []
    for number in range(count):
        monkeypatch.setattr(group, "rank", lambda number=number: number)
        found.append(group.share(total))
    return found


@pytest.mark.parametrize(("total", "count"), [(8, 1), (8, 2), (9, 4), (3, 4), (1, 7), (1000, 16)])
def test_shares_are_the_batch_once(monkeypatch, total, count):
    found = shares(monkeypatch, total, count)
    assert [row for share in found for row in range(share.start, share.stop)] == list(range(total))
    sizes = [share.size for share in found]
    assert max(sizes) - min(sizes) <= 1
    assert all(share.total == total for share in found)
    assert [share.shard for share in found if count == 1] == [None] * (count == 1)


def test_a_process_without_a_row_computes_the_first(monkeypatch):
    empty = shares(monkeypatch, 1, 2)[0]
    assert (empty.size, empty.rows, empty.shard) == (0, slice(0, 1), (0, 1))


@pytest.mark.parametrize("samples", [1, 3])
def test_a_share_drops_what_the_whole_batch_would(samples):
    x = torch.rand(samples, 9, 5) + 1
    whole, part = nn.Dropout(0.4), Dropout(0.4)
    torch.manual_seed(1)
    expected = whole(x.flatten(0, 1)).unflatten(0, (samples, 9))
    for start, stop in ((0, 4), (4, 9), (3, 4), (0, 9)):
        part.rows = start, stop, 9
        torch.manual_seed(1)
        found = part(x[:, start:stop].flatten(0, 1)).unflatten(0, (samples, -1))
        assert torch.equal(found, expected[:, start:stop])
    assert torch.equal(part.eval()(x), x)


def test_dropout_of_a_whole_batch_is_torchs():
    x = torch.rand(7, 3)
    torch.manual_seed(2)
    expected = nn.Dropout(0.3)(x)
    torch.manual_seed(2)
    assert torch.equal(Dropout(0.3)(x), expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.3},
        {"dropout": 0.3, "train_samples": 2},
        {"binarize": "dynamic"},
        {"objective": "iwae", "train_samples": 3, "dropout": 0.3},
        {"condition": "label", "dropout": 0.3},
        {"condition": "quadrants", "objective": "hybrid", "prior": "learned"},
        {"condition": "quadrants", "objective": "gsnn"},
        {"condition": "label", "objective": "baseline", "dropout": 0.3},
        {"prior": "mixture", "components": 3},
        {"likelihood": "gaussian_learned"},
    ],
    ids=str,
)
def test_losses_and_gradients_of_shares_are_those_of_the_batch(digits, changes):
    chosen = config(**changes)
    model = build.create(chosen)
    objective = objectives.create(chosen, model).train()
    images, labels = digits.train.images[:9], digits.train.labels[:9]

    def computed(share):
        model.zero_grad()
        torch.manual_seed(5)
        output = objective(images[share.rows], labels[share.rows], share)
        (output.loss * (share.size / share.total)).backward()
        gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
        return output.reconstruction_loss, output.kl, gradients

    reconstruction, kl, gradients = computed(Share(0, 9, 9))
    parts = [computed(share) for share in (Share(0, 2, 9), Share(2, 7, 9), Share(7, 9, 9))]
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), reconstruction, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), kl, rtol=1e-5, atol=1e-5)
    for expected, *found in zip(gradients, *(part[2] for part in parts), strict=True):
        if expected is None:
            assert all(gradient is None for gradient in found)
        else:
            torch.testing.assert_close(sum(found), expected, rtol=1e-4, atol=1e-5)
    *_, nothing = computed(Share(9, 9, 9))
    assert not any(gradient.any() for gradient in nothing if gradient is not None)
