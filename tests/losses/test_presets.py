"""Each row of the table of equivalents: the project's lines and ours give the same value and gradients, in float64."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as T
from torch import Tensor

import fastvae
from fastvae.presets import CONVENTIONS
from tools import equivalents
from tools.equivalent_losses import EQUIVALENTS, LEARNED, SETUP, Equivalent

# A few hundred float64 terms, each with a few roundings of 2.2e-16.
EXACT = {"rtol": 1e-12, "atol": 1e-13}
FOUR_ARGUMENTS = [name for name, row in CONVENTIONS.items() if row.beyond_four_arguments is None]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def names(row: Equivalent, **values: Any) -> dict[str, Any]:
    """What the lines of a row are over: also what the first row of its preset was given, as on the page."""
    found: dict[str, Any] = {}
    exec(SETUP, found)
    found |= values
    for other in EQUIVALENTS:
        if other.preset == row.preset:
            exec(other.given, found)
    return found


def loss(lines: str, over: dict[str, Any]) -> Tensor:
    exec(lines, over)
    return over["loss"]


def learned(over: dict[str, Any]) -> list[Tensor]:
    return [over[name] for name in (*LEARNED, "log_scale") if name in over]


def assert_same(ours: Tensor, theirs: Tensor, tensors: list[Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, **EXACT)
    got, expected = (
        torch.autograd.grad(value, tensors, retain_graph=True, allow_unused=True, materialize_grads=True)
        for value in (ours, theirs)
    )
    assert any(gradient.any() for gradient in expected)
    torch.testing.assert_close(got, expected, **EXACT)


def first(preset: str) -> Equivalent:
    return next(row for row in EQUIVALENTS if row.preset == preset)


def four_arguments(preset: str, over: dict[str, Any]) -> list[Tensor | None]:
    """recon_x, x, mu and raw scale, as the lines of the preset read them."""
    if preset == "oobleck":
        return [None, None, *over["frames"].chunk(2, dim=1)]
    return [
        over["recon_x"],
        over["x"],
        *(over["moments"].chunk(2, dim=1) if preset == "diffusers" else (over["mu"], over["logvar"])),
    ]


def posterior(preset: str, mu: Tensor, raw: Tensor) -> fastvae.DiagonalGaussian:
    return fastvae.DiagonalGaussian(mu, raw, **CONVENTIONS[preset].gaussian.scale)


def test_every_preset_has_a_row() -> None:
    assert {row.preset for row in EQUIVALENTS} == set(CONVENTIONS)


def test_the_page_is_current() -> None:
    assert equivalents.PAGE.read_text(encoding="utf-8") == equivalents.page()


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("beta", [1.0, 2.5])
@pytest.mark.parametrize("row", EQUIVALENTS, ids=lambda row: f"{row.preset}: {row.what}")
def test_their_lines_and_ours(row: Equivalent, beta: float, backend: str) -> None:
    with fastvae.use_backend(backend):
        over = names(row, beta=beta)
        assert_same(loss(row.ours, over), loss(row.theirs, over), learned(over))


def gaussian(over: dict[str, Any]) -> Tensor:
    return 0.5 * (over["recon_x"] - over["x"]).square().sum()


# -log p(x|z) of the batch, and the beta of its ELBO that the page says a beta of 1 is: D is 48, L is 5, C is 3.
IN_THE_ELBO = {
    "pytorch-examples": (lambda over: T.binary_cross_entropy(over["recon_x"], over["x"], reduction="sum"), 1),
    "pythae": (gaussian, 1),
    "pytorch-vae": (gaussian, 0.000125 * 48),
    "diffusers": (lambda over: (over["recon_x"] - over["x"]).abs().sum(), 1),
    "keras": (lambda over: T.binary_cross_entropy(over["recon_x"], over["x"], reduction="sum"), 3),
    "bolts": (gaussian, 0.05 * 48 / 5),
}


@pytest.mark.parametrize("preset", IN_THE_ELBO)
def test_what_the_page_says_of_beta(preset: str) -> None:
    nll, beta = IN_THE_ELBO[preset]
    over = names(first(preset), beta=1.0)
    _, _, mu, raw = four_arguments(preset, over)
    whole, alone = (loss(first(preset).theirs, over | {"beta": value}) for value in (1.0, 0.0))
    ratio = (whole - alone) / posterior(preset, mu, raw).kl().sum() * nll(over) / alone
    torch.testing.assert_close(ratio, torch.tensor(float(beta)), rtol=1e-12, atol=0)


def test_what_the_page_says_of_pixels_from_0_to_255() -> None:
    row = next(row for row in EQUIVALENTS if "a beta of 510" in row.what)
    over = names(row, beta=0.0)
    # A likelihood 510 times as steep as the Gaussian's: beside it, beta would be 510 for the KL to weigh as much.
    torch.testing.assert_close(loss(row.theirs, over) / gaussian(over) * 6, torch.tensor(510.0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("capacity", [4.0, 30.0])
@pytest.mark.parametrize("row", [row for row in EQUIVALENTS if "capacity" in row.theirs], ids=lambda row: row.what)
def test_capacities_between_and_above_the_kls(row: Equivalent, capacity: float) -> None:
    over = names(row, capacity=capacity)
    assert_same(loss(row.ours, over), loss(row.theirs, over), learned(over))


def test_one_capacity_is_between_the_kls() -> None:
    over = names(first("disentangled-beta"))
    kl = fastvae.DiagonalGaussian(over["mu"], over["logvar"]).kl()
    assert kl.min() < 4.0 < kl.max() < 30.0


@pytest.mark.parametrize("preset", FOUR_ARGUMENTS)
def test_vae_loss_and_elbo_loss_are_the_projects(preset: str) -> None:
    """Whichever of them the page shows; where the project has a capacity, at 0."""
    over = names(first(preset), beta=1.5, capacity=0.0)
    given = four_arguments(preset, over)
    theirs = loss(first(preset).theirs, over)
    for vae_loss in (fastvae.functional.vae_loss, fastvae.reference.vae_loss):
        assert_same(vae_loss(*given, preset=preset, beta=1.5), theirs, learned(over))
    recon_x, x, mu, raw = given
    ours = fastvae.ELBOLoss(preset=preset, beta=1.5)(recon_x, x, posterior(preset, mu, raw))
    assert_same(ours.loss, theirs, learned(over))


def test_clamp_of_the_diffusers_posterior_stops_the_gradient() -> None:
    row = first("diffusers")
    over = names(row)
    with torch.no_grad():
        over["moments"][0, 2, 0, 0], over["moments"][1, 2, 0, 0] = 25.0, -40.0
    ours = loss(row.ours, over)
    assert_same(ours, loss(row.theirs, over), learned(over))
    (grad,) = torch.autograd.grad(ours, [over["moments"]])
    assert grad[0, 2, 0, 0] == 0
    assert grad[1, 2, 0, 0] == 0


def test_diffusers_takes_video() -> None:
    over = names(first("diffusers"))
    recon_x, x, mu, raw = four_arguments("diffusers", over)
    mu, raw = (tensor.unflatten(3, (2, 1)) for tensor in (mu, raw))
    theirs = loss(first("diffusers").theirs, over)
    assert_same(fastvae.functional.vae_loss(recon_x, x, mu, raw, preset="diffusers"), theirs, learned(over))


def test_world_models_bound_is_active_and_inactive_in_one_batch() -> None:
    """The row's test means something only where some samples are below the bound and some above it."""
    over = names(first("world-models"))
    above = fastvae.DiagonalGaussian(over["mu"], over["logvar"]).kl() > 0.5 * 5
    assert above.any()
    assert not above.all()


