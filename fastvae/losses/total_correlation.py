"""The KL in three parts with a weight each: beta-TC-VAE."""

from __future__ import annotations

from typing import Final, NamedTuple

from torch import Tensor, nn

from fastvae._describe import describe, named
from fastvae.distributions import DiagonalGaussian, Prior
from fastvae.functional._elbo import times
from fastvae.losses._options import Weight, current, one_of, weight
from fastvae.presets import Convention

WEIGHTINGS: Final = ("mws", "mss")


class KLTerms(NamedTuple):
    """Means over the batch, in nats, detached. They add up to the Monte-Carlo estimate of the KL.

    Attributes:
        mutual_information: log q(z|x) - log q(z): of the data and the latent.
        total_correlation: log q(z) - sum_d log q(z_d): how far the latent's dimensions are from independent.
        dimension_kl: sum_d log q(z_d) - log p(z): how far each dimension is from the prior.

    Examples:
        >>> mu = torch.linspace(-2, 2, 256).view(256, 1).expand(256, 2)  # two dimensions that say the same
        >>> posterior = fastvae.DiagonalGaussian(mu, torch.full((256, 2), -2.0))
        >>> _, kl, terms = fastvae.losses.TotalCorrelation(256, weighting="mss")(posterior.mean, posterior)
        >>> terms
        KLTerms(mutual_information=tensor(1.9018), total_correlation=tensor(1.2456), dimension_kl=tensor(0.1964))
        >>> torch.allclose(sum(terms), kl.mean())
        True
    """

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_kl: Tensor

    def __repr__(self) -> str:
        return describe(self)


class TotalCorrelation(nn.Module):
    """alpha * mutual information + beta * total correlation + gamma * dimension-wise KL (Chen et al. 2018, equation 4).

    q(z) is the aggregate posterior of the whole data set, estimated from one minibatch: batches of hundreds, not tens.
    Weights of 1 give the Monte-Carlo estimate of the KL; a total correlation of more is the beta-TC-VAE.

    Args:
        dataset_size: how many samples the data set has.
        total_correlation, mutual_information, dimension_kl: the weights, each a float, a 0-dim tensor or a schedule.
        weighting: ``"mws"`` or ``"mss"``, see `fastvae.functional.minibatch_log_densities`.

    Raises:
        ValueError, TypeError: a value out of range.

    Examples:
        >>> posterior = fastvae.DiagonalGaussian(torch.zeros(256, 10), torch.zeros(256, 10))
        >>> z = posterior.rsample(seed=0)
        >>> loss, kl, terms = fastvae.losses.TotalCorrelation(60_000, total_correlation=6.0)(z, posterior)
        >>> kl.shape, bool((kl.abs() < 1e-4).all())  # the posterior is the prior
        (torch.Size([256]), True)
        >>> parts = terms.mutual_information + 6 * terms.total_correlation + terms.dimension_kl
        >>> torch.allclose(loss, parts)
        True
        >>> objective = fastvae.ELBOLoss(total_correlation=6.0, dataset_size=60_000)  # with it in place of the KL
    """

    def __init__(
        self,
        dataset_size: int,
        *,
        total_correlation: Weight = 6.0,
        mutual_information: Weight = 1.0,
        dimension_kl: Weight = 1.0,
        weighting: str = "mws",
    ) -> None:
        super().__init__()
        if isinstance(dataset_size, bool) or not isinstance(dataset_size, int) or dataset_size < 1:
            raise ValueError(f"dataset_size: got {dataset_size!r}; takes the number of samples in the data set")
        one_of("weighting", weighting, WEIGHTINGS)
        self.dataset_size = dataset_size
        self.total_correlation = weight("total_correlation", total_correlation)
        self.mutual_information = weight("mutual_information", mutual_information)
        self.dimension_kl = weight("dimension_kl", dimension_kl)
        self.weighting = weighting

    def forward(self, z: Tensor, posterior: DiagonalGaussian, prior: Prior = None) -> tuple[Tensor, Tensor, KLTerms]:
        """The weighted terms for one batch.

        Args:
            z: one sample of each posterior, ``[batch, ...]``.
            posterior: of the batch.
            prior: None for N(0, I), or as in `fastvae.DiagonalGaussian.log_prior`.

        Returns:
            The loss, a scalar; the KL of each sample, estimated at z and detached, ``[batch]``; the terms. All in nats.

        Raises:
            ValueError: a `z` of another shape than the posterior's.
        """
        if z.shape != posterior.mu.shape:
            raise ValueError(
                f"z: got shape {list(z.shape)} for a posterior of {list(posterior.mu.shape)}; takes one sample of it"
            )
        log_q, log_p = posterior.log_prob(z), posterior.log_prior(z, prior)
        log_qz, log_product = posterior.minibatch_log_densities(
            z, dataset_size=self.dataset_size, weighting=self.weighting
        )
        terms = KLTerms(*(term.mean() for term in (log_q - log_qz, log_qz - log_product, log_product - log_p)))
        weights = (self.mutual_information, self.total_correlation, self.dimension_kl)
        loss = sum(times(term, current(weight)) for term, weight in zip(terms, weights, strict=True))
        assert isinstance(loss, Tensor)
        return loss, (log_q - log_p).detach(), KLTerms(*(term.detach() for term in terms))

    def extra_repr(self) -> str:
        """The options, for `repr`; schedules follow them."""
        options = {
            "dataset_size": self.dataset_size,
            "total_correlation": self.total_correlation,
            "mutual_information": self.mutual_information,
            "dimension_kl": self.dimension_kl,
            "weighting": self.weighting,
        }
        return named({name: value for name, value in options.items() if not isinstance(value, nn.Module)})


def decomposition(
    convention: Convention,
    *,
    total_correlation: Weight | None,
    mutual_information: Weight,
    dimension_kl: Weight,
    dataset_size: int | None,
    weighting: str | None,
    bounded: bool,
) -> TotalCorrelation | None:
    """What `fastvae.ELBOLoss` puts in place of the KL: None where neither its options nor the preset divide it.

    Args:
        convention: the preset's, whose weight and weighting are the defaults.
        bounded: the KL has a capacity or free bits.

    Raises:
        ValueError: options of the parts without a total correlation, or a KL that is bounded or weighted otherwise.
    """
    row = convention.total_correlation
    chosen = row.weight if total_correlation is None and row is not None else total_correlation
    if chosen is None:
        parts = {"mutual_information": mutual_information, "dimension_kl": dimension_kl}
        given = {name: value for name, value in parts.items() if not (isinstance(value, (int, float)) and value == 1)}
        for name, value in (given | {"dataset_size": dataset_size, "weighting": weighting}).items():
            if value is not None:
                raise ValueError(f"{name}: got {value!r} without total_correlation; takes a value beside one only")
        return None
    if bounded or (convention.kl, convention.kl_weight, convention.kl_estimator) != ("batchmean", 1.0, "analytic"):
        raise ValueError(
            f"total_correlation: got {chosen!r} with free bits, a capacity or a preset that averages, weights or "
            "estimates the KL in its own way; takes None there"
        )
    if dataset_size is None:
        raise ValueError("dataset_size: got None with total_correlation; takes the number of samples in the data set")
    return TotalCorrelation(
        dataset_size,
        total_correlation=chosen,
        mutual_information=mutual_information,
        dimension_kl=dimension_kl,
        weighting=weighting or (WEIGHTINGS[0] if row is None else row.weighting),
    )
