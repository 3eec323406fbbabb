"""The training step as an object, plain and replayed: the bits of the loop it was taken from."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from fastvae import networks
from fastvae.losses import KLTerms
from fastvae.train.loop import trainer
from fastvae.train.loop.graph import CudaGraph, GraphedStep
from fastvae.train.loop.step import Step, compiled
from fastvae.train.runs.folder import RunFolder
from fastvae.train.runs.metrics import Sums
from fastvae.train.settings.config import Config
from fastvae.train.settings.resolve import resolve
from tests.support.training_steps import BATCH, Run, same_bits

pytestmark = pytest.mark.usefixtures("one_thread")

# Convolutions in half precision are many times slower on most CPUs.
KINDS = [*((model, None) for model in networks.ARCHITECTURES), ("mlp", torch.bfloat16), ("conv_valid", torch.bfloat16)]


class Rerun:
    """A graph for devices without any: it runs the work again, on the same tensors, and writes down when."""

    def __init__(self):
        self.captures = self.replays = 0

    def capture(self, work):
        self.captures += 1
        self.work = work
        for _ in range(4):
            work()

    def replay(self):
        self.replays += 1
        self.work()


class Idle(Rerun):
    """Captures, and replays nothing."""

    def replay(self):
        self.replays += 1


def loop(run, batches, amp):
    """A step as everybody writes it."""
    total, count = torch.zeros(3, dtype=torch.float64), 0
    for batch in batches:
        with torch.autocast("cpu", amp, enabled=amp is not None):
            output = run.model(batch)
        run.optimizer.zero_grad()
        output.loss.backward()
        run.optimizer.step()
        loss = output.loss.detach() * len(batch)
        total += torch.stack((loss, output.reconstruction_loss.sum(), output.kl.sum()))
        count += len(batch)
    return total / count


@pytest.mark.parametrize(("model", "amp"), KINDS)
def test_a_step_is_the_loop_bit_for_bit(model, amp):
    run, other = Run("cpu", model=model, amp=amp), Run("cpu", model=model)
    torch.manual_seed(5)
    run.train([1])
    torch.manual_seed(5)
    means = loop(other, other.batches(1), amp)
    assert same_bits(run.learned(), other.learned())
    found = run.sums.means()
    assert [found.loss, found.reconstruction, found.kl] == means.tolist()
    assert all(parameter.grad is None for parameter in run.model.parameters())


@pytest.mark.parametrize(("model", "amp"), KINDS)
def test_replays_are_steps_bit_for_bit(model, amp):
    """Weights, Adam's state, sums and generators: a capture has left no trace in any of them."""
    plain = Run("cpu", model=model, amp=amp).train([1, 2]).state()
    graphed = Run("cpu", Rerun, model=model, amp=amp).train([1, 2]).state()
    assert same_bits(graphed, plain)


def test_a_run_that_captures_again_after_a_resume_ends_with_the_same_bits():
    whole = Run("cpu", Rerun).train([1, 2, 3]).state()
    saved = Run("cpu", Rerun).train([1]).saved()
    torch.manual_seed(99)
    resumed = Run("cpu", Rerun).resume(saved)
    assert same_bits(resumed.train([2, 3]).state(), whole)


def test_capturing_changes_nothing():
    fresh = Run("cpu", Idle)
    before = fresh.state()
    fresh.step(next(fresh.batches(1)))
    after = fresh.state()
    weights = len(list(fresh.model.parameters()))
    adam = after[weights:-3]
    assert same_bits([*after[:weights], *after[-3:]], before)
    assert len(adam) == 3 * weights
    assert not any(tensor.any() for tensor in adam)

    trained = Run("cpu", Idle)
    trained.plain(next(trained.batches(1)))
    state = trained.state()
    trained.step(next(trained.batches(2)))
    assert same_bits(trained.state(), state)


def test_full_batches_are_replayed_and_others_run_as_they_are():
    run = Run("cpu", Rerun)
    graph = run.step._graph
    run.step(run.images[: BATCH - 1])
    assert (graph.captures, graph.replays) == (0, 0)
    run.train([1, 2, 3])
    assert (graph.captures, graph.replays) == (1, 6)
    run.step(run.images[: BATCH + 1])
    assert (graph.captures, graph.replays) == (1, 6)


def test_the_graph_reads_one_buffer_and_leaves_the_callers_batch_alone(monkeypatch):
    run, seen = Run("cpu", Rerun), []
    step = Step.__call__

    def watched(self, images, **named):
        seen.append((images.data_ptr(), images.clone()))
        step(self, images, **named)

    monkeypatch.setattr(Step, "__call__", watched)
    batches = [batch.clone() for batch in run.batches(1)]
    given = [batch.clone() for batch in batches]
    for batch in batches:
        run.step(batch)
    assert same_bits(batches, given)
    *captured, first, second, last = seen
    assert len({pointer for pointer, _ in (*captured, first, second)}) == 1
    assert same_bits([images for _, images in (first, second, last)], given)
    assert last[0] == batches[2].data_ptr()