def test_the_reconstruction_of_latent_diffusion_has_its_scale() -> None:
    row = first("latent-diffusion")
    over = names(row)
    exec(row.theirs, over)
    output = over["elbo"](over["recon_x"], over["x"], posterior(row.preset, *over["moments"].chunk(2, dim=1)))
    torch.testing.assert_close(output.reconstruction, over["nll"].flatten(1).sum(1).detach(), **EXACT)


def test_a_tensor_weighs_scvis_kl() -> None:
    row = first("scvi")
    over = names(row, beta=torch.tensor(0.3))
    assert_same(loss(row.ours, over), loss(row.theirs, over), learned(over))


def test_vits_takes_a_prior_of_either_kind() -> None:
    row = first("vits")
    over = names(row)
    prior = posterior("vits", over["m_p"], over["logs_p"])
    as_gaussian = row.ours.replace("prior=(m_p, logs_p)", "prior=prior")
    assert_same(loss(as_gaussian, over | {"prior": prior}), loss(row.ours, over), learned(over))


@pytest.mark.parametrize(("preset", "weight"), [("pythae-beta-tc", 1.0), ("disentangling-vae-beta-tc", 6.0)])
def test_beta_tc_has_the_projects_weight(preset: str, weight: float) -> None:
    over = names(first(preset), beta=weight)
    elbo = fastvae.ELBOLoss(preset=preset, dataset_size=60_000)
    ours = elbo(over["recon_x"], over["x"], posterior(preset, over["mu"], over["logvar"]), z=over["z"]).loss
    assert_same(ours, loss(first(preset).theirs, over), learned(over))


@pytest.mark.parametrize("name", [name for name in CONVENTIONS if name not in FOUR_ARGUMENTS])
def test_vae_loss_names_the_module_for_the_other_rows(name: str) -> None:
    x = torch.rand(2, 3)
    with pytest.raises(ValueError, match=rf"preset: got '{name}'.*ELBOLoss\(preset='{name}'\)"):
        fastvae.functional.vae_loss(x, x, x, x, preset=name)
