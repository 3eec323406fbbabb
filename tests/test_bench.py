"""The benchmarks measure what they say: the same mathematics, whole calls, exact bytes, nothing of a broken op."""

import csv
import gc
import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import ROOT, guard, machine, memory, ops, regimes, results, rows, run, steps, targets, timing, worker
from bench.cases import MODES, Case, all_cases, trial
from bench.timing import Call, Trial

CASES = list(all_cases())
SMALL = {
    "bce": (ops.BCE, ((6, 50),)),
    "bce uint8": (ops.BCE_BYTES, ((6, 50),)),
    "bce inplace": (ops.BCE_INPLACE, ((6, 50),)),
    "mse": (ops.MSE, ((6, 50),)),
    "gaussian_nll": (ops.GAUSSIAN_NLL, ((6, 50),)),
    "reparameterize_kl": (ops.REPARAMETERIZE_KL, ((6, 4),)),
    "reparameterize_kl_packed": (ops.REPARAMETERIZE_KL_PACKED, ((6, 4),)),
    "elbo": (ops.ELBO, ((6, 4), (6, 50))),
}
PEERS = [(name, suffix) for name, (op, _) in SMALL.items() for suffix in op.peers]


def case(**changes) -> Case:
    some = Case("mse", "2x3", "float32", 6, 72, 24, {}, MODES, dict)
    return replace(some, **changes)


def job(**changes) -> worker.Job:
    return replace(worker.Job("warm", 1, [], list(MODES), 3, 0.0), **changes)


def row(**changes) -> results.Row:
    measured = {
        "rounds": 3,
        "seconds": (2e-3, 1e-3, 3e-3),
        "ratio": (1.0, 1.0, 1.0),
        "page_faults": 0,
        "peak_bytes": 24,
    }
    result = {"mode": "both", "capability": "avx512", "triad_bytes_per_s": 1e9, "providers": {"fastvae": measured}}
    shared = rows.Run("2026-01-02T03:04:05+00:00", "abc1234", "Some CPU", 2)
    return replace(rows.rows_of(result, case(), job(), shared)[0], **changes)


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
        bytes_each = 64 << 20
        calls = timing.interleave(
            {"a": Trial(lambda: None, lambda _: np.ones(bytes_each, np.uint8))}, repeats=1, min_time=0.0, warm_up=0
        )
        # Fresh from the kernel, in pages of at most 2 MB.
        assert calls["a"][0].page_faults >= bytes_each // (2 << 20)

    def test_collection_is_off_while_timing_and_on_again_after_an_error(self):
        def fail(_):
            assert not gc.isenabled()
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            timing.interleave({"a": Trial(lambda: None, fail)}, repeats=1, min_time=0.0, warm_up=0)
        assert gc.isenabled()

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
        assert expected <= peak <= expected + targets.SCALARS


class TestCases:
    def test_names_are_unique(self):
        assert len({case.name for case in CASES}) == len(CASES)

    @pytest.mark.parametrize(
        "size",
        ["128x784", "64x3x64x64", "12x3x256x256", "1000x4096", "2048x20000", "4096x3x64x64", "128x20", "64x128",
         "12x4x32x32", "1000x10", "2048x30", "64x192x256", "4096x128"],
    )  # fmt: skip
    def test_the_shapes_people_run(self, size):
        assert size in {case.size for case in CASES}

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

    @pytest.mark.parametrize(("file", "subset"), {pair for case in CASES for pair in case.tests.items()})
    def test_guards_exist(self, file, subset):
        names = re.findall(r"^def (test_\w+)", (ROOT / file).read_text(), re.MULTILINE)
        for part in subset.split(" or "):
            assert any(part in name for name in names), part