def test_sums_have_the_parts_of_a_divided_kl():
    sums = Sums(torch.device("cpu"), 0.0)
    for count, terms in ((3, (1.0, 2.0, 3.0)), (1, (5.0, 6.0, 7.0))):
        values = torch.ones(count)
        sums.add(torch.tensor(1.0), values, values, KLTerms(*map(torch.tensor, terms)))
    tensors = sums.state()
    assert sums.means().kl_terms == (2.0, 3.0, 4.0)
    assert sums.means().as_dict()["total_correlation"] == 3.0
    sums.reset()
    sums.add(torch.tensor(1.0), values, values, KLTerms(*map(torch.tensor, terms)))
    assert sums.means().kl_terms == terms
    assert all(one is other for one, other in zip(sums.state(), tensors, strict=True))


def test_sums_keep_their_tensors_and_begin_again():
    sums = Sums(torch.device("cpu"), 1.0)
    tensors = sums.state()
    sums.add(torch.tensor(6.0), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0]))
    sums.add(torch.tensor(3.0), torch.tensor([3.0]), torch.tensor([1.0]))
    assert sums.means() == (5.0, -6.0, 3.0, 3.0, None, None)
    sums.reset()
    sums.add(torch.tensor(7.0), torch.tensor([1.0]), torch.tensor([3.0]))
    assert sums.means() == (7.0, -5.0, 2.0, 3.0, None, None)
    assert all(one is other for one, other in zip(sums.state(), tensors, strict=True))


def test_a_cuda_graph_is_warmed_up_and_captured_on_one_stream_of_its_own(monkeypatch):
    """With stand-ins for what only a GPU has: where work runs, and who waits for whom."""
    now, log = ["default"], []

    class Stream:
        def __init__(self, name="side"):
            self.name = name

        def wait_stream(self, other):
            log.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def stream(chosen, what=""):
        now.append(f"{what}{chosen.name}")
        yield
        now.pop()

    class CUDAGraph:
        def replay(self):
            log.append("replay")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", CUDAGraph)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("default"))
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, stream: torch.cuda.stream(stream, "captured on "))
    graph = CudaGraph()
    graph.capture(lambda: log.append(f"work, {now[-1]}"))
    graph.replay()
    warm_up = ["side waits for default", *["work, side"] * 3, "default waits for side"]
    assert log == [*warm_up, "work, captured on side", "replay"]


def test_compilation_for_a_gpu_goes_without_timings_that_decide_numerics(monkeypatch):
    told = []
    monkeypatch.setattr(torch, "compile", lambda network, **options: told.append(options))
    for device in ("cpu", "cuda"):
        compiled(torch.nn.Identity(), torch.device(device))
    assert told == [{"dynamic": False, "options": None}, {"dynamic": False, "options": {"deterministic": True}}]
    assert "deterministic" in torch._inductor.list_options()


def fitted(path, digits, *, graphed=False, epochs=1):
    path.mkdir(exist_ok=True)
    settings = {"threads": 1, "device": "cpu", "hidden": (16,), "latent_dim": 2, "batch_size": 400, "epochs": epochs}
    run = trainer.Trainer(Config(**resolve(settings)), digits, RunFolder(path))
    if graphed:
        run._step = GraphedStep(run._step, run.config.batch_size, Rerun())
    run.fit()
    return (path / "weights.safetensors").read_bytes(), [row._replace(seconds=0.0) for row in run.history]


def test_a_run_of_replays_resumed_is_a_plain_run(tmp_path, digits):
    whole = fitted(tmp_path / "plain", digits, epochs=3)
    fitted(tmp_path / "graphed", digits, graphed=True)
    torch.manual_seed(99)
    assert fitted(tmp_path / "graphed", digits, graphed=True, epochs=3) == whole


def test_convolutions_are_summed_in_one_order_while_a_run_trains_only(tmp_path, digits, monkeypatch):
    seen = []
    step = Step.__call__

    def watched(self, *batch, **named):
        seen.append(torch.backends.cudnn.deterministic)
        step(self, *batch, **named)

    monkeypatch.setattr(Step, "__call__", watched)
    fitted(tmp_path / "run", digits)
    assert seen == [True] * 4
    assert not torch.backends.cudnn.deterministic


def test_nothing_but_torch_is_needed():
    """A machine with a GPU may have no more than torch and what torch brings."""
    missing = ("pydantic", "click", "tqdm", "safetensors", "matplotlib")
    modules = "fastvae.networks, fastvae.train.loop.graph"
    code = f"import sys; sys.modules.update(dict.fromkeys({missing}))\nimport {modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
