"""What a step minimizes for each objective, what rises with its steps, and what is logged of both."""

import csv
import math

import pytest
import torch
from safetensors.torch import load_file

from fastvae.train.data import datasets
from fastvae.train.models import build, objectives
from fastvae.train.models.objectives import Generative, ImportanceWeighted
from tests.support.command_line import TINY, fails, fastvae
from tests.train.small_runs import config

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", None, binarize="dynamic")


def built(**changes):
    chosen = config(**changes)
    vae = build.create(chosen)
    return vae, objectives.create(chosen, vae)


def loss(objective, split, seed=1):
    torch.manual_seed(seed)
    return objective(split.images[:7], split.labels[:7])


def test_several_latents_are_averaged(digits):
    vae, objective = built(train_samples=3)
    torch.manual_seed(1)
    expected = vae(digits.test.images[:7], num_samples=3)
    found = loss(objective, digits.test)
    assert torch.equal(found.loss, expected.loss)
    torch.testing.assert_close(found.reconstruction_loss, expected.reconstruction_loss.mean(0))
    assert found.kl.shape == found.reconstruction_loss.shape == (7,)


@pytest.mark.parametrize("k", [1, 5, 50])
def test_iwae_is_the_log_of_the_mean_weight(digits, k):
    vae, objective = built(objective="iwae", train_samples=k)
    assert isinstance(objective, ImportanceWeighted)
    found = loss(objective, digits.test)
    torch.manual_seed(1)
    log_w = vae.log_weights(digits.test.images[:7], num_samples=k)
    torch.testing.assert_close(found.loss, math.log(k) - torch.logsumexp(log_w, 0).mean())
    # What is logged adds up to the mean log weight, the ELBO of the same latents.
    torch.testing.assert_close(-(found.reconstruction_loss + found.kl), log_w.mean(0).detach())
    torch.testing.assert_close(found.kl, vae.encode(digits.test.images[:7]).kl().detach())
    found.loss.backward()
    assert all(parameter.grad is not None for parameter in vae.parameters())


def test_bounds_are_ordered_in_the_number_of_samples(digits):
    """In expectation; here over 297 images and the same weights."""
    bounds = {}
    for k in (1, 5, 50):
        vae, objective = built(objective="iwae", train_samples=k)
        with torch.no_grad():
            vae.encoder[-1].bias[2:] -= 1.0  # a posterior far from the true one, for a gap to close
            torch.manual_seed(0)
            bounds[k] = -objective(digits.test.images, digits.test.labels).loss.item()
    assert bounds[1] < bounds[5] < bounds[50]


def test_pixels_are_drawn_anew_in_training_and_stay_in_evaluation(digits):
    _, objective = built(binarize="dynamic")
    assert isinstance(objective, Generative)
    grey = torch.full((4000, 1, 8, 8), 64, dtype=torch.uint8)
    drawn = objective._pixels(grey)
    assert drawn.dtype == torch.uint8
    assert set(drawn.unique().tolist()) == {0, 255}
    # 256,000 draws with probability 64/255: a standard deviation of 0.00086.
    assert (drawn == 255).double().mean().item() == pytest.approx(64 / 255, abs=0.005)
    assert not torch.equal(drawn, objective._pixels(grey))
    objective.eval()
    assert objective._pixels(grey) is grey


def test_dynamic_data_is_grey_in_training_and_one_draw_in_the_test(digits):
    grey = datasets.load("digits", None)
    assert torch.equal(digits.train.images, grey.train.images)
    assert set(digits.test.images.unique().tolist()) == {0, 255}
    again = datasets.load_part("digits", None, "test", binarize="dynamic")
    assert torch.equal(again.images, digits.test.images)
    black = digits.test.images[grey.test.images == 0]
    white = digits.test.images[grey.test.images == 255]
    assert black.max() == 0
    assert white.min() == 255


RISING = {
    "linear": (("--beta", 2, "--beta-schedule", "linear", "--warmup-steps", 20), {1: 0.3, 6: 1.8, 7: 2.0, 9: 2.0}),
    # Three epochs, half a cycle each to rise: 6 of 12 steps up, 6 at the top.
    "cyclical": (
        ("--beta", 2, "--beta-schedule", "cyclical", "--cycles", 2, "--warmup-steps", 24),
        {1: 1.0, 2: 2.0, 4: 0.0, 5: 1.0, 8: 2.0, 9: 2.0},
    ),
}


