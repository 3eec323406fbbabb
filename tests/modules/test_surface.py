"""What a user sees of the models: signatures, options as they are printed, and errors in terms of the call."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from fastvae import CVAE, VAE, BetaVAE, DiagonalGaussian, ELBOLoss, functional
from fastvae._gaussian_options import GaussianKeywords, GaussianOptions
from fastvae._keywords import DrawKeywords, ScaleKeywords
from fastvae._likelihoods import LIKELIHOODS
from fastvae.losses._options import ObjectiveKeywords
from fastvae.modules._latent import LatentVariableModel
from fastvae.modules._options import ModelKeywords
from tests.modules.tiny import BATCH, LATENT, PIXELS, ToFloat, TwoHeads


def options(model: type) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(model).parameters
    return {name: value for name, value in parameters.items() if value.kind is inspect.Parameter.KEYWORD_ONLY}


def test_the_models_write_out_the_same_options() -> None:
    plain, beta, conditional = options(VAE), options(BetaVAE), options(CVAE)
    assert plain.pop("prior") == beta["prior"]
    assert len(plain) == 22
    assert set(inspect.signature(ELBOLoss).parameters) < set(plain)
    assert {name for name in plain if plain[name] != beta[name]} == {"beta"}
    assert beta["beta"].default == 4.0
    assert {name: conditional[name] for name in plain} == plain
    assert conditional.keys() - plain.keys() == {"objective", "alpha"}
    kinds = {
        parameter.kind for each in (VAE, BetaVAE, CVAE) for parameter in inspect.signature(each).parameters.values()
    }
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("passed_on", "target"),
    [
        (ObjectiveKeywords, ELBOLoss.__init__),
        (GaussianKeywords, GaussianOptions),
        (ScaleKeywords, DiagonalGaussian.__init__),
        (ScaleKeywords, functional.gaussian_kl),
        (DrawKeywords, functional.reparameterize),
    ],
)
def test_keywords_passed_on_are_typed_as_where_they_go(passed_on: type, target: Callable[..., Any]) -> None:
    assert get_type_hints(passed_on).items() <= get_type_hints(target).items()


def test_no_keyword_is_taken_and_not_shown() -> None:
    assert ModelKeywords.__optional_keys__ == options(VAE).keys() - {"prior"} == options(LatentVariableModel).keys()
    assert ObjectiveKeywords.__optional_keys__ == inspect.signature(ELBOLoss).parameters.keys()
    moments = inspect.signature(DiagonalGaussian.from_moments).parameters
    assert moments.keys() == {"moments", "dim", "interleaved"} | ScaleKeywords.__optional_keys__
    of_gaussians = inspect.signature(GaussianOptions).parameters
    names = {"dim": "packed_dim"}
    assert all(
        of_gaussians[names.get(name, name)].default == moments[name].default for name in moments.keys() - {"moments"}
    )


def test_the_objective_describes_every_likelihood() -> None:
    assert ELBOLoss.__doc__ is not None
    assert [name for name in LIKELIHOODS if f'``"{name}"``' not in ELBOLoss.__doc__] == []


@pytest.mark.parametrize("kind", [VAE, BetaVAE, CVAE])
def test_an_objective_is_given_whole_or_by_its_options(kind: Callable[..., nn.Module]) -> None:
    loss = ELBOLoss("laplace", beta=2.0, free_bits=0.5)
    assert kind(nn.Identity(), nn.Identity(), loss=loss).elbo is loss
    for given, named in (({"beta": 1.0}, "beta"), ({"likelihood": "gaussian", "preset": None}, "likelihood, preset")):
        with pytest.raises(ValueError, match=rf"^{named}: got a value beside loss=; takes one there"):
            kind(nn.Identity(), nn.Identity(), loss=loss, **given)
    with pytest.raises(TypeError, match=r"loss: got MSELoss; takes a fastvae\.ELBOLoss"):
        kind(nn.Identity(), nn.Identity(), loss=nn.MSELoss())


def test_a_preset_fills_what_is_left_out_wherever_it_is_given() -> None:
    for given in ({"preset": "diffusers"}, {"loss": ELBOLoss(preset="diffusers")}):
        assert "clamp=(-30.0, 20.0)" in repr(VAE(nn.Identity(), nn.Identity(), **given))
        assert "clamp=(-1.0, 1.0)" in repr(VAE(nn.Identity(), nn.Identity(), clamp=(-1.0, 1.0), **given))
        assert "clamp" not in repr(VAE(nn.Identity(), nn.Identity(), clamp=None, **given))


CHANGED: dict[str, Any] = {
    "likelihood": "gaussian",
    "beta": 2.0,
    "free_bits": 0.5,
    "free_bits_per": "dimension",
    "capacity": 3.0,
    "capacity_per": "sample",
    "kl_estimator": "monte_carlo",
    "parameterization": "softplus",
    "clamp": (-3.0, 3.0),
    "min_std": 0.25,
    "packed_dim": -1,
    "interleaved": True,
    "latent_shape": (3,),
    "reduction": "sample",
}
OTHERS: dict[str, Any] = {"preset": "keras", "min_var": 0.25}
DIVIDED: dict[str, Any] = {
    "total_correlation": 6.0,
    "mutual_information": 0.5,
    "dimension_kl": 2.0,
    "dataset_size": 100,
    "weighting": "mss",
}


@pytest.mark.parametrize("kind", [VAE, BetaVAE, CVAE])
def test_every_option_is_printed(kind: type[nn.Module]) -> None:
    assert (CHANGED | OTHERS | DIVIDED).keys() == options(VAE).keys() - {"loss", "prior"}
    for given in (CHANGED, OTHERS, DIVIDED):
        printed = repr(kind(nn.Identity(), nn.Identity(), **given))
        for name, value in given.items():
            assert f"{name}={value!r}" in printed, printed


@pytest.mark.parametrize("name", ["VAE", "BetaVAE", "CVAE"])
def test_an_unknown_option_is_named_with_the_class(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}\.__init__\(\) got an unexpected keyword argument 'latent_dim'"):
        {"VAE": VAE, "BetaVAE": BetaVAE, "CVAE": CVAE}[name](nn.Identity(), nn.Identity(), latent_dim=20)


def test_a_conditional_model_prints_its_objective() -> None:
    assert "objective='hybrid', alpha=0.25" in repr(CVAE(nn.Identity(), nn.Identity(), objective="hybrid", alpha=0.25))
    assert "objective='cvae', parameterization='logvar'\n" in repr(CVAE(nn.Identity(), nn.Identity()))


X = torch.rand(BATCH, PIXELS)


def dense() -> VAE:
    return VAE(nn.Linear(PIXELS, 2 * LATENT), nn.Linear(LATENT, PIXELS))


def conv() -> VAE:
    return VAE(nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1))


class Fails(nn.Module):
    """A network with an error of its own."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Any) -> Tensor:
        raise self.error


