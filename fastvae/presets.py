"""How the projects people use write their ELBO: one row a project, as data.

``preset=`` names a row. `fastvae.functional.vae_loss` takes those that its four tensors can express, `fastvae.ELBOLoss`
takes all of them, and `fastvae.VAE` reads its encoder's output as the row says, too.

    CONVENTIONS             the rows by name, ``"pytorch-examples"`` to ``"oobleck"``
    Convention              a row: likelihoods, reductions, weights
    convention              the row of a name
    TotalCorrelationWeight  what a row says of a KL in parts
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fastvae._describe import with_changes
from fastvae._gaussian_options import GaussianOptions

__all__ = ["CONVENTIONS", "Convention", "TotalCorrelationWeight", "convention"]


class TotalCorrelationWeight(NamedTuple):
    """Of a KL in parts (Chen et al. 2018): the weight of the total correlation beside two of 1, and how q(z) is found.

    Attributes:
        weight: of the total correlation.
        weighting: as in `fastvae.functional.minibatch_log_densities`.

    Examples:
        >>> fastvae.presets.CONVENTIONS["disentangling-vae-beta-tc"].total_correlation
        TotalCorrelationWeight(weight=6.0, weighting='mss')
    """

    weight: float
    weighting: str


@dataclass(frozen=True, repr=False)
class Convention:
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
        total_correlation: where the KL is that of `fastvae.losses.TotalCorrelation`; None for the KL itself.
        gaussian: how an encoder's output is read.

    Examples:
        >>> row = fastvae.presets.Convention((("bernoulli", 1.0),), reconstruction="sum", kl="sum", kl_weight=0.5)
        >>> row.beyond_four_arguments  # recon_x, x, mu and logvar suffice
        >>> fastvae.presets.CONVENTIONS["tf-tutorial"].beyond_four_arguments
        'z'
    """

    likelihoods: tuple[tuple[str, float], ...] | None = None
    reconstruction: str = "batchmean"
    kl: str = "batchmean"
    kl_weight: float = 1.0
    kl_estimator: str = "analytic"
    free_bits: float = 0.0
    free_bits_per: str = "sample"
    capacity_per: str | None = None
    total_correlation: TotalCorrelationWeight | None = None
    gaussian: GaussianOptions = field(default_factory=GaussianOptions)

    def __repr__(self) -> str:
        return with_changes(self)

    @property
    def beyond_four_arguments(self) -> str | None:
        """What the row needs besides ``(recon_x, x, mu, logvar)``, in words; None where these suffice."""
        if self.likelihoods is None:
            return "the caller's likelihood"
        if any(name.endswith("_learned") for name, _ in self.likelihoods):
            return "a learned scale"
        if self.total_correlation is not None:
            return "z and the size of the data set"
        return {"analytic": None, "monte_carlo": "z", "masked": "z, a prior and a mask"}[self.kl_estimator]


# Logits are the same likelihood as probabilities, without the saturation: wherever a project uses the one, both serve.
_BERNOULLI: Final = (("bernoulli_probs", 1.0), ("bernoulli", 1.0))
_PYTHAE: Final = (("gaussian", 1.0), *_BERNOULLI)

# Its "gaussian" is the squared error of pixels in 0..255, divided by 255: 255 * error^2, twice 255 times ours.
_DISENTANGLING_VAE: Final = (*_BERNOULLI, ("gaussian", 2 * 255.0), ("laplace", 3.0))

CONVENTIONS: Final[dict[str, Convention]] = {
    "pytorch-examples": Convention(_BERNOULLI, reconstruction="sum", kl="sum"),
    "pythae": Convention(_PYTHAE),
    "pytorch-vae": Convention((("squared_error", 1.0),), reconstruction="mean", kl_weight=0.00025),
    "disentangling-vae": Convention(
        _DISENTANGLING_VAE, capacity_per="batch", gaussian=GaussianOptions(interleaved=True)
    ),
    # Both estimate q(z) by stratified weights whose 1/N stands in the first column instead of on the diagonal: ours
    # are the paper's. Both leave the weights of the other two parts at 1; the first lets N be the batch's size unless
    # told otherwise, ours is asked for. The second's 6 is for dSprites in its code, and other numbers in its presets.
    "pythae-beta-tc": Convention(
        (("squared_error", 1.0), *_BERNOULLI), total_correlation=TotalCorrelationWeight(1.0, "mss")
    ),
    "disentangling-vae-beta-tc": Convention(
        _DISENTANGLING_VAE,
        total_correlation=TotalCorrelationWeight(6.0, "mss"),
        gaussian=GaussianOptions(interleaved=True),
    ),
    "disentangled-beta": Convention(_PYTHAE, capacity_per="sample"),
    "diffusers": Convention((("laplace", 1.0), ("squared_error", 1.0)), gaussian=GaussianOptions(clamp=(-30.0, 20.0))),
    "latent-diffusion": Convention(
        (("laplace_learned", 1.0),), kl_weight=1e-6, gaussian=GaussianOptions(clamp=(-30.0, 20.0))
    ),
    "tf-tutorial": Convention(
        (("bernoulli", 1.0),), kl_estimator="monte_carlo", gaussian=GaussianOptions(packed_dim=-1)
    ),
    "keras": Convention(_BERNOULLI, reconstruction="channelmean"),
    "world-models": Convention((("squared_error", 1.0),), free_bits=0.5, free_bits_per="latent_size"),
    "scvi": Convention(gaussian=GaussianOptions(min_var=1e-4)),
    "vits": Convention((), kl_estimator="masked", gaussian=GaussianOptions(parameterization="log_std")),
    "bolts": Convention((("squared_error", 1.0),), reconstruction="mean", kl="mean", kl_weight=0.1),
    "oobleck": Convention(
        (),
        kl="positionmean",
        kl_weight=2.0,  # mu^2 + var - logvar - 1, without the factor 0.5
        gaussian=GaussianOptions(parameterization="softplus", min_std=1e-4),
    ),
}


def convention(preset: str) -> Convention:
    """The row called `preset`.

    Args:
        preset: a key of `CONVENTIONS`.

    Returns:
        The row.

    Raises:
        ValueError: an unknown name.

    Examples:
        >>> fastvae.presets.convention("pytorch-vae")  # what is not fastvae's own way to write it
        Convention(likelihoods=(('squared_error', 1.0),), reconstruction='mean', kl_weight=0.00025)
    """
    if not isinstance(preset, str) or preset not in CONVENTIONS:
        raise ValueError(f"preset: got {preset!r}; takes one of {tuple(CONVENTIONS)}")
    return CONVENTIONS[preset]


def check_four_arguments(preset: str, recon_x: object, x: object) -> Convention:
    """The row called `preset`, where ``vae_loss(recon_x, x, mu, logvar)`` can express it.

    Raises:
        ValueError: an unknown name; a row that needs more; a reconstruction missing, or given to a row without one.
    """
    row = convention(preset)
    needed = row.beyond_four_arguments
    if needed is not None:
        enough = tuple(name for name, other in CONVENTIONS.items() if other.beyond_four_arguments is None)
        raise ValueError(
            f"preset: got {preset!r}, which also needs {needed}; vae_loss takes {enough}. "
            f"Use fastvae.ELBOLoss(preset={preset!r})"
        )
    for argument, value in (("recon_x", recon_x), ("x", x)):
        if row.likelihoods and value is None:
            raise ValueError(f"{argument}: got None with preset={preset!r}; takes a torch.Tensor")
        if not row.likelihoods and value is not None:
            raise ValueError(f"{argument}: got a value with preset={preset!r}, which has no reconstruction; takes None")
    return row
