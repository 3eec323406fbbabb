"""Each likelihood and each sigma form is known at every level; what lacks one is named."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest
import torch

import fastvae.functional as F
from fastvae import _C, functional, reference
from fastvae._likelihoods import LIKELIHOODS, LOSSES
from fastvae._options import PARAMETERIZATIONS
from fastvae.functional import reconstruction
from fastvae.reference import reconstruction as specification


def losses_of(module: ModuleType) -> set[str]:
    """The functions of a target that a module defines."""
    functions = inspect.getmembers(module, inspect.isfunction)
    mine = [(name, each) for name, each in functions if each.__module__ == module.__name__ and name[0] != "_"]
    return {name for name, each in mine if "target" in inspect.signature(each).parameters}


def lacking(known: dict[str, set[str]]) -> dict[str, set[str]]:
    """What each file lacks of what any of them has."""
    everything = set().union(*known.values())
    return {file: everything - names for file, names in known.items() if everything - names}


def test_every_file_has_every_loss() -> None:
    pytest.importorskip("triton")
    from fastvae._triton import likelihoods

    known = {
        "fastvae/_likelihoods.py: LOSSES": set(LOSSES),
        "fastvae/reference/reconstruction.py": losses_of(specification),
        "fastvae/functional/reconstruction.py": losses_of(reconstruction),
        "csrc/kernels/likelihoods.h": set(_C.likelihoods()),
        "fastvae/_triton/likelihoods.py": set(likelihoods.LIKELIHOODS),
        "fastvae/_likelihoods.py: LIKELIHOODS": {row.loss for row in LIKELIHOODS.values()}
        | {"poisson_nll_of_rate"},  # Poisson by another input
    }
    exported = set().union(*known.values())
    known["fastvae/reference/__init__.py"] = exported & set(reference.__all__)
    known["fastvae/functional/__init__.py"] = exported & set(functional.__all__)
    assert lacking(known) == {}


def test_every_loss_is_what_its_row_says() -> None:
    for name, loss in LOSSES.items():
        assert ("log_scale" in inspect.signature(getattr(F, name)).parameters) == loss.scaled, name


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("backend")
def test_bytes_are_pixels_or_counts(loss: str) -> None:
    target = torch.arange(256, dtype=torch.uint8)
    values = target.float() if LOSSES[loss].counts else target / 255
    scale = (torch.zeros(1),) if LOSSES[loss].scaled else ()
    found, expected = (
        getattr(F, loss)(torch.full((256,), 0.25), given, *scale, reduction="none") for given in (target, values)
    )
    assert torch.equal(found, expected)


def test_every_likelihood_is_what_its_loss_can() -> None:
    for name, row in LIKELIHOODS.items():
        parameters = inspect.signature(getattr(F, row.loss)).parameters
        assert not row.full or "full" in parameters, name
        assert row.learned_scale or not LOSSES[row.loss].scaled, name


def test_every_file_has_every_sigma_form() -> None:
    known = {
        "fastvae/_options.py: PARAMETERIZATIONS": set(PARAMETERIZATIONS),
        "csrc/kernels/scale_forms.h": set(_C.parameterizations()),
    }
    assert lacking(known) == {}


def test_the_kernels_name_what_they_have() -> None:
    x = torch.zeros(2)
    with pytest.raises(
        ValueError, match=r"loss: got 'rayleigh'; takes binary_cross_entropy_with_logits, .*gaussian_nll"
    ):
        torch.ops.fastvae.reconstruction(x, x, None, None, "rayleigh", False, "sum", 1, False, (False, False))
