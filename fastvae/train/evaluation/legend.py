"""What the printed numbers of a run are, said once, and one line of them."""

from __future__ import annotations

from typing import Final

from fastvae.train.runs.metrics import Epoch, Means
from fastvae.train.settings.config import Config
from fastvae.train.settings.kinds import DIVIDED

_ELBO: Final = "reconstruction = -log p(x|z); ELBO = -(reconstruction + KL)"
_PLAIN: Final = "-ELBO"
_UNITS: Final = {"sample": "", "dimension": " per dimension", "batch_dimension": " per dimension"}


class Legend:
    """How a run's averages are printed.

    Args:
        config: of the run.
        log_normalizer: nats of an image that do not depend on the weights, and that its loss leaves out.

    Attributes:
        text: what the numbers mean, and their unit.
    """

    def __init__(self, config: Config, log_normalizer: float) -> None:
        loss = _loss(config)
        # It says nothing that the ELBO does not where it differs by its sign and a constant alone.
        self._shows_loss = loss != _PLAIN
        constant = f" - {log_normalizer:.2f} (a constant of the likelihood)" if log_normalizer else ""
        self.text = f"in nats per image: {_ELBO}; loss = {loss}{constant}{_rising(config)}"

    unit: Final = "images"

    def trained(self, row: Epoch) -> str:
        """What the training images of an epoch come to."""
        return f"train ELBO {row.train_elbo:.2f}"

    def measured(self, row: Epoch) -> str:
        """What the test images do after it."""
        return f"test {self.line(row.test)}"

    def line(self, means: Means) -> str:
        """`means`, in the terms of `text`."""
        elbo = f"ELBO {means.elbo:.2f} = -(reconstruction {means.reconstruction:.2f} + KL {means.kl:.2f})"
        return f"{elbo}, loss {means.loss:.2f}" if self._shows_loss else elbo


def _loss(config: Config) -> str:
    """What the run minimizes, in terms of its parts."""
    if config.objective == "iwae":
        return f"-(importance-weighted bound of {config.train_samples} samples)"
    # Without a KL of their own, which is 0.
    if config.objective in ("gsnn", "baseline"):
        return _PLAIN
    elbo = f"reconstruction{_weighted_kl(config)}"
    if config.objective == "hybrid":
        drawn = "reconstruction from a latent of the prior"
        return f"{config.alpha:g} ({elbo}) + {1 - config.alpha:g} ({drawn})"
    return _PLAIN if elbo == "reconstruction + KL" else elbo


def _weighted_kl(config: Config) -> str:
    if config.beta == 0:
        return ""
    kl = "KL"
    if config.objective in DIVIDED:
        parts = {
            "mutual information": config.mutual_information,
            "total correlation": config.total_correlation,
            "dimension-wise KL": config.dimension_kl,
        }
        kl = f"({' + '.join(name if weight == 1 else f'{weight:g} {name}' for name, weight in parts.items())})"
    if config.free_bits:
        kl = f"max(KL, {config.free_bits:g}){_UNITS[config.free_bits_per]}"
    if config.capacity is not None:
        kl = f"|{kl} - C|"
    if config.beta_schedule != "constant":
        return f" + beta {kl}"
    return f" + {kl}" if config.beta == 1 else f" + {config.beta:g} {kl}"


def _rising(config: Config) -> str:
    """The weights that rise in the warm-up, and how far."""
    ends = {} if config.capacity is None else {"C": config.capacity}
    if config.beta_schedule != "constant":
        ends["beta"] = config.beta
    said = " and ".join(f"{name} to {end:g}" for name, end in ends.items())
    return f"; {said} in {config.warmup_steps} steps" if said else ""
