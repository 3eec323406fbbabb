"""How the projects people use write their ELBO: one row a project, as data.

`fastvae.functional.vae_loss` serves the rows its four arguments can express, `fastvae.ELBOLoss` serves all of them,
`fastvae.VAE(preset=...)` takes the posterior's options from a row too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Preset:
    """One way to write the ELBO. The defaults are fastvae's own.

    Attributes:
        likelihoods: ``(name, factor)`` pairs the project offers, its default first. Empty: no reconstruction term.
            None: the caller's own.
        reconstruction: ``"sum"``, ``"batchmean"``, ``"mean"`` over every element, or ``"channelmean"`` (summed over
            positions, averaged over channels and batch).
        kl: ``"sum"``, ``"batchmean"``, ``"mean"`` over batch and latent, or ``"positionmean"`` (summed over dim 1,
            averaged over everything else).
        kl_weight: multiplies the KL, besides the caller's beta.
        kl_estimator: ``"analytic"``, ``"monte_carlo"`` (log q(z|x) - log p(z)) or ``"masked"`` (Monte Carlo in the
            prior's part only, averaged over a mask).
        free_bits, free_bits_per: see `fastvae.ELBOLoss`.
        capacity_per: where abs(KL - C) is taken; None where the project has no capacity.
        parameterization, clamp, min_std, min_var: the posterior's scale, see `fastvae.functional.reparameterize`.
        packed_dim, interleaved: how a single encoder output is packed.
    """

    likelihoods: tuple[tuple[str, float], ...] | None = None
    reconstruction: str = "batchmean"
    kl: str = "batchmean"
    kl_weight: float = 1.0
    kl_estimator: str = "analytic"
    free_bits: float = 0.0
    free_bits_per: str = "sample"
    capacity_per: str | None = None
    parameterization: str = "logvar"
    clamp: tuple[float, float] | None = None
    min_std: float = 0.0
    min_var: float = 0.0
    packed_dim: int = 1
    interleaved: bool = False

    @property
    def beyond_four_arguments(self) -> str | None:
        """What the row needs besides ``(recon_x, x, mu, logvar)``, in words; None where these suffice."""
        if self.likelihoods is None:
            return "the caller's likelihood"
        if any(name.endswith("_learned") for name, _ in self.likelihoods):
            return "a learned scale"
        return {"analytic": None, "monte_carlo": "z", "masked": "z, a prior and a mask"}[self.kl_estimator]


# Logits are the same likelihood as probabilities, without the saturation: wherever a project uses the one, both serve.
_BERNOULLI: Final = (("bernoulli_probs", 1.0), ("bernoulli", 1.0))
_PYTHAE: Final = (("gaussian", 1.0), *_BERNOULLI)

PRESETS: Final[dict[str, Preset]] = {
    "pytorch-examples": Preset(_BERNOULLI, reconstruction="sum", kl="sum"),
    "pythae": Preset(_PYTHAE),
    "pytorch-vae": Preset((("squared_error", 1.0),), reconstruction="mean", kl_weight=0.00025),
    # Its "gaussian" is the squared error of pixels in 0..255, divided by 255: 255 * error^2, twice 255 times ours.
    "disentangling-vae": Preset(
        (*_BERNOULLI, ("gaussian", 2 * 255.0), ("laplace", 3.0)), capacity_per="batch", interleaved=True
    ),
    "disentangled-beta": Preset(_PYTHAE, capacity_per="sample"),
    "diffusers": Preset((("laplace", 1.0), ("squared_error", 1.0)), clamp=(-30.0, 20.0)),
    "latent-diffusion": Preset((("laplace_learned", 1.0),), kl_weight=1e-6, clamp=(-30.0, 20.0)),
    "tf-tutorial": Preset((("bernoulli", 1.0),), kl_estimator="monte_carlo", packed_dim=-1),
    "keras": Preset(_BERNOULLI, reconstruction="channelmean"),
    "world-models": Preset((("squared_error", 1.0),), free_bits=0.5, free_bits_per="latent_size"),
    "scvi": Preset(min_var=1e-4),
    "vits": Preset((), kl_estimator="masked", parameterization="log_std"),
    "bolts": Preset((("squared_error", 1.0),), reconstruction="mean", kl="mean", kl_weight=0.1),
    # mu^2 + var - logvar - 1, without the factor 0.5.
    "oobleck": Preset((), kl="positionmean", kl_weight=2.0, parameterization="softplus", min_std=1e-4),
}


def preset(name: str) -> Preset:
    """The row called `name`.

    Raises:
        ValueError: an unknown name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset: got {name!r}; takes one of {tuple(PRESETS)}")
    return PRESETS[name]


def check_four_arguments(name: str, recon_x: object, x: object) -> Preset:
    """The row called `name`, where ``vae_loss(recon_x, x, mu, logvar)`` can express it.

    Raises:
        ValueError: an unknown name; a row that needs more; a reconstruction missing, or given to a row without one.
    """
    row = preset(name)
    needed = row.beyond_four_arguments
    if needed is not None:
        raise ValueError(
            f"preset: got {name!r}, which also needs {needed}; vae_loss takes "
            f"{tuple(other for other in PRESETS if PRESETS[other].beyond_four_arguments is None)}. "
            f"Use fastvae.ELBOLoss(preset={name!r})"
        )
    for argument, value in (("recon_x", recon_x), ("x", x)):
        if row.likelihoods and value is None:
            raise ValueError(f"{argument}: got None with preset={name!r}; takes a torch.Tensor")
        if not row.likelihoods and value is not None:
            raise ValueError(f"{argument}: got a value with preset={name!r}, which has no reconstruction; takes None")
    return row
