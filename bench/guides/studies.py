"""Which runs each table of the guides is of, and what it says of them. A row more is a line here."""

from __future__ import annotations

from typing import Final, NamedTuple

# A number of what `fastvae evaluate` finds: its name there, and the decimals that are shown.
NUMBERS: Final = {
    "test ELBO": ("elbo", 1),
    "reconstruction": ("reconstruction", 1),
    "KL": ("kl", 1),
    "PSNR, dB": ("psnr", 1),
    "log-likelihood": ("log_likelihood", 1),
    "of the prior": ("log_likelihood_monte_carlo", 1),
    "bits per dimension": ("log_likelihood_bits_per_dimension", 3),
    "squared error": ("prediction_error", 2),
    "greatest correlation": ("correlation", 2),
}
ACTIVE: Final = "units active"
COLLAPSED: Final = "collapsed"


class Study(NamedTuple):
    """A table of runs of `fastvae train`.

    Attributes:
        page: of docs/guides.
        common: options of all its runs, which stand above the table.
        settings: a row each.
        columns: keys of `NUMBERS`, `ACTIVE` or `COLLAPSED`.
        num_samples: of the log-likelihood; None for none.
    """

    page: str
    common: str
    settings: tuple[str, ...]
    columns: tuple[str, ...]
    num_samples: int | None = None


_NARROW: Final = "--hidden 256,128 --latent-dim 16"
_BINARY: Final = "--binarize threshold --likelihood bernoulli --epochs 60"

STUDIES: Final[dict[str, Study]] = {
    "betas": Study(
        "choosing-beta.md",
        "",
        ("--beta 0.1", "--beta 0.5", "--beta 1", "--beta 2", "--beta 4", "--beta 16"),
        ("test ELBO", "reconstruction", "KL", "PSNR, dB", ACTIVE),
    ),
    "collapse": Study(
        "posterior-collapse.md",
        _NARROW,
        (
            "",
            "--beta-schedule linear",
            "--beta-schedule cyclical --warmup-steps 3000",
            "--free-bits 0.1 --free-bits-per batch_dimension",
            "--free-bits 0.5 --free-bits-per batch_dimension",
            "--beta 10 --capacity 20",
            "--beta 0.5",
            "--likelihood gaussian",
        ),
        ("test ELBO", "KL", ACTIVE, COLLAPSED),
    ),
    "likelihoods": Study(
        "likelihoods-and-iwae.md",
        "",
        (
            "--likelihood gaussian",
            "--likelihood gaussian_learned",
            "--likelihood laplace_learned",
            "--likelihood bernoulli",
            "--likelihood discretized_logistic_mixture",
        ),
        ("test ELBO", "KL", "PSNR, dB", ACTIVE),
    ),
    "iwae": Study(
        "likelihoods-and-iwae.md",
        _BINARY,
        ("", "--objective iwae --train-samples 5", "--objective iwae --train-samples 20"),
        ("test ELBO", "log-likelihood", "bits per dimension", "KL", ACTIVE),
        num_samples=5000,
    ),
    "conditional": Study(
        "conditional-models.md",
        "--condition label",
        ("", "--prior learned", "--objective hybrid", "--objective gsnn"),
        ("log-likelihood", "of the prior", "squared error", "KL"),
        num_samples=1000,
    ),
    "disentanglement": Study(
        "disentanglement.md",
        "--batch-size 256 --epochs 300",
        ("", "--beta 2", "--beta 4", "--objective tc --total-correlation 4", "--objective tc --total-correlation 8"),
        ("test ELBO", "KL", ACTIVE, "greatest correlation"),
    ),
}