@pytest.mark.parametrize("name", RISING)
def test_beta_rises_with_the_steps(name):
    options, expected = RISING[name]
    names = dict(zip(options[::2], options[1::2], strict=True))
    given = {option[2:].replace("-", "_"): value for option, value in names.items()}
    vae = build.create(config(**given | {"beta": 2.0}))
    betas = {0: vae.elbo.beta().item()}
    for step in range(1, 28):
        vae.elbo.beta.step()
        betas[step] = vae.elbo.beta().item()
    # Three steps an epoch of the digits below.
    assert {epoch: pytest.approx(value) for epoch, value in expected.items()} == {e: betas[3 * e] for e in expected}
    assert betas[0] == 0.0


def steps_of(run):
    return load_file(run / "weights.safetensors")


def test_schedules_count_the_steps_of_a_run_and_go_on_when_it_is_resumed(tmp_path):
    options = ("--beta", 0.5, "--beta-schedule", "linear", "--capacity", 3, "--warmup-steps", 9)
    whole, split = tmp_path / "whole", tmp_path / "split"
    assert fastvae("train", *TINY, *options, "--epochs", 4, "--out", whole).code == 0
    assert fastvae("train", *TINY, *options, "--epochs", 2, "--out", split).code == 0
    assert steps_of(split)["elbo.beta.count"] == 6
    assert fastvae("train", "--resume", split, "--epochs", 4).code == 0
    # 1,500 images in batches of 500 are three steps an epoch.
    assert steps_of(whole)["elbo.beta.count"] == steps_of(whole)["elbo.capacity.count"] == 12
    assert (whole / "weights.safetensors").read_bytes() == (split / "weights.safetensors").read_bytes()
    rows = list(csv.DictReader((whole / "metrics.csv").read_text().splitlines()))
    last = {name: float(value) for name, value in rows[-1].items()}
    # Beyond the warm-up the loss is the reconstruction without its normalizer + 0.5 |KL - 3|.
    assert last["test_loss"] == pytest.approx(
        last["test_reconstruction"] - 32 * math.log(2 * math.pi) + 0.5 * abs(last["test_kl"] - 3), rel=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--free-bits", 6),
        ("--free-bits", 0.5, "--free-bits-per", "dimension"),
        ("--free-bits", 3, "--free-bits-per", "batch_dimension"),
        ("--objective", "iwae", "--train-samples", 4),
        ("--binarize", "dynamic", "--likelihood", "bernoulli"),
        ("--activation", "tanh", "--dropout", 0.3, "--hidden", "16,16"),
        ("--parameterization", "softplus", "--min-std", 0.1),
    ],
)
def test_options_change_what_is_trained(tmp_path, options):
    same = ("--likelihood", "bernoulli") if "bernoulli" in options else ()
    assert fastvae("train", *TINY, *same, "--epochs", 1, "--out", tmp_path / "plain").code == 0
    result = fastvae("train", *TINY, *options, "--epochs", 1, "--out", tmp_path / "run")
    assert result.code == 0, result
    before, after = (steps_of(tmp_path / name) for name in ("plain", "run"))
    assert any(not torch.equal(before[name], after[name]) for name in before if name in after)


def test_the_scale_of_a_laplace_likelihood_is_learned(tmp_path):
    options = (*TINY, "--likelihood", "laplace_learned", "--lr", 0.01)
    scales = []
    for epochs in (1, 3):
        run = tmp_path / f"run-{epochs}"
        result = fastvae("train", *options, "--epochs", epochs, "--out", run)
        assert result.code == 0, result
        scales.append(steps_of(run)["elbo.reconstruction.log_scale"].item())
    assert scales[0] != scales[1]
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert float(rows[-1]["test_elbo"]) > float(rows[0]["test_elbo"])
    assert "test log-likelihood" in fastvae("evaluate", run, "--num-samples", 5).out