class TestTargets:
    @pytest.mark.parametrize("target", targets._RATIOS, ids=lambda target: f"{target.ops[0]} {target.sizes}")
    def test_every_ratio_is_of_a_case_with_that_peer(self, target):
        for op in target.ops:
            sizes = {case.size: case.elements for case in CASES if (case.op, case.target) == (op, target.target)}
            if isinstance(target.sizes, int):
                assert any(elements >= target.sizes for elements in sizes.values())
            else:
                assert set(target.sizes) <= set(sizes)
            suffixes = {peer.removeprefix("eager").removeprefix("compile") for peer in target.peers}
            known = [
                op_row.peers for op_row, _ in SMALL.values() if (op_row.name, op_row.target) == (op, target.target)
            ]
            assert all(suffixes <= set(peers) for peers in known)

    @pytest.mark.parametrize(("op", "size"), targets._FLOORS)
    def test_every_floor_is_of_a_case(self, op, size):
        assert any((case.op, case.size) == (op, size) and case.min_bytes for case in CASES)

    def test_avx2_owes_six_tenths_and_the_portable_kernels_nothing(self):
        def found(capability, **changes):
            setting = targets.Setting("both", "warm", 1, capability)._replace(**changes)
            ratio = targets.ratio("bce_logits", "128x784", "float32", 100352, "eager", setting)
            return ratio, targets.floor("bce_logits", "64x3x256x256", "float32", setting)

        assert found("avx512") == ((2.5, 3.5), (2, 1.5))
        assert found("avx2") == (pytest.approx((1.5, 2.1)), pytest.approx((2 / 0.6, 2.5)))
        assert found("default") == (None, None)
        assert found("avx512", threads=2) == (None, None)
        assert found("avx512", mode="forward") == (None, None)
        assert found("avx512", regime="def") == (None, None)

    @pytest.mark.parametrize(
        ("changes", "holds"),
        [
            ({"provider": "eager", "ratio": 2.5, "must": 2.5}, True),
            ({"provider": "eager", "ratio": 2.4, "must": 2.5}, False),
            ({"floor": 1.3, "must": 1.3}, True),
            ({"floor": 1.4, "must": 1.3}, False),
            ({"must": None}, None),
        ],
    )
    def test_a_ratio_is_at_least_and_a_floor_at_most(self, changes, holds):
        assert row(**changes).holds is holds


class TestRows:
    def test_the_floor_is_the_triads_time_for_the_least_bytes(self):
        # 72 bytes at 1 GB/s are 72 ns.
        assert row().floor == pytest.approx(2e-3 / 72e-9)

    def test_a_file_gives_back_what_was_appended(self, tmp_path):
        path = tmp_path / "machine" / "cpu.csv"
        first, second = row(), row(provider="eager", ratio=0.123456, must=2.5, goal=None, cpu='CPU, "fast"')
        results.append(path, [first])
        results.append(path, [second])
        assert results.read(path) == [replace(first, floor=27777.8), replace(second, floor=27777.8)]

    def test_newest_is_the_last_run_alone(self, tmp_path):
        path = tmp_path / "cpu.csv"
        old, new = row(date="2026-01-01T00:00:00+00:00"), row(date="2026-01-02T00:00:00+00:00")
        results.append(path, [new, old, new])
        assert [found.date for found in results.newest(path)] == [new.date] * 2

    def test_other_columns_are_refused(self, tmp_path):
        path = tmp_path / "cpu.csv"
        path.write_text("date,speed\n")
        with pytest.raises(ValueError, match=r"cpu\.csv: got columns that differ"):
            results.append(path, [row()])
        with pytest.raises(ValueError, match=r"cpu\.csv: got columns that differ"):
            results.read(path)
        assert path.read_text() == "date,speed\n"


class TestGuard:
    def test_failing_files_are_found_whole_or_in_part(self, tmp_path):
        good, bad = tmp_path / "test_good.py", tmp_path / "test_bad.py"
        good.write_text("def test_one(): pass\n")
        bad.write_text("def test_one(): pass\ndef test_two(): assert False, 'no'\n")
        files = [(str(good), "one"), (str(bad), "one")]
        assert list(guard.failures(files, whole=True)) == [str(bad)]
        assert guard.failures(files, whole=False) == {}

    def test_a_subset_without_tests_guards_nothing(self, tmp_path):
        file = tmp_path / "test_good.py"
        file.write_text("def test_one(): pass\n")
        assert str(file) in guard.failures([(str(file), "two")], whole=False)

    def test_an_op_is_refused_by_any_of_its_files(self):
        assert guard.refused({"a": ("x", "y"), "b": ("y",), "c": ("z",)}, ["y"]) == {"a": ["y"], "b": ["y"]}


class TestWorker:
    def test_a_measurement_becomes_rows(self):
        buffer = torch.ones(6)
        single = Trial(lambda: None, lambda _: torch.empty_like(buffer))
        some = case(setup=lambda: {mode: {"fastvae": single, "eager": single} for mode in MODES})
        found = list(worker.measure(some, job(modes=["forward", "both"])))
        assert [result["mode"] for result in found] == ["forward", "both"]
        ours, peer = rows.rows_of(found[1], some, job(), rows.Run("now", "abc1234", "Some CPU", 2))
        assert (ours.provider, peer.provider) == ("fastvae", "eager")
        assert (ours.ratio, ours.rounds, ours.peak_bytes, ours.max_peak_bytes) == (1.0, 3, 24, 24 + targets.SCALARS)
        assert (peer.max_peak_bytes, ours.min_bytes, ours.capability) == (None, 72, found[1]["capability"])

    def test_regimes_are_the_environments(self):
        inherited = {"HOME": "there", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "7"}
        warm, default = (regimes.environment(inherited, name, 2) for name in ("warm", "def"))
        assert default["HOME"] == "there"
        assert default["OMP_NUM_THREADS"] == "2"
        assert not any(name.startswith("MALLOC_") for name in default)
        assert warm["MALLOC_MMAP_THRESHOLD_"] == "4294967296"
        assert warm["MALLOC_TRIM_THRESHOLD_"] == "17179869184"


