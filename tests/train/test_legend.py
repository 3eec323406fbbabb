"""The printed numbers add up to each other as the line above them says."""

import csv
import re

import pytest

from tests.support.command_line import TINY, TINY_NETWORK, fastvae

pytestmark = pytest.mark.usefixtures("one_thread")

CONSTANT = 58.81  # 64 pixels of a Gaussian, half a log(2 pi) each
GAUSSIAN = " - 58.81 (a constant of the likelihood)"
BERNOULLI = ("--likelihood", "bernoulli")
# Options; the loss in the line; the loss of its parts, where they say all of it; whether it is more than -ELBO.
RUNS = {
    "ELBO": ((), f"-ELBO{GAUSSIAN}", lambda r, kl: r + kl - CONSTANT, False),
    "no constant": (BERNOULLI, "-ELBO", lambda r, kl: r + kl, False),
    "beta": (("--beta", 4), f"reconstruction + 4 KL{GAUSSIAN}", lambda r, kl: r + 4 * kl - CONSTANT, True),
    "no KL": ((*BERNOULLI, "--beta", 0), "reconstruction", lambda r, kl: r, True),
    "schedule": (
        (*BERNOULLI, "--beta-schedule", "linear", "--beta", 2, "--warmup-steps", 3),
        "reconstruction + beta KL; beta to 2 in 3 steps",
        lambda r, kl: r + 2 * kl,
        True,
    ),
    "capacity": (
        (*BERNOULLI, "--capacity", 30, "--warmup-steps", 1),
        "reconstruction + |KL - C|; C to 30 in 1 steps",
        lambda r, kl: r + 30 - kl,
        True,
    ),
    "free bits": (
        (*BERNOULLI, "--free-bits", 50),
        "reconstruction + max(KL, 50)",
        lambda r, kl: r + 50,
        True,
    ),
    "free bits per dimension": (
        (*BERNOULLI, "--free-bits", 0.5, "--free-bits-per", "dimension"),
        "reconstruction + max(KL, 0.5) per dimension",
        None,
        True,
    ),
    "IWAE": (
        ("--objective", "iwae", "--train-samples", 3),
        "-(importance-weighted bound of 3 samples)",
        None,
        True,
    ),
    "hybrid": (
        (*BERNOULLI, "--condition", "label", "--prior", "learned", "--objective", "hybrid", "--alpha", 0.25),
        "0.25 (reconstruction + KL) + 0.75 (reconstruction from a latent of the prior)",
        None,
        True,
    ),
    "baseline": (
        (*BERNOULLI, "--condition", "quadrants", "--objective", "baseline"),
        "-ELBO",
        lambda r, kl: r,
        False,
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_loss_is_what_the_line_above_says(name, tmp_path):
    options, said, formula, is_shown = RUNS[name]
    tiny = TINY_NETWORK if name == "baseline" else TINY
    result = fastvae("train", *tiny, *options, "--epochs", 2, "--validation", 0, "--out", tmp_path / "run")
    assert result.code == 0, result
    lines = result.out.splitlines()
    assert lines[1] == (
        f"in nats per image: reconstruction = -log p(x|z); ELBO = -(reconstruction + KL); loss = {said}"
    )
    (test,) = (line for line in lines if line.startswith("test "))
    numbers = [float(number) for number in re.findall(r"(?:ELBO|reconstruction|KL|loss) (-?[\d.]+)", test)]
    assert len(numbers) == 3 + is_shown, test
    elbo, reconstruction, kl = numbers[:3]
    # Of numbers with two decimals.
    assert elbo == pytest.approx(-(reconstruction + kl), abs=0.016)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    loss = float(last["test_loss"])
    if is_shown:
        assert numbers[3] == pytest.approx(loss, abs=0.006)
    if formula is not None:
        assert loss == pytest.approx(formula(reconstruction, kl), abs=0.05)


def test_the_likelihood_is_above_the_printed_elbo_of_an_importance_weighted_run(tmp_path):
    """The weights have the likelihood's constant, which must not be counted again."""
    options = ("--objective", "iwae", "--train-samples", 5, "--epochs", 2, "--out", tmp_path / "run")
    assert fastvae("train", *TINY, *options).code == 0
    out = fastvae("evaluate", tmp_path / "run", "--num-samples", 50).out
    elbo, likelihood = (float(re.search(rf"test {name} (-?[\d.]+)", out)[1]) for name in ("ELBO", "log-likelihood"))
    # The gap is KL(q(z|x) || p(z|x)), small for a latent of two dimensions; the constant is 58.81.
    assert elbo < likelihood < elbo + 10
