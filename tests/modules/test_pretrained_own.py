"""Classes of the user's own, saved by what their constructors were given."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE, LinearWarmup, networks
from tests.modules.test_pretrained import CONDITION, IMAGES, LABELS, Own, changed, vae


class Sized(VAE):
    """As users write them: networks of their own, made from numbers."""

    def __init__(self, hidden: tuple[int, ...], latent: int = 2, *, activation: str = "Tanh", **options: Any) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip((64, *hidden), hidden, strict=False):
            layers += [nn.Linear(before, after), getattr(nn, activation)()]
        encoder = nn.Sequential(*layers, nn.Linear(hidden[-1], 2 * latent))
        decoder = nn.Sequential(nn.Linear(latent, 64), nn.Unflatten(1, (1, 8, 8)))
        super().__init__(encoder, decoder, latent_shape=latent, **options)


class Conditional(CVAE):
    def __init__(self, objective: str) -> None:
        recognition, generation, shape = networks.build("mlp", (1, 8, 8), 2, condition=LABELS, hidden=(5,))
        super().__init__(recognition, generation, objective=objective, latent_shape=shape)


OWN: dict[str, tuple[Callable[[], VAE | CVAE], tuple[Tensor, ...]]] = {
    "of networks": (lambda: Own(vae().encoder, vae().decoder, beta=2.0), (IMAGES / 255,)),
    "of numbers": (lambda: Sized([5, 4], activation="ReLU", beta=LinearWarmup(0.0, 1.0, 9)), (IMAGES / 255,)),
    "conditional": (lambda: Conditional("gsnn"), (CONDITION, IMAGES)),
}


@pytest.mark.parametrize("name", OWN)
def test_a_class_of_the_users_own_is_made_as_it_was(name: str, tmp_path: Path) -> None:
    build, inputs = OWN[name]
    model = build().eval()
    changed(model)
    for twin in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        twin.save_pretrained(tmp_path)
        loaded = type(model).from_pretrained(tmp_path)
        assert type(loaded) is type(model)
        assert repr(loaded) == repr(model)
        assert torch.equal(loaded(*inputs, seed=0).loss, model(*inputs, seed=0).loss)
    name = type(model).__name__
    with pytest.raises(ValueError, match=rf"^folder: got '.*', a {name}; takes {name}\.from_pretrained$"):
        VAE.from_pretrained(tmp_path)


def test_a_class_of_the_users_own_is_described_by_its_arguments(tmp_path: Path) -> None:
    Sized((5,), beta=2.0).save_pretrained(tmp_path)
    expected = {"class": "Sized", "hidden": [5], "latent": 2, "activation": "Tanh", "beta": 2.0}
    assert json.loads((tmp_path / "config.json").read_text()) == expected


@pytest.mark.parametrize("first", [True, False])
def test_beside_the_mixin_of_huggingface_hub(first: bool, tmp_path: Path) -> None:
    """Whose methods come first saves the model, the mixin's or ours."""
    mixin = pytest.importorskip("huggingface_hub").PyTorchModelHubMixin

    class Mixed(*((mixin, Sized) if first else (Sized, mixin))):  # type: ignore[misc]
        def __init__(self, hidden: tuple[int, ...] = (5,), latent: int = 2) -> None:
            super().__init__(hidden, latent)

    model = Mixed((6,), latent=3).eval()
    model.save_pretrained(tmp_path)
    loaded = Mixed.from_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["latent"] == 3
    assert torch.equal(loaded.eval()(IMAGES / 255, seed=0).loss, model(IMAGES / 255, seed=0).loss)