class TestRun:
    @pytest.fixture
    def measured(self, monkeypatch):
        """Runs without workers: each case that would be measured gives one row."""
        jobs = []

        def measure(told, cases, shared):
            jobs.append(told)
            for some in cases:
                yield [row(op=some.op, regime=told.regime, threads=told.threads)]

        monkeypatch.setattr(run, "_measure", measure)
        return jobs

    def run(self, tmp_path, *arguments) -> int | None:
        return run.main.main([*arguments, "--out", str(tmp_path / "out.csv")], standalone_mode=False)

    def test_an_op_whose_tests_fail_is_not_reported(self, measured, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(guard, "failures", lambda files, whole: {"tests/test_noise.py": "1 failed"})
        assert self.run(tmp_path, "--suite", "quick", "--ops", "mse,reparameterize_kl,elbo") == 1
        assert {found.op for found in results.read(tmp_path / "out.csv")} == {"mse"}
        said = capsys.readouterr().err
        assert "not measured: reparameterize_kl: tests/test_noise.py" in said
        assert "not measured: elbo: tests/test_noise.py" in said

    def test_one_worker_for_each_regime_and_thread_count(self, measured, monkeypatch, tmp_path):
        monkeypatch.setattr(guard, "failures", lambda files, whole: {})
        assert not self.run(tmp_path, "--ops", "mse", "--passes", "both", "--repeats", "2", "--min-time", "0")
        assert [(told.regime, told.threads) for told in measured] == [("warm", 1), ("warm", 2), ("def", 1), ("def", 2)]
        assert {(tuple(told.modes), told.repeats, told.min_time) for told in measured} == {(("both",), 2, 0.0)}
        assert len(measured[0].cases) == sum(case.op == "mse" for case in CASES)

    def test_quick_is_small(self, measured, monkeypatch, tmp_path):
        whole = []
        monkeypatch.setattr(guard, "failures", lambda files, **options: whole.append(options["whole"]) or {})
        self.run(tmp_path, "--suite", "quick")
        assert whole == [False]
        assert max(case.elements for case in CASES if case.name in measured[0].cases) < 110_000

    def test_a_file_of_other_columns_is_refused_before_anything_is_measured(self, measured, tmp_path):
        (tmp_path / "out.csv").write_text("date\n")
        with pytest.raises(Exception, match="takes a new file"):
            self.run(tmp_path, "--suite", "quick")
        assert not measured

    @pytest.mark.slow
    def test_the_whole_of_it(self, tmp_path):
        assert not self.run(tmp_path, "--suite", "quick", "--ops", "mse", "--repeats", "1", "--min-time", "0")
        with (tmp_path / "out.csv").open(newline="") as file:
            found = list(csv.DictReader(file))
        assert [line["provider"] for line in found] == ["fastvae", "eager", "compile"]
        assert all(float(line["median_s"]) > 0 for line in found)


class TestMachine:
    X86 = (
        "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Xeon @ 2 GHz\ncpu family\t: 6\n\nprocessor\t: 1\nmodel\t\t: 85\n"
    )
    ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"

    @pytest.mark.parametrize(
        ("text", "name"), [(X86, "Xeon @ 2 GHz (family 6, model 85)"), (ARM, "CPU implementer 0x41 part 0xd40")]
    )
    def test_the_cpus_name(self, text, name):
        assert machine.cpu_of(text) == name

    def test_a_folders_name(self):
        assert machine.folder_name("Xeon(R) @ 2.5 GHz (family 6)") == "xeon-r-2-5-ghz-family-6"

    def test_a_copy_without_history_has_no_commit(self, monkeypatch, tmp_path):
        assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|unknown", machine.commit())
        monkeypatch.setattr(machine, "ROOT", tmp_path)
        assert machine.commit() == "unknown"


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
        found = steps.breakdown(steps.STEPS[0].trials()["fastvae"], 1)
        assert {"matrix products", "latent and loss", "optimizer", "activations"} <= set(found)
        assert all(milliseconds > 0 for milliseconds in found.values())

    @pytest.mark.parametrize("step", steps.STEPS, ids=lambda step: step.name)
    def test_both_train_the_same_number_of_weights(self, step):
        counts = {model: sum(p.numel() for p in model(step.networks, step.latent).parameters())
                  for model in (steps._Fused, steps._Copied)}  # fmt: skip
        assert len(set(counts.values())) == 1

    @pytest.mark.parametrize("provider", ["fastvae", "eager"])
    def test_a_step_learns(self, provider):
        single = steps.STEPS[0].trials()[provider]
        losses = [single.timed(single.prepare()).item() for _ in range(5)]
        assert losses[-1] < losses[0]
