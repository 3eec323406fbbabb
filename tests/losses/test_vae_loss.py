"""`vae_loss`, the signature everyone copies: what it takes besides the presets' formulas (see test_presets)."""

import pytest
import torch
from torch import Tensor

import fastvae
import fastvae.functional as F


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    recon_x = torch.rand(5, 3, 4, 4, dtype=dtype, generator=generator).requires_grad_()
    x = torch.rand(5, 3, 4, 4, dtype=dtype, generator=generator)
    mu, logvar = torch.randn(2, 5, 6, dtype=dtype, generator=generator).unbind()
    return recon_x, x, mu.clone().requires_grad_(), logvar.clone().requires_grad_()


def test_the_default_is_the_widely_copied_sum() -> None:
    recon_x, x, mu, logvar = batch()
    bce = torch.nn.functional.binary_cross_entropy(recon_x, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    torch.testing.assert_close(F.vae_loss(recon_x, x, mu, logvar), bce + kld, rtol=1e-12, atol=0)


def test_the_default_is_twice_differentiable_under_the_reference_backend() -> None:
    tensors = batch()
    with fastvae.use_backend("reference"):
        assert torch.autograd.gradgradcheck(
            lambda p, mu, logvar: F.vae_loss(p, tensors[1], mu, logvar), (tensors[0], *tensors[2:])
        )


def test_gradients_by_finite_differences() -> None:
    recon_x, x, mu, logvar = batch()
    assert torch.autograd.gradcheck(lambda p, m, s: F.vae_loss(p, x, m, s, preset="keras"), (recon_x, mu, logvar))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_dtypes(dtype: torch.dtype) -> None:
    recon_x, x, mu, logvar = (tensor.detach().to(dtype).requires_grad_() for tensor in batch())
    x = x.detach()
    loss = F.vae_loss(recon_x, x, mu, logvar, preset="pythae")
    loss.backward()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert recon_x.grad.dtype == mu.grad.dtype == logvar.grad.dtype == dtype


def test_a_float64_beta_does_not_change_the_dtype_of_the_loss() -> None:
    recon_x, x, mu, logvar = batch(torch.float32)
    assert F.vae_loss(recon_x, x, mu, logvar, beta=torch.tensor(0.5, dtype=torch.float64)).dtype == torch.float32


def test_beta_as_a_tensor_is_beta_as_a_float() -> None:
    recon_x, x, mu, logvar = batch()
    as_float = F.vae_loss(recon_x, x, mu, logvar, beta=0.25)
    as_tensor = F.vae_loss(recon_x, x, mu, logvar, beta=torch.tensor(0.25))
    assert torch.equal(as_float, as_tensor)


def test_uint8_images_are_read_as_fractions_of_255() -> None:
    recon_x, x, mu, logvar = batch()
    pixels = (255 * x).round().to(torch.uint8)
    fractions = pixels.double() / 255
    torch.testing.assert_close(
        F.vae_loss(recon_x, pixels, mu, logvar), F.vae_loss(recon_x, fractions, mu, logvar), rtol=1e-12, atol=0
    )


def test_keras_counts_a_flat_input_as_one_channel() -> None:
    recon_x, x, mu, logvar = batch()
    flat = F.vae_loss(recon_x.flatten(1), x.flatten(1), mu, logvar, preset="keras")
    bce = torch.nn.functional.binary_cross_entropy(recon_x, x, reduction="sum") / 5
    torch.testing.assert_close(flat, bce + F.gaussian_kl(mu, logvar), rtol=1e-12, atol=0)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("preset", ["pytorch-examples", "keras", "bolts"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_images_beside_a_flat_prediction_are_flattened(
    memory_format: torch.memory_format, preset: str, backend: str
) -> None:
    """As ``x.view(-1, 784)`` does in the code that everyone copies."""
    recon_x, x, mu, logvar = batch()
    images, flat = x.contiguous(memory_format=memory_format), recon_x.flatten(1)
    with fastvae.use_backend(backend):
        ours = F.vae_loss(flat, images, mu, logvar, preset=preset)
        expected = F.vae_loss(flat, x.flatten(1), mu, logvar, preset=preset)
    assert torch.equal(ours, expected)
    (gradient,) = torch.autograd.grad(ours, recon_x)
    assert torch.equal(gradient, *torch.autograd.grad(expected, recon_x))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_nothing_else_is_reshaped(backend: str) -> None:
    recon_x, x, mu, logvar = batch()
    with fastvae.use_backend(backend):
        for prediction, data in ((recon_x, x.flatten(1)), (recon_x.flatten(1), x[:, :2]), (recon_x.flatten(), x)):
            with pytest.raises(ValueError, match="x: got shape"):
                F.vae_loss(prediction, data, mu, logvar)
        with pytest.raises(TypeError, match="x: got list"):
            F.vae_loss(recon_x, [1.0], mu, logvar)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({}, {"preset": "nonsense"}, "preset: got 'nonsense'; takes one of"),
        ({"recon_x": None}, {}, "recon_x: got None"),
        ({"x": None}, {}, "x: got None"),
        ({"x": None}, {"preset": "oobleck"}, "recon_x: got a value with preset='oobleck'"),
        ({"recon_x": None}, {"preset": "oobleck"}, "x: got a value with preset='oobleck'"),
        ({"logvar": torch.zeros(5, 7, dtype=torch.float64)}, {}, "logvar: got shape"),
        ({"x": torch.zeros(5, 3, 4, 5, dtype=torch.float64)}, {}, "x: got shape"),
    ],
)
def test_mistakes_are_named(change: dict[str, Tensor | None], options: dict[str, str], message: str) -> None:
    arguments = dict(zip(("recon_x", "x", "mu", "logvar"), batch(), strict=True)) | change
    with pytest.raises(ValueError, match=message):
        F.vae_loss(*arguments.values(), **options)


def test_the_reference_module_is_reachable_without_importing_it() -> None:
    recon_x, x, mu, logvar = batch()
    torch.testing.assert_close(
        fastvae.reference.vae_loss(recon_x, x, mu, logvar), F.vae_loss(recon_x, x, mu, logvar), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("shape", [(3, 0, 5), (3, 4, 0), (3, 0), (0, 4, 5)])
@pytest.mark.parametrize("preset", ["keras", "pytorch-vae", "pythae", "bolts", "pytorch-examples"])
def test_images_without_pixels(preset: str, shape: tuple[int, ...]) -> None:
    """Found by fuzzing: an average over no channel divided by 0. It is nan, as that of torch over nothing."""
    x, latent = torch.zeros(shape), torch.zeros(shape[0], 2)
    results = []
    for backend in ("auto", "reference"):
        with fastvae.use_backend(backend):  # type: ignore[arg-type]
            results.append(F.vae_loss(x, x, latent, latent, preset=preset))
    torch.testing.assert_close(*results, equal_nan=True)


@pytest.mark.parametrize("shape", [(3, 1, 0), (3, 0), (3, 2, 0, 4)])
def test_a_latent_without_elements(shape: tuple[int, ...]) -> None:
    """Found by fuzzing: an average over no position divided by 0."""
    latent = torch.zeros(shape)
    loss = F.vae_loss(None, None, latent, latent, preset="oobleck")
    expected = fastvae.reference.vae_loss(None, None, latent, latent, preset="oobleck")
    torch.testing.assert_close(loss, expected, equal_nan=True)


def test_a_beta_of_any_int() -> None:
    """Found by fuzzing: torch takes no int beyond 64 bits."""
    x, mu, logvar = torch.full((2, 3), 0.5), torch.ones(2, 3), torch.zeros(2, 3)
    assert torch.equal(F.vae_loss(x, x, mu, logvar, beta=2**70), F.vae_loss(x, x, mu, logvar, beta=2.0**70))
