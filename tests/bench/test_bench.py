"""The benchmarks measure what they say: the same mathematics, whole calls, exact bytes."""

import gc
import math
import mmap
import re
import time

import numpy as np
import pytest
import torch

from bench import ROOT, ops, steps, timing
from bench.calls import trial
from bench.cpu import memory, training_steps
from bench.cpu.benchmarks import MODES
from bench.cpu.heavy_steps import HEAVY_STEPS
from bench.cpu.measure import SCALARS
from bench.timing import Call, Trial
from tests.bench.benches import BENCHMARKS, HEAVY, PEERS, SMALL


class TestTiming:
    def test_every_provider_is_called_once_a_round_in_turn(self):
        called = []
        trials = {name: Trial(lambda: None, lambda _, name=name: called.append(name)) for name in "abc"}
        calls = timing.interleave(trials, repeats=4, min_time=0.0, warm_up=2)
        assert {name: len(made) for name, made in calls.items()} == dict.fromkeys("abc", 4)
        assert "".join(called) == "abcabc" + "abcbcacababc"

    def test_rounds_go_on_for_the_time_asked(self):
        calls = timing.interleave(
            {"a": Trial(lambda: None, lambda _: time.sleep(1e-3))}, repeats=1, min_time=0.02, warm_up=0
        )
        assert sum(call.seconds for call in calls["a"]) >= 0.02
        assert sum(call.seconds for call in calls["a"][:-1]) < 0.02

    def test_preparing_is_off_the_clock(self):
        given = []
        trials = {"a": Trial(lambda: time.sleep(0.05) or "input", given.append)}
        calls = timing.interleave(trials, repeats=1, min_time=0.0, warm_up=0)
        assert given == ["input"]
        assert calls["a"][0].seconds < 0.05

    def test_first_touches_are_counted(self):
        pages = 4096
        memory = mmap.mmap(-1, pages * mmap.PAGESIZE)
        memory.madvise(mmap.MADV_NOHUGEPAGE)

        def touch(_):
            for page in range(pages):
                memory[page * mmap.PAGESIZE] = 1

        calls = timing.interleave({"a": Trial(lambda: None, touch)}, repeats=1, min_time=0.0, warm_up=0)
        assert calls["a"][0].page_faults >= pages

    def test_collection_is_off_while_timing_and_on_again_after_an_error(self):
        def fail(_):
            assert not gc.isenabled()
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            timing.interleave({"a": Trial(lambda: None, fail)}, repeats=1, min_time=0.0, warm_up=0)
        assert gc.isenabled()

    def test_a_loop_calls_nothing_else_and_gives_the_median(self):
        called = []
        trials = {name: Trial(lambda: None, lambda _, name=name: called.append(name)) for name in "ab"}
        timing.interleave(trials, repeats=2, min_time=0.0, warm_up=0, clock=lambda trial: timing.loop(trial, 0.0))
        assert "".join(called) == "aaaaabbbbb" + "bbbbbaaaaa"
        waits = iter([0.05, 0.0, 0.0, 0.0, 0.05])
        call = timing.loop(Trial(lambda: None, lambda _: time.sleep(next(waits))), 0.0)
        assert call.seconds < 0.05

    def test_a_loop_goes_on_for_the_time_asked(self, monkeypatch):
        seconds = iter([0.003, 0.001, 0.002] * 10)
        monkeypatch.setattr(timing, "one_call", lambda trial: Call(next(seconds), 0))
        assert timing.loop(None, 0.02).seconds == 0.002
        assert len(list(seconds)) == 30 - 10

    @pytest.mark.parametrize("count", [1, 2, 3, 10, 101])
    def test_quantiles_are_numpys(self, count):
        values = np.random.RandomState(count).rand(count)
        found = timing.spread(values.tolist())
        np.testing.assert_allclose(found, np.quantile(values, [0.5, 0.2, 0.8]), rtol=1e-12)

    def test_ratios_are_taken_within_a_round(self):
        # The machine slows down tenfold in the middle: medians apart would say 1.
        base, peer = [1.0, 1.0, 10.0, 10.0, 10.0], [2.0, 2.0, 20.0, 20.0, 20.0]
        found = timing.ratios([Call(value, 0) for value in peer], [Call(value, 0) for value in base])
        assert found == (2.0, 2.0, 2.0)


class TestMemory:
    def test_the_peak_of_a_sequence(self):
        assert memory.peak([4, 100, -100, 8, 50]) == 104
        assert memory.peak([-8, 4]) == 0
        assert memory.peak([]) == 0

    def test_temporaries_count_while_they_live(self):
        def timed(x):
            first = torch.empty_like(x)
            second = torch.empty_like(x)
            del first
            return second, torch.empty_like(x)

        # x is an input; of the three, two live at once.
        assert memory.peak_bytes(Trial(lambda: torch.ones(1000), timed)) == 8000

    @pytest.mark.parametrize("name", [name for name, (op, _) in SMALL.items() if op.max_peak is not None])
    @pytest.mark.parametrize("shape", [(128, 20), (512, 100)])
    def test_what_the_ops_allocate(self, name, shape):
        op, shapes = SMALL[name]
        sizes = [shape] * len(shapes)
        peak = memory.peak_bytes(trial(op.fastvae, op.inputs(*sizes), "both", fresh=op.fresh))
        expected = math.prod(shape) * sum(op.max_peak)
        assert expected <= peak <= expected + SCALARS