@pytest.mark.parametrize(
    ("build", "x", "error", "message"),
    [
        (dense, X.numpy(), TypeError, "x: got ndarray; takes a torch.Tensor"),
        (dense, X.tolist(), TypeError, "x: got list; takes a torch.Tensor"),
        (dense, (255 * X).byte(), TypeError, r"x: got uint8\[5, 12\]; takes inputs of encoder \(Linear, float32\)"),
        (dense, X.double(), TypeError, r"x: got float64\[5, 12\]; takes inputs of encoder \(Linear, float32\)"),
        (conv, torch.zeros(5, 1, 4, 4, dtype=torch.uint8), TypeError, r"x: got uint8\[5, 1, 4, 4\]; takes"),
        (dense, X.reshape(5, 1, 3, 4), ValueError, r"x: got float32\[5, 1, 3, 4\]; takes .* cannot be multiplied"),
        (conv, X, ValueError, r"x: got float32\[5, 12\]; takes inputs of encoder \(Conv2d, float32\), which says"),
        (conv, X[:2].reshape(1, 4, 6), ValueError, r"x: got float32\[1, 4, 6\] for latents float32\[4, 2, 6\]; takes"),
        (dense, X[0], ValueError, r"x: got float32\[12\], of which encoder makes float32\[6\]; takes \[batch, ...\]"),
        (lambda: VAE(TwoHeads(), nn.Linear(LATENT, PIXELS)), X[0], ValueError, r"x: got float32\[12\] for latents"),
        (dense, X[:0], ValueError, r"x: got float32\[0, 12\] for latents float32\[0, 3\]; takes .* a sample or more"),
        (lambda: VAE(Fails(KeyError("own")), nn.Identity()), X, KeyError, "own"),
        (lambda: VAE(Fails(TypeError("own")), nn.Identity()), X, TypeError, "^own$"),
        (lambda: VAE(Fails(torch.OutOfMemoryError("own")), nn.Identity()), X, torch.OutOfMemoryError, "^own$"),
        (lambda: VAE(Fails(RuntimeError("own")), nn.Identity()), {"x": X}, ValueError, "which says: own"),
        (lambda: VAE(nn.Linear(PIXELS, 2), nn.Linear(2, 1)), X, ValueError, r"z: got .*\[5, 1\]; takes inputs of dec"),
    ],
)
def test_an_input_that_does_not_fit_is_named(build: Any, x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()(x)


def test_a_target_that_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"target: got float32\[4, 12\] for latents float32\[5, 3\]"):
        dense()(X, X[:4])
    with pytest.raises(TypeError, match="target: got ndarray"):
        dense()(X, X.numpy())


def test_what_the_networks_convert_is_taken() -> None:
    pixels = (255 * X).byte()
    assert VAE(nn.Sequential(ToFloat(), nn.Linear(PIXELS, 2 * LATENT)), nn.Linear(LATENT, PIXELS))(pixels).loss > 0

    class FromArrays(nn.Linear):
        def forward(self, x: Any) -> Tensor:
            return super().forward(torch.as_tensor(x["pixels"]))

    vae = VAE(FromArrays(PIXELS, 2 * LATENT), nn.Linear(LATENT, PIXELS))
    assert vae({"pixels": X.numpy()}, X).loss > 0
    assert vae.encode({"pixels": X[:0].numpy()}).mu.shape == (0, LATENT)
