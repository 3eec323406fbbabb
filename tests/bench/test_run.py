"""A run judges what was measured, keeps it, and reports nothing of an op whose tests fail."""

import csv
import re
from functools import partial

import pytest
import torch

from bench import ROOT, machine, results, run, timing
from bench.cpu import guard, heavy_steps, measure, regimes, requirements, training_steps
from bench.cpu.benchmarks import MODES
from bench.cpu.requirements import Setting, required
from bench.timing import Call, Trial
from tests.bench.benches import BENCHMARKS, HEAVY, SMALL, benchmark, job, row

STEPS = (*training_steps.TRAINING_STEPS, *heavy_steps.HEAVY_STEPS)


class TestRequirements:
    @pytest.mark.parametrize("group", requirements._RATIOS, ids=lambda group: f"{group.ops[0]} {group.sizes}")
    def test_every_ratio_is_of_a_benchmark_with_that_peer(self, group):
        for op in group.ops:
            found = [some for some in BENCHMARKS if (some.op, some.target) == (op, group.target)]
            sizes = {some.size: some.elements for some in found}
            if isinstance(group.sizes, int):
                assert any(elements >= group.sizes for elements in sizes.values())
            else:
                assert set(group.sizes) <= set(sizes)
            known = [
                {f"{provider}{suffix}" for suffix in row.peers for provider in ("eager", "compile")}
                for row, _ in (SMALL | HEAVY).values()
                if (row.name, row.target) == (op, group.target)
            ] or [step.providers for step in STEPS if step.name == op]
            assert known
            assert all(set(group.peers) <= set(providers) for providers in known)

    @pytest.mark.parametrize(("op", "size"), requirements._BANDWIDTHS)
    def test_every_part_of_the_bandwidth_is_of_a_benchmark(self, op, size):
        assert any((some.op, some.size) == (op, size) and some.min_bytes for some in BENCHMARKS)

    def test_avx2_owes_six_tenths_and_the_portable_kernels_nothing(self):
        small, large = (
            next(some for some in BENCHMARKS if (some.op, some.size, some.target) == ("bce_logits", size, "float32"))
            for size in ("128x784", "64x3x256x256")
        )

        def found(capability, **changes):
            setting = Setting("both", "warm", 1, capability)._replace(**changes)
            return required(small, "eager", setting), required(large, "fastvae", setting)

        assert found("avx512") == ((2.5, 3.5), (1 / 2, 1 / 1.5))
        assert found("avx2") == (pytest.approx((1.5, 2.1)), pytest.approx((0.6 / 2, 0.6 / 1.5)))
        assert found("default") == (None, None)
        assert found("avx512", threads=2) == (None, None)
        assert found("avx512", mode="forward") == (None, None)
        assert found("avx512", regime="def") == (None, None)

    @pytest.mark.parametrize(
        ("changes", "holds"),
        [
            ({"provider": "eager", "ratio": 2.5, "must": 2.5}, True),
            ({"provider": "eager", "ratio": 2.4, "must": 2.5}, False),
            ({"of_bandwidth": 0.85, "must": 0.85}, True),
            ({"of_bandwidth": 0.84, "must": 0.85}, False),
            ({"must": None}, None),
        ],
    )
    def test_a_ratio_and_a_part_of_the_bandwidth_are_at_least(self, changes, holds):
        assert row(**changes).holds is holds


class TestRows:
    def test_a_file_gives_back_what_was_appended(self, tmp_path):
        path = tmp_path / "machine" / "cpu.csv"
        first, second = (
            row(),
            row(provider="eager", ratio=0.123456, must=2.5, goal=None, device='CPU, "fast"', alone_s=1e-3),
        )
        results.append(path, [first])
        results.append(path, [second])
        assert results.read(path) == [first, second]

    def test_the_newest_rows_are_the_last_of_each_measurement_in_their_first_order(self, tmp_path):
        path = tmp_path / "cpu.csv"
        old, new = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
        before = [row(date=old), row(date=old, provider="eager"), row(date=old, op="other")]
        after = [row(date=new), row(date=new, provider="compile"), row(date=new, threads=2)]
        results.append(path, [*before, *after])
        assert results.newest(path) == [*after[:2], before[2], after[2]]

    @pytest.mark.parametrize(
        "path", sorted((ROOT / "bench" / "results").glob("*/?pu*.csv")), ids=lambda path: path.name
    )
    def test_what_is_kept_can_be_read(self, path):
        assert {found.commit for found in results.newest(path)} <= {found.commit for found in results.read(path)}

    @pytest.mark.parametrize(("cap", "name"), [(None, "cpu.csv"), ("avx2", "cpu-avx2.csv")])
    def test_kernels_that_are_held_back_have_a_file_of_their_own(self, cap, name, monkeypatch):
        monkeypatch.delenv("FASTVAE_CPU_CAPABILITY", raising=False)
        if cap:
            monkeypatch.setenv("FASTVAE_CPU_CAPABILITY", cap)
        assert run._default_path("CPU", "cpu").name == name

    def test_other_columns_are_refused(self, tmp_path):
        path = tmp_path / "cpu.csv"
        path.write_text("date,speed\n")
        with pytest.raises(ValueError, match=r"cpu\.csv: got columns that differ"):
            results.append(path, [row()])
        with pytest.raises(ValueError, match=r"cpu\.csv: got columns that differ"):
            results.read(path)
        assert path.read_text() == "date,speed\n"