class TestBenchmarks:
    def test_names_are_unique(self):
        assert len({benchmark.name for benchmark in BENCHMARKS}) == len(BENCHMARKS)

    @pytest.mark.parametrize(
        "size",
        ["128x784", "64x3x64x64", "12x3x256x256", "1000x4096", "2048x20000", "4096x3x64x64", "128x20", "64x128",
         "12x4x32x32", "1000x10", "2048x30", "64x192x256", "4096x128"],
    )  # fmt: skip
    def test_the_shapes_people_run(self, size):
        assert size in {benchmark.size for benchmark in BENCHMARKS}

    @pytest.mark.parametrize(("name", "suffix"), PEERS)
    def test_peers_compute_the_same(self, name, suffix):
        op, shapes = SMALL[name]

        def gradients(function):
            torch.manual_seed(0)
            inputs = op.inputs(*shapes)
            # Without an upstream gradient to the sample, the noise does not matter.
            quiet = inputs._replace(
                upstream=tuple(up if up is None else torch.zeros_like(up) for up in inputs.upstream)
            )
            single = trial(function, quiet, "both", fresh=op.fresh)
            outputs, found = single.timed(single.prepare())
            return outputs[-1], found

        # float32 sums of 300 terms.
        torch.testing.assert_close(gradients(op.fastvae), gradients(op.peers[suffix]), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("name", HEAVY)
    def test_published_formulas_compute_the_same(self, name):
        """In float64, where only their epsilons and thresholds differ."""
        op, shapes = HEAVY[name]
        inputs = op.inputs(*shapes).to(torch.float64)
        single, peer = (trial(function, inputs, "both") for function in (op.fastvae, op.peers[""]))
        torch.testing.assert_close(*(each.timed(each.prepare()) for each in (single, peer)), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("name", SMALL)
    def test_the_passes_add_up(self, name):
        op, shapes = SMALL[name]
        inputs = op.inputs(*shapes)
        found = {}
        for mode in MODES:
            torch.manual_seed(0)
            single = trial(op.fastvae, inputs, mode, fresh=op.fresh)
            found[mode] = single.timed(single.prepare())
        outputs, gradients = found["both"]
        assert all(output.requires_grad for output in found["forward"])
        torch.testing.assert_close(found["forward"], outputs, rtol=0, atol=0)
        torch.testing.assert_close(found["backward"], gradients, rtol=0, atol=0)

    def test_inplace_leaves_the_inputs_alone(self):
        inputs = ops.BCE_INPLACE.inputs((6, 50))
        before = inputs.differentiable[0].detach().clone()
        single = trial(ops.BCE_INPLACE.fastvae, inputs, "both", fresh=True)
        single.timed(single.prepare())
        assert torch.equal(inputs.differentiable[0], before)

    @pytest.mark.parametrize(("file", "subset"), sorted({pair for some in BENCHMARKS for pair in some.tests.items()}))
    def test_guards_exist(self, file, subset):
        names = re.findall(r"^def (test_\w+)", (ROOT / file).read_text(), re.MULTILINE)
        for part in set(re.findall(r"\w+", subset)) - {"and", "not", "or", "triton"}:
            assert any(part in name for name in names), part


class TestSteps:
    @pytest.mark.parametrize(
        ("names", "title"),
        [
            (("aten::sum", "AddmmBackward0"), "matrix products"),
            (("aten::mm", "Torch-Compiled Region: 0/0"), "matrix products"),
            (("aten::sum", "autograd::engine::evaluate_function: SumBackward0"), "latent and loss"),
            (("fastvae::reconstruction",), "latent and loss"),
            (("aten::add", "Optimizer.step#Adam.step"), "optimizer"),
            (("aten::threshold_backward", "ReluBackward0"), "activations"),
            (("CompiledFunctionBackward",), "generated code"),
            (("aten::detach",), "everything else"),
        ],
    )
    def test_parts_of_a_step(self, names, title):
        assert steps.part(names) == title

    def test_the_breakdown_finds_every_part(self):
        found = steps.breakdown(training_steps.TRAINING_STEPS[0].trials()["fastvae"], 1)
        assert {"matrix products", "latent and loss", "optimizer", "activations"} <= set(found)
        assert all(milliseconds > 0 for milliseconds in found.values())

    @pytest.mark.parametrize("step", [*training_steps.TRAINING_STEPS, *HEAVY_STEPS], ids=lambda step: step.name)
    def test_all_train_the_same_number_of_weights(self, step):
        counts = [sum(p.numel() for p in model().parameters()) for model, _ in step.providers.values()]
        assert len(set(counts)) == 1

    def test_the_copied_loss_is_that_of_the_logits(self):
        step = training_steps.TRAINING_STEPS[0]
        losses = {}
        for provider in ("eager", "eager_sigmoid"):
            single = step.trials()[provider]
            torch.manual_seed(1)
            losses[provider] = single.timed(single.prepare()).item()
        assert losses["eager"] == pytest.approx(losses["eager_sigmoid"], rel=1e-6)

    @pytest.mark.parametrize("provider", ["fastvae", "eager", "eager_sigmoid"])
    def test_a_step_learns(self, provider):
        single = training_steps.TRAINING_STEPS[0].trials()[provider]
        losses = [single.timed(single.prepare()).item() for _ in range(5)]
        assert losses[-1] < losses[0]
