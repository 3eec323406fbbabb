"""The training step as a CUDA graph: the bits of the same step launched kernel by kernel."""

import pytest
import torch

from fastvae.train.loop.graph import CudaGraph
from fastvae.train.runs.metrics import Means
from tests.support.training_steps import BATCH, OPTIONS, Run, same_bits

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def _one_order_of_summation():
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    yield
    torch.backends.cudnn.deterministic = before


@pytest.mark.parametrize("amp", [None, torch.bfloat16])
@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_replays_are_steps_bit_for_bit(model, amp):
    """Weights, Adam's state, sums and generators: a capture has left no trace in any of them."""
    plain = Run("cuda", model=model, amp=amp).train([1, 2, 3]).state()
    graphed = Run("cuda", CudaGraph, model=model, amp=amp).train([1, 2, 3]).state()
    assert same_bits(graphed, plain)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_replays_have_the_options_of_a_step(options):
    plain = Run("cuda", **options).train([1, 2, 3]).state()
    assert same_bits(Run("cuda", CudaGraph, **options).train([1, 2, 3]).state(), plain)


@pytest.mark.parametrize("model", ["mlp", "conv"])
def test_a_run_that_captures_again_after_a_resume_ends_with_the_same_bits(model):
    whole = Run("cuda", CudaGraph, model=model, amp=torch.bfloat16).train([1, 2, 3]).state()
    saved = Run("cuda", CudaGraph, model=model, amp=torch.bfloat16).train([1]).saved()
    torch.manual_seed(99)
    resumed = Run("cuda", CudaGraph, model=model, amp=torch.bfloat16).resume(saved)
    assert same_bits(resumed.train([2, 3]).state(), whole)


def means_of_steps(run: Run, count: int) -> list[Means]:
    """Of steps on the same images."""
    batch, found = next(run.batches(1)), []
    for _ in range(count):
        run.sums.reset()
        run.step(batch)
        found.append(run.sums.means())
    return found


def test_every_replay_draws_the_noise_that_a_step_would_have_drawn():
    # Weights that stay where they are: whatever changes comes from the noise.
    replayed = means_of_steps(Run("cuda", CudaGraph, lr=0.0), 4)
    assert len({means.reconstruction for means in replayed}) == 4
    assert len({means.kl for means in replayed}) == 1
    assert means_of_steps(Run("cuda", lr=0.0), 4) == replayed


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("options", [{"amp": torch.bfloat16}, OPTIONS["all"]], ids=["bf16", "all"])
@pytest.mark.parametrize("graph", [None, CudaGraph])
def test_no_step_waits_for_the_device(graph, options):
    run = Run("cuda", graph, model="conv", **options).train([1])
    batches = list(run.batches(2))
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            run.step(batch)
    finally:
        torch.cuda.set_sync_debug_mode(before)


# Raised inside torch by its own compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_step_is_captured_too():
    """Of the same noise and order; compiled sums round differently, and Adam may turn that into steps of its rate."""
    compiled = Run("cuda", CudaGraph, compiled=True, lr=1e-3).train(range(1, 6)).sums.means()
    plain = Run("cuda", lr=1e-3).train(range(1, 6)).sums.means()
    assert compiled.elbo == pytest.approx(plain.elbo, rel=1e-2)


def test_a_batch_of_thousands():
    """Of images drawn from the few there are."""
    run = Run("cuda", model="conv", amp=torch.bfloat16)
    images = run.images[torch.arange(64 * BATCH, device="cuda") % len(run.images)]
    losses = []
    for _ in range(20):
        run.sums.reset()
        run.step(images)
        losses.append(-run.sums.means().elbo)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "options",
    [
        {"amp": "bf16"},
        {"amp": "fp16", "accumulate": 2, "clip_grad": 20.0, "ema": 0.5, "weight_decay": 0.1, "warmup": 6}
        | {"lr_schedule": "steps", "lr_milestones": (1, 2)},
    ],
    ids=["bf16", "all"],
)
def test_a_run_of_the_command_line_resumes_to_the_same_bits(tmp_path, options):
    for package in ("pydantic", "click", "matplotlib", "safetensors", "tqdm"):
        pytest.importorskip(package)
    from fastvae.train.data import datasets
    from fastvae.train.loop.trainer import Trainer
    from fastvae.train.runs.folder import RunFolder
    from fastvae.train.settings.config import Config
    from fastvae.train.settings.resolve import resolve

    def fitted(name: str, epochs: int) -> bytes:
        settings = {"threads": 1, "device": "cuda", "model": "conv", "hidden": (16,), "latent_dim": 2}
        settings |= {"batch_size": 400, "epochs": epochs} | options
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        Trainer(Config(**resolve(settings)), datasets.load("digits", None), RunFolder(path)).fit()
        return (path / "weights.safetensors").read_bytes()

    whole = fitted("whole", 3)
    fitted("cut", 1)
    torch.manual_seed(99)
    assert fitted("cut", 3) == whole