class TestGuard:
    @pytest.mark.slow
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


class TestMeasuring:
    @pytest.fixture
    def single(self, monkeypatch):
        """A call that takes 2 ms, or so says the clock, of which the triad takes 72 ns."""
        buffer = torch.ones(6)
        monkeypatch.setattr(measure.triad, "bytes_per_second", lambda elements: 1e9)
        monkeypatch.setattr(timing, "one_call", lambda trial: Call(2e-3, 1))
        monkeypatch.setattr(measure, "interleave", partial(timing.interleave, clock=timing.one_call))
        return Trial(lambda: None, lambda _: torch.empty_like(buffer))

    def test_a_measurement_becomes_rows(self, single):
        some = benchmark(setup=lambda: {mode: {"fastvae": single, "eager": single} for mode in MODES})
        forward, (ours, peer) = measure.measure(some, job(modes=["forward", "both"]))
        assert [row.mode for row in (*forward, ours, peer)] == ["forward"] * 2 + ["both"] * 2
        assert (ours.provider, peer.provider) == ("fastvae", "eager")
        assert (ours.ratio, ours.rounds, ours.peak_bytes, ours.max_peak_bytes) == (1.0, 3, 24, 24 + measure.SCALARS)
        assert (peer.max_peak_bytes, ours.min_bytes, forward[0].min_bytes) == (None, 72, None)
        assert ours.of_bandwidth == pytest.approx(72e-9 / 2e-3)
        # Small: in a loop of its own too, forward and backward together.
        assert (ours.alone_ratio, ours.alone_s, peer.alone_s, forward[0].alone_s) == (1, 2e-3, 2e-3, None)

    def test_only_small_sizes_are_measured_alone(self, single):
        large = benchmark(elements=measure.SMALL_ELEMENTS + 1, setup=lambda: {"both": {"fastvae": single}})
        ((row,),) = measure.measure(large, job(modes=["both"]))
        assert row.alone_s is None

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

        def rows_of(told):
            jobs.append(told)
            for some in (some for some in BENCHMARKS if some.name in told.benchmarks):
                yield [row(op=some.op, regime=told.regime, threads=told.threads)]

        monkeypatch.setattr(run, "_measure", rows_of)
        return jobs

    def run(self, tmp_path, *arguments) -> int | None:
        return run.main.main([*arguments, "--out", str(tmp_path / "out.csv")], standalone_mode=False)

    def test_an_op_whose_tests_fail_is_not_reported(self, measured, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(guard, "failures", lambda files, whole: {"tests/core/test_noise.py": "1 failed"})
        assert self.run(tmp_path, "--suite", "quick", "--ops", "mse,reparameterize_kl,elbo") == 1
        assert {found.op for found in results.read(tmp_path / "out.csv")} == {"mse"}
        said = capsys.readouterr().err
        assert "not measured: reparameterize_kl: tests/core/test_noise.py" in said
        assert "not measured: elbo: tests/core/test_noise.py" in said

    def test_one_worker_for_each_regime_and_thread_count(self, measured, monkeypatch, tmp_path):
        monkeypatch.setattr(guard, "failures", lambda files, whole: {})
        assert not self.run(tmp_path, "--ops", "mse", "--passes", "both", "--repeats", "2", "--min-time", "0")
        assert [(told.regime, told.threads) for told in measured] == [("warm", 1), ("warm", 2), ("def", 1), ("def", 2)]
        assert {(tuple(told.modes), told.repeats, told.min_time) for told in measured} == {(("both",), 2, 0.0)}
        assert len(measured[0].benchmarks) == sum(some.op == "mse" for some in BENCHMARKS)

    def test_quick_is_small_and_has_the_training_steps(self, measured, monkeypatch, tmp_path):
        whole = []
        monkeypatch.setattr(guard, "failures", lambda files, **options: whole.append(options["whole"]) or {})
        self.run(tmp_path, "--suite", "quick")
        assert whole == [False]
        chosen = [some for some in BENCHMARKS if some.name in measured[0].benchmarks]
        assert max(some.elements for some in chosen if some.modes == MODES) < 110_000
        assert {some.op for some in chosen if some.modes != MODES} == {step.name for step in STEPS}

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
        assert all(float(line["median_s"]) > 0 < float(line["alone_s"]) for line in found)


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