CONTRADICTIONS = {
    "quadrants": (("--quadrants", 2), "--quadrants: got 2; takes 1 with condition 'none'"),
    "conv": (
        ("--condition", "quadrants", "--model", "conv"),
        "--model: got 'conv'; takes 'mlp' with condition 'quadrants'",
    ),
    "spatial": (("--model", "mlp", "--latent", "spatial"), "--latent: got 'spatial'; takes 'vector' with model 'mlp'"),
    "hidden": (
        ("--model", "conv", "--latent", "spatial", "--hidden", 9),
        "--hidden: got (9,); takes () with latent 'spatial'",
    ),
    "widths": (("--widths", "8,8"), "--widths: got (8, 8); takes None with model 'mlp'"),
    "blocks": (("--model", "conv", "--blocks", 2), "--blocks: got 2; takes None with model 'conv'"),
    "undropped": (("--hidden", "none", "--dropout", 0.2), "dropout: got 0.2; takes 0 without dense layers"),
    "dropout": (("--model", "conv", "--dropout", 0.1), "--dropout: got 0.1; takes 0.0 with model 'conv'"),
    "prior": (("--prior", "learned"), "--prior: got 'learned'; takes 'standard', 'mixture' or 'vamp' without"),
    "guess": (("--condition", "quadrants", "--first-guess", "x"), "takes None with prior 'standard'"),
    "floor": (("--probability-floor", 0.1), "--probability-floor: got 0.1; takes 0.0 with likelihood"),
    "alpha": (("--condition", "label", "--alpha", 0.2), "--alpha: got 0.2; takes 0.5 with objective 'cvae'"),
    "iwae": (("--condition", "label", "--objective", "iwae"), "takes 'cvae', 'gsnn', 'hybrid' or 'baseline' with"),
    "elbo": (("--condition", "label", "--objective", "elbo"), "--objective: got 'elbo'; takes 'cvae', 'gsnn',"),
    "cvae": (("--objective", "cvae"), "--objective: got 'cvae'; takes 'elbo', 'tc' or 'iwae' with condition 'none'"),
    "gsnn": (("--objective", "gsnn"), "--objective: got 'gsnn'; takes 'elbo', 'tc' or 'iwae' with condition 'none'"),
    "beta": (("--objective", "iwae", "--beta", 2), "--beta: got 2.0; takes 1.0 with objective 'iwae'"),
    "cycles": (("--beta-schedule", "linear", "--cycles", 2), "--cycles: got 2; takes 4 with beta_schedule 'linear'"),
    "many cycles": (("--beta-schedule", "cyclical", "--warmup-steps", 3), "takes at least one for each of 4 cycles"),
    "warm-up": (("--warmup-steps", 7), "--warmup-steps: got 7; takes 1000 without a beta schedule or a capacity"),
    "free": (("--free-bits-per", "dimension"), "--free-bits-per: got 'dimension'; takes 'sample' without free bits"),
    "latent": (
        ("--condition", "label", "--objective", "baseline", "--latent-dim", 3),
        "--latent-dim: got 3; takes none",
    ),
    "mixture": (("--condition", "label", "--prior", "vamp"), "--prior: got 'vamp'; takes 'standard' or 'learned' with"),
    "mixture, iwae": (("--objective", "iwae", "--prior", "mixture"), "takes 'standard' with objective 'iwae'"),
    "components": (("--components", 9), "--components: got 9; takes 500 with prior 'standard'"),
    "parts": (("--total-correlation", 2), "--total-correlation: got 2.0; takes 6.0 with objective 'elbo'"),
    "capacity": (("--objective", "tc", "--capacity", 2), "--capacity: got 2.0; takes None with objective 'tc'"),
    "samples of tc": (("--objective", "tc", "--train-samples", 2), "takes 1 with objective 'tc'"),
    "free bits of a mixture": (
        ("--prior", "mixture", "--free-bits", 1, "--free-bits-per", "dimension"),
        "takes 'sample' with a mixture as the prior",
    ),
    "samples": (
        ("--condition", "label", "--objective", "baseline", "--train-samples", 2),
        "--train-samples: got 2; takes 1 with objective 'baseline'",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_an_option_that_would_change_nothing_is_a_mistake(name, tmp_path):
    options, message = CONTRADICTIONS[name]
    assert message in fails("train", *options, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
