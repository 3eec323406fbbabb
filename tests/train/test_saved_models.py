"""The models that `fastvae train` builds are saved by `save_pretrained`, but for parts of its own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fastvae import VAE
from fastvae.train.models import build
from fastvae.train.settings.presets import PUBLISHED
from tests.train.small_runs import config

CONDITIONAL = ("s2", "quadrants")


@pytest.mark.parametrize(
    "options",
    [{"preset": name} for name in PUBLISHED if name not in CONDITIONAL]
    + [{"prior": "vamp"}, {"prior": "mixture"}, {"beta_schedule": "cyclical", "warmup_steps": 8}],
    ids=str,
)
def test_the_model_of_a_run_is_saved_and_loaded(options: dict[str, Any], tmp_path: Path) -> None:
    model = build.create(config(data_dir=str(tmp_path), **options) if "preset" in options else config(**options))
    model.save_pretrained(tmp_path)
    loaded = VAE.from_pretrained(tmp_path)
    assert repr(loaded) == repr(model)
    state, other = model.state_dict(), loaded.state_dict()
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"condition": "label"}, "recognition: got Joined"),
        ({"likelihood": "discretized_logistic_mixture"}, "likelihood: got Levels"),
    ],
)
def test_a_part_of_the_command_lines_own_is_named(options: dict[str, Any], part: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{part}, which config\.json cannot describe"):
        build.create(config(**options)).save_pretrained(tmp_path)
