"""What of a run's images is measured, as the options of ``fastvae evaluate`` say, and whether the run has it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from fastvae.train.errors import UserError
from fastvae.train.settings.config import Config

_LEAST: Final = 6  # pixels of a side: SSIM's window of 11 reaches 5 beyond an edge, where the image is mirrored


class Asked(NamedTuple):
    """What is measured beside PSNR.

    Attributes:
        ssim: of reconstructions.
        fid, kid: of samples: files of the networks that give the features of each.
    """

    ssim: bool = False
    fid: Path | None = None
    kid: Path | None = None

    @property
    def features(self) -> dict[str, Path]:
        """The files by the metric."""
        return {name: file for name, file in (("fid", self.fid), ("kid", self.kid)) if file is not None}


def reconstructs(config: Config) -> bool:
    """Whether a run has images and a posterior: a GSNN trains none, and a baseline has no latent."""
    return len(config.shape) == 3 and config.objective not in ("gsnn", "baseline")


def check(asked: Asked, config: Config) -> None:
    """What can be said of `asked` before anything is measured.

    Raises:
        UserError: torchmetrics is missing, or the run has no such images.
    """
    for name in (*(("ssim",) if asked.ssim else ()), *asked.features):
        if find_spec("torchmetrics") is None:
            raise UserError(f"--{name}: torchmetrics is not installed: pip install 'fastvae[metrics]'")
        if len(config.shape) != 3:
            raise UserError(f"--{name}: got a run on samples of shape {config.shape}; takes one on images")
        if config.condition == "quadrants":
            raise UserError(f"--{name}: got a run with condition 'quadrants'; takes one that draws whole images")
        if config.objective == "baseline":
            raise UserError(f"--{name}: got a run with objective 'baseline'; takes one with a latent")
    if asked.ssim and not reconstructs(config):
        raise UserError(f"--ssim: got a run with objective {config.objective!r}; takes one with a posterior")
    if asked.ssim and min(config.shape[1:]) < _LEAST:
        raise UserError(f"--ssim: got images of shape {config.shape}; takes at least {_LEAST} x {_LEAST} pixels")
    for name in asked.features:
        if config.shape[0] not in (1, 3):
            raise UserError(f"--{name}: got images of {config.shape[0]} channels; takes 1 or 3")
