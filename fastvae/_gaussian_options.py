"""How a network's output is read as a diagonal Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

from fastvae._describe import changed, with_changes
from fastvae._keywords import ScaleKeywords
from fastvae._options import scale_form


class GaussianKeywords(ScaleKeywords, total=False):
    """The fields of `GaussianOptions`, as keywords any of which may be left out."""

    packed_dim: int
    interleaved: bool


@dataclass(frozen=True, kw_only=True, repr=False)
class GaussianOptions:
    """How the output of an encoder, a recognition or a prior network is read as a `fastvae.DiagonalGaussian`.

    Attributes:
        parameterization, clamp, min_std, min_var: what the raw scale means, see `fastvae.functional.reparameterize`.
        packed_dim, interleaved: where mu and scale are in a single tensor, see `DiagonalGaussian.from_moments`.

    Raises:
        ValueError: an unknown parameterization, or a clamp or floor out of range.
    """

    parameterization: str = "logvar"
    clamp: tuple[float, float] | None = None
    min_std: float = 0.0
    min_var: float = 0.0
    packed_dim: int = 1
    interleaved: bool = False

    def __repr__(self) -> str:
        return with_changes(self)

    def __post_init__(self) -> None:
        scale_form(**self.scale)

    @property
    def scale(self) -> ScaleKeywords:
        """The options of the scale, for whatever takes mu and scale."""
        return {
            "parameterization": self.parameterization,
            "clamp": self.clamp,
            "min_std": self.min_std,
            "min_var": self.min_var,
        }

    def described(self) -> dict[str, object]:
        """What `repr` says of them: the parameterization, and what is not the default."""
        return {"parameterization": self.parameterization} | changed(self)
