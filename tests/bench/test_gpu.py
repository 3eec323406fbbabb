"""The benchmarks of the GPU, without one: what they time, and what they refuse to report."""

import pytest
import torch

import fastvae
from bench import ops, results, table
from bench.gpu import FILE, benchmarks, clock, correct, device, measure, micro, providers
from bench.gpu.launches import Launches, count, counted
from bench.timing import Call
from tests.bench.gpu_benches import DRY, RUN


class TestMeasuring:
    @pytest.mark.parametrize("op", [*benchmarks.LOSSES, *benchmarks.LATENTS, ops.ELBO])
    def test_the_ops_are_found_right(self, op):
        assert correct.mistake(op.fastvae, op.inputs(*[(6, 20)] * len(op.min_bytes))) is None

    def test_an_op_that_is_wrong_is_found_out(self):
        def wrong(moments):
            z, kl = ops.REPARAMETERIZE_KL_PACKED.fastvae(moments)
            return z * (1 + 1e-5 if fastvae._backend.requested() == "auto" else 1), kl

        assert "output 0: error 1.0" in correct.mistake(wrong, ops.REPARAMETERIZE_KL_PACKED.inputs((6, 20)))

    def test_other_noise_is_found_out(self):
        def wrong(mu, logvar):
            return fastvae.functional.reparameterize_kl(
                mu, logvar, seed=4 if fastvae._backend.requested() == "auto" else 5, reduction="sum"
            )

        assert "output 0" in correct.mistake(wrong, ops.REPARAMETERIZE_KL.inputs((6, 20)))

    def test_every_provider_is_timed_in_a_dry_run(self):
        some = next(benchmarks.benchmarks_of(benchmarks.sizes(DRY)[1]))
        found = measure.rows(some, measure.measure(some, DRY, Launches()), RUN)
        assert [row.provider for row in found] == ["fastvae", "eager", "compile"]
        assert all(row.median_s > 0 and row.rounds == DRY.rounds for row in found)

    def test_upstream_gradients_are_of_the_dtype_of_the_outputs(self):
        """Or autograd would convert them on every call."""
        inputs = ops.REPARAMETERIZE_KL_PACKED_HALF.inputs((6, 20))
        seen = []

        def function(moments):
            z, kl = ops.REPARAMETERIZE_KL_PACKED_HALF.fastvae(moments)
            for output in (z, kl):
                output.register_hook(lambda gradient, output=output: seen.append((gradient.dtype, output.dtype)))
            return z, kl

        providers.call(function, inputs, "both")()
        assert sorted(map(str, seen)) == ["(torch.bfloat16, torch.bfloat16)", "(torch.float32, torch.float32)"]

    def test_a_copy_reads_and_writes_the_bytes_together(self):
        assert providers.copy(100, DRY)().nbytes == 50

    def test_a_batch_is_as_long_as_asked(self):
        calls = []
        made = clock.batch(lambda: calls.append(1), lambda batch: batch.call() or Call(0.002, 0), 0.01)
        assert made.calls == 5
        assert clock.from_launch_to_result(made).seconds > 0
        assert len(calls) == 2 + 5

    def test_without_a_gpu_nobody_counts_launches(self):
        assert count(next(benchmarks.benchmarks_of(benchmarks.sizes(DRY)[1])), DRY) == Launches(None, None)


class TestCommand:
    @pytest.fixture
    def quick(self, monkeypatch):
        """Measurements that take no time."""
        times = {name: [Call(1.0, 0)] for name in ("fastvae", "eager", "compile", "copy")}
        made = measure.Measured(times, dict.fromkeys(times, 1), Launches())
        monkeypatch.setattr(micro, "measure", lambda *_: made)
        monkeypatch.setattr(micro, "mistakes", lambda *_: {})
        monkeypatch.setattr(micro, "counted", lambda *_: {})

    def run(self, tmp_path, *options):
        arguments = ["--out", str(tmp_path), "--dry-run", "--commit", "abc", *options]
        return micro.main.main(arguments, standalone_mode=False)

    def test_every_benchmark_has_rows(self, quick, tmp_path):
        assert not self.run(tmp_path)
        found = results.read(tmp_path / FILE)
        assert {row.commit for row in found} == {"abc"}
        assert len(found) == 3 * sum(len(list(benchmarks.benchmarks_of(size))) for size in benchmarks.sizes(DRY))

    def test_some_sizes_and_ops(self, quick, tmp_path):
        assert not self.run(tmp_path, "--sizes", "mnist", "--ops", "mse,elbo")
        assert {(row.op, row.size) for row in results.read(tmp_path / FILE)} == {("mse", "3x7"), ("elbo", "3x7+3x5")}

    def test_launches_are_counted_of_some_ops(self):
        small = benchmarks.sizes(DRY)[1]
        assert set(counted(small, DRY, ("mse",))) == {"mse float32 float32 3x7"}

    def test_an_op_that_is_wrong_is_not_measured(self, quick, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(micro, "mistakes", lambda *_: {"mse float32 float32": "output 0: error 1"})
        assert self.run(tmp_path) == 1
        assert "mse" not in {row.op for row in results.read(tmp_path / FILE)}
        assert "not measured: mse float32 float32: output 0: error 1" in capsys.readouterr().err

    def test_a_benchmark_that_fails_does_not_keep_the_others_from_it(self, quick, monkeypatch, tmp_path, capsys):
        made = micro.measure()

        def some(benchmark, *_):
            if benchmark.op is ops.ELBO:
                raise torch.OutOfMemoryError("no memory")
            return made

        monkeypatch.setattr(micro, "measure", some)
        assert self.run(tmp_path) == 1
        assert {row.op for row in results.read(tmp_path / FILE)} >= {"bce_logits", "reparameterize_kl"}
        assert "no memory" in capsys.readouterr().err

    def test_mistakes_are_named_by_op(self, monkeypatch):
        monkeypatch.setattr(micro, "mistake", lambda function, *_: "wrong" if function is ops.MSE.fastvae else None)
        assert micro.mistakes(list(benchmarks.benchmarks_of(benchmarks.sizes(DRY)[0])), DRY) == {
            "mse float32 float32": "wrong"
        }

    def test_without_a_gpu_one_is_asked_for(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(Exception, match="got no GPU; takes one, or --dry-run"):
            device.device(dry_run=False)

    def test_a_table_of_nothing_is_an_error(self, tmp_path):
        with pytest.raises(Exception, match=r"nothing\.csv"):
            table.main.main([str(tmp_path / "nothing.csv")], standalone_mode=False)
