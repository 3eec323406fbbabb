"""Which tests hold each file of the mathematics: few enough to be run for each change.

The reference has tests with answers known beforehand; what compares a kernel with the reference is not among them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_KNOWN: Final = "reference and not three_ways and not implementation and not compiles"
_CPP: Final = "not triton and not reference and not threads and not gradcheck and not implementation"
_TRITON: Final = "triton"


class Row(NamedTuple):
    """A file, the test files that hold it with an expression for pytest's -k, and whether they compare bits."""

    file: str
    tests: tuple[str, ...]
    chosen: str
    exact: bool = False

    @property
    def arguments(self) -> list[str]:
        """For pytest."""
        return [*(f"tests/{name}.py" for name in self.tests), *(["-k", self.chosen] if self.chosen else [])]


_SCALES: Final = ("core/test_scales", "core/test_reparameterize_kl", "core/test_log_normal")
_LOSSES: Final = ("core/test_reconstruction", "core/test_special_values")
_COUNTS: Final = ("core/test_negative_binomial_nll",)
_LOGISTICS: Final = ("core/test_discretized_logistic_mixture", "core/test_discretized_logistic_mixture_accuracy")
_SUMS: Final = ("core/test_reductions", "core/test_reparameterize_kl")


def _reference(name: str, *tests: str, chosen: str = _KNOWN, exact: bool = False) -> Row:
    return Row(f"fastvae/reference/{name}.py", tests, chosen, exact)


def _kernel(name: str, *tests: str, chosen: str = _CPP, exact: bool = False) -> Row:
    return Row(f"csrc/kernels/{name}.h", tests, chosen, exact)


def _triton(name: str, *tests: str, chosen: str = _TRITON, exact: bool = False) -> Row:
    return Row(f"fastvae/_triton/{name}.py", tests, chosen, exact)


def _loss(name: str, *tests: str) -> Row:
    return Row(f"fastvae/losses/{name}.py", tests, "not triton")


_NOISE: Final = "known_answers or plain_arithmetic or documentation or any_stretch or normal_is_known"

TABLE: Final = (
    _reference("_common", "core/test_reductions", "core/test_reconstruction"),
    _reference("discretized_logistic_mixture", *_LOGISTICS),
    _reference("fused", "core/test_fused", chosen=""),
    _reference("importance_weighted_bound", "core/test_importance_weighted_bound"),
    _reference("log_normal", "core/test_log_normal", "core/test_scales"),
    _reference("log_normal_mixture", "core/test_log_normal_mixture"),
    _reference("minibatch_log_densities", "core/test_minibatch_log_densities"),
    _reference("negative_binomial_nll", *_COUNTS),
    _reference("noise", "core/test_noise", "core/test_shard", chosen=f"{_NOISE} or reference", exact=True),
    _reference("reconstruction", *_LOSSES),
    _reference("reparameterize_kl", "core/test_reparameterize_kl", "core/test_packed"),
    _reference("scale_forms", *_SCALES),
    _reference("vae_loss", "losses/test_vae_loss", "losses/test_presets", chosen=""),
    _kernel("binet", *_COUNTS, "core/test_reconstruction"),
    _kernel("blocks", *_SUMS),
    _kernel("discretized_logistic", *_LOGISTICS),
    _kernel("elementary", *_SCALES, *_LOSSES),
    _kernel("importance_weighted_bound", "core/test_importance_weighted_bound"),
    _kernel("likelihoods", *_LOSSES),
    _kernel("log_normal", "core/test_log_normal"),
    _kernel("negative_binomial_terms", *_COUNTS),
    _kernel("noise", "core/test_noise", exact=True),
    _kernel("philox", "core/test_noise", exact=True),
    _kernel("reparameterize_kl", "core/test_reparameterize_kl"),
    _kernel("scale_bases", *_SCALES),
    _kernel("scale_forms", *_SCALES),
    _kernel("variance_ratio", *_SCALES),
    _triton("binet", *_COUNTS),
    _triton("discretized_logistic", *_LOGISTICS),
    _triton("exponential", "triton/test_elementary", "core/test_scales"),
    _triton("likelihoods", *_LOSSES),
    _triton("logarithm", "triton/test_elementary", chosen=""),
    _triton("negative_binomial_terms", *_COUNTS),
    _triton("noise", "triton/test_noise", chosen="", exact=True),
    _triton("scale_forms", *_SCALES),
    _triton("scale_ratios", *_SCALES),
    _loss("_masked", "losses/test_presets"),
    _loss("discretized_logistic_mixture", "losses/test_discretized_logistic_mixture"),
    _loss("elbo", "losses/test_losses"),
    _loss("multiscale", "losses/test_multiscale"),
    _loss("negative_binomial", "losses/test_negative_binomial"),
    _loss("regularizers", "losses/test_regularizers"),
    _loss("schedules", "losses/test_schedules"),
    _loss("total_correlation", "losses/test_total_correlation"),
)
