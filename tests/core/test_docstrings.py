"""Every public name says what it takes, returns and raises, and has an example that runs."""

from __future__ import annotations

import builtins
import doctest
import importlib
import importlib.util
import inspect
import pydoc
import re
from pathlib import Path
from typing import Any, Final

import pytest
import torch

import fastvae
import fastvae.functional as F
from tests.support.docstrings import ROOMS, Public, public, used

PUBLIC: Final = {item.name: item for item in public()}
# What an example needs beside torch.
NEEDS: Final = {
    "fastvae.fit": "pydantic",
    "fastvae.load": "pydantic",
    "fastvae.train.python.result.Fit": "pydantic",
    "fastvae.CVAE.save_pretrained": "safetensors",
    "fastvae.CVAE.from_pretrained": "safetensors",
}
# How the library words a refusal.
REFUSED: Final = re.compile(r"^[\w\[\], .]+: got .*takes ", re.DOTALL)
FLAGS: Final = doctest.ELLIPSIS | doctest.REPORT_NDIFF


def packed(inputs: int, outputs: int) -> torch.nn.Module:
    return torch.nn.Linear(inputs, outputs)


def instances() -> dict[str, Any]:
    """An object of every class whose methods take tensors that they check."""
    kinds = fastvae.losses
    return {
        "fastvae.CVAE": fastvae.CVAE(packed(3, 2), packed(1, 3), latent_shape=1),
        "fastvae.VAE": fastvae.VAE(packed(3, 2), packed(1, 3), latent_shape=1),
        "fastvae.DiagonalGaussian": fastvae.DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 3)),
        "fastvae.ELBOLoss": fastvae.ELBOLoss(),
        "fastvae.MixturePrior": fastvae.MixturePrior(2, 3),
        "fastvae.losses.DiscretizedLogisticMixture": kinds.DiscretizedLogisticMixture(),
        "fastvae.losses.MMD": kinds.MMD(),
        "fastvae.losses.MultiScale": kinds.MultiScale(),
        "fastvae.losses.NegativeBinomial": kinds.NegativeBinomial(),
        "fastvae.losses.Reconstruction": kinds.Reconstruction("bernoulli"),
        "fastvae.networks.Layers": fastvae.networks.Layers((), (), "unknown"),
    }


INSTANCES: Final = instances()


def every(condition: Any = lambda item: True) -> Any:
    return pytest.mark.parametrize("item", [pytest.param(i, id=i.name) for i in PUBLIC.values() if condition(i)])


@every()
def test_its_docstring_has_every_part(item: Public) -> None:
    missing = {f"Args: {name}" for name in item.parameters - item.described}
    missing |= {"Returns"} if item.returns and "Returns" not in item.sections else set()
    missing |= {f"Raises: {name}" for name in (item.raised | refusals(item)) - item.exceptions}
    assert missing == set()


@every(lambda item: bool(item.arguments))
def test_its_docstring_names_no_other_argument(item: Public) -> None:
    assert item.arguments <= inspect.signature(item.value).parameters.keys()


def refusals(item: Public) -> set[str]:
    """The exceptions by which it refuses an object that nothing takes, in the place of each argument."""
    if item.is_property or (inspect.isclass(item.value) and issubclass(item.value, dict)):
        return set()
    called = item.value
    if item.owner is not None:
        holder = INSTANCES.get(item.name.rpartition(".")[0])
        if holder is None:
            return set()
        called = getattr(holder, item.name.rpartition(".")[2])
    named = [
        p for p in inspect.signature(called).parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    required = {p.name: object() for p in named if p.default is p.empty}
    found = set()
    for each in [{}, *({p.name: object()} for p in named)]:
        try:
            called(**(required | each))
        except Exception as error:
            if REFUSED.match(str(error)):
                found.add(type(error).__name__)
    return found & vars(builtins).keys()


@every(lambda item: item.owner is None)
def test_its_examples_use_it_and_show_what_comes_out(item: Public) -> None:
    name = item.name.rpartition(".")[2]
    shown = "".join(example.want for example in item.examples)
    assert name in used(item.examples) or f"{name}(" in shown
    quiet = {"fastvae.networks.Options", "fastvae.networks.initialise"}
    assert any(example.want for example in item.examples) or item.name in quiet


@every(lambda item: item.owner is not None and not item.name.endswith(".forward"))
def test_a_method_stands_in_an_example(item: Public) -> None:
    """In its own, or in one of its class or of a base of it; or it is an attribute that these describe."""
    assert item.owner is not None
    name = item.name.rpartition(".")[2]
    of_class = [Public("", base) for base in item.owner.__mro__ if base.__module__.startswith("fastvae")]
    examples = [example for each in (item, *of_class) for example in each.examples]
    described = set[str]().union(*(each.described for each in of_class)) if item.is_property else set()
    assert name in used(examples) | described or item.overridden


@pytest.mark.parametrize(("implementation", "seed"), [("auto", 1), ("reference", 2)])
@every(lambda item: bool(item.examples))
def test_its_examples_run(
    item: Public, implementation: Any, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both backends, and whatever state torch's generator is in: an example that shows what noise made seeds it."""
    if item.name in NEEDS:
        pytest.importorskip(NEEDS[item.name])
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(seed)
    names = {"torch": torch, "fastvae": fastvae, "F": F}
    test = doctest.DocTest(item.examples, names, item.name, None, None, None)
    report: list[str] = []
    with fastvae.use_backend(implementation):
        result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=report.append)
    assert result.failed == 0, "".join(report)


def test_only_what_needs_the_network_is_not_run() -> None:
    skipped = [e.source for item in PUBLIC.values() for e in item.examples if e.options.get(doctest.SKIP)]
    assert len(skipped) == 2
    assert all('"user/model"' in source for source in skipped)


@pytest.mark.parametrize("room", ROOMS)
def test_help_begins_with_a_line_for_every_name(room: str) -> None:
    module = importlib.import_module(f"fastvae{room}")
    tables = "\n".join(re.findall(r"^    (?:F\.)?(\w+)  ", module.__doc__ or "", re.MULTILINE)).split()
    assert sorted(set(tables) & set(module.__all__)) == sorted(module.__all__)
    assert set(tables) - set(module.__all__) <= (set(F.__all__) if room == "" else set())
    assert len(tables) == len(set(tables))
    assert set(module.__all__) <= set(dir(module))


def test_dir_has_the_public_names_alone() -> None:
    assert [name for name in dir(fastvae) if not name.startswith("__")] == sorted(fastvae.__all__)


def test_help_is_that_docstring() -> None:
    text = pydoc.plain(pydoc.render_doc(fastvae))
    for line in (fastvae.__doc__ or "").splitlines():
        assert line in text
