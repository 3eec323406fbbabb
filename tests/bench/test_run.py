"""A run judges what was measured, keeps it, and reports nothing of an op whose tests fail."""

import csv
import re
from dataclasses import replace

import pytest
import torch

from bench import guard, machine, regimes, results, rows, run, targets, worker
from bench.cases import MODES
from bench.timing import Trial
from tests.bench.benches import CASES, SMALL, case, job, row


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
        assert results.read(path, results.Row) == [replace(first, floor=27777.8), replace(second, floor=27777.8)]

    def test_newest_is_the_last_run_alone(self, tmp_path):
        path = tmp_path / "cpu.csv"
        old, new = row(date="2026-01-01T00:00:00+00:00"), row(date="2026-01-02T00:00:00+00:00")
        results.append(path, [new, old, new])
        assert [found.date for found in results.newest(path, results.Row)] == [new.date] * 2

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
            results.read(path, results.Row)
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
        monkeypatch.setattr(guard, "failures", lambda files, whole: {"tests/core/test_noise.py": "1 failed"})
        assert self.run(tmp_path, "--suite", "quick", "--ops", "mse,reparameterize_kl,elbo") == 1
        assert {found.op for found in results.read(tmp_path / "out.csv", results.Row)} == {"mse"}
        said = capsys.readouterr().err
        assert "not measured: reparameterize_kl: tests/core/test_noise.py" in said
        assert "not measured: elbo: tests/core/test_noise.py" in said

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
