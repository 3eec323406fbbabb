"""What was measured on a GPU is judged, kept, told and drawn as it was."""

import csv
from dataclasses import fields, replace

import pytest

from bench import ops, report, results, table
from bench.gpu import benchmarks, requirements
from bench.results import Row
from tests.bench.gpu_benches import LARGE, MIDDLE, MNIST, PROVIDERS, SMALL, WON, benchmark, rows


class TestRequirements:
    @pytest.mark.parametrize(
        ("op", "eager", "compiled"),
        [
            (ops.BCE, 5, 1.5),
            (ops.BCE_BYTES, 5, 1.5),
            (ops.BCE_BYTES_HALF, 5, 1.5),
            (ops.MSE, 5, 1.5),
            (ops.REPARAMETERIZE_KL, None, 1.2),
            (ops.REPARAMETERIZE_KL_PACKED, None, 1.4),
            (ops.REPARAMETERIZE_KL_PACKED_HALF, None, 1.4),
        ],
    )
    def test_where_memory_decides(self, op, eager, compiled):
        found = rows(benchmark(op), **dict.fromkeys((*PROVIDERS, "copy"), 1.0))
        assert {row.provider: row.must for row in found if row.must} == {
            "fastvae": 0.85, "compile": compiled, **({"eager": eager} if eager else {}),
        }  # fmt: skip
        assert (found[0].goal, found[0].max_forward) == (0.95, None)

    @pytest.mark.parametrize("op", [*benchmarks.LOSSES, *benchmarks.LATENTS])
    def test_where_launches_decide(self, op):
        found = rows(benchmark(op, MNIST), **dict.fromkeys((*PROVIDERS, "copy"), 1.0))
        assert {row.provider: row.must for row in found if row.must} == {"eager": 1, "compile_graph": 1}
        assert (found[0].max_forward, found[0].max_backward) == (1, 1)

    def test_in_between_nothing_is_owed(self):
        assert all(
            row.must is None for some in benchmarks.benchmarks_of(MIDDLE) for row in rows(some, fastvae=1.0, copy=1.0)
        )

    def test_large_is_what_the_requirements_call_large(self):
        assert all(some.sized.elements >= requirements.LARGE_ELEMENTS for some in benchmarks.benchmarks_of(LARGE))

    @pytest.mark.parametrize(
        ("op", "bytes_each"),
        [(ops.BCE, 12), (ops.BCE_BYTES, 9), (ops.BCE_BYTES_HALF, 5), (ops.MSE, 12), (ops.REPARAMETERIZE_KL, 32),
         (ops.REPARAMETERIZE_KL_PACKED, 32), (ops.REPARAMETERIZE_KL_PACKED_HALF, 16)],
    )  # fmt: skip
    def test_the_bytes_an_op_must_move_are_those_of_its_tensors(self, op, bytes_each):
        """Forward reads the operands and writes the sample; backward reads them with its gradient and writes theirs."""
        some = benchmark(op, MNIST).sized
        assert some.min_bytes == bytes_each * some.elements
        inputs = some.inputs("cpu")
        operands = sum(t.nbytes for t in (*inputs.differentiable, *inputs.constant))
        gradients = sum(t.nbytes for t in inputs.differentiable)
        sample = sum(t.nbytes for t in inputs.upstream if t is not None)
        # A loss writes its gradient in the forward pass and reads nothing again.
        passes = 2 if sample else 1
        assert some.min_bytes == passes * operands + gradients + 2 * sample


class TestRows:
    def test_the_part_of_the_copy_and_the_ratios_are_of_the_same_rounds(self):
        ours, eager, compiled, graph, compiled_graph = WON
        assert (ours.of_bandwidth, eager.ratio, compiled.ratio) == (0.9, 6.0, 1.6)
        assert (graph.ratio, compiled_graph.ratio) == (1.0, 0.8)
        assert ours.bytes_per_s == pytest.approx(12 * ours.elements / 0.9)
        assert (ours.calls, ours.rounds, ours.launches_forward, eager.launches_forward) == (7, 3, 1, None)

    def test_a_part_of_the_copy_is_at_least_and_so_is_a_ratio(self):
        assert [row.holds for row in WON] == [True, True, True, None, None]
        assert replace(WON[0], of_bandwidth=0.84).holds is False
        assert [row.holds for row in SMALL] == [None, False, None, None, True]

    @pytest.mark.parametrize(
        ("forward", "backward", "holds"),
        [(1, 1, [True, True]), (2, 1, [False, True]), (0, 2, [True, False]), (None, None, [])],
    )
    def test_launches_are_at_most(self, forward, backward, holds):
        row = replace(SMALL[0], launches_forward=forward, launches_backward=backward)
        assert [bound.used <= bound.most for bound in row.bounds] == holds
        assert WON[0].bounds == []

    def test_a_file_gives_back_what_was_appended(self, tmp_path):
        path = tmp_path / "gpu.csv"
        results.append(path, WON)
        results.append(path, SMALL)
        with path.open(newline="") as file:
            assert next(csv.reader(file)) == [field.name for field in fields(Row)]
        assert results.newest(path) == [
            replace(row, bytes_per_s=float(f"{row.bytes_per_s:.6g}")) for row in (*WON, *SMALL)
        ]


class TestReport:
    def test_a_line_says_what_was_reached_and_what_was_to_be(self):
        assert report.line(WON) == (
            "bce_logits 131072x1024: 1 s, 90% of 1.79 GB/s (must 0.85, goal 0.95: holds), 1+1 launches, "
            "eager 6.00x (must 5: holds), compile 1.60x (must 1.5: holds), fastvae_graph 500 ms, compile_graph 0.80x"
        )

    def test_what_is_missed_is_named_at_the_end(self):
        slow, many = replace(WON[0], of_bandwidth=0.5), replace(SMALL[0], launches_backward=2)
        assert report.summary([slow, *WON[1:], many, *SMALL[1:]]) == [
            "3 of 5 speeds hold, 1 of 2 bounds",
            "missed: bce_logits 131072x1024 part of the bandwidth: 0.5, must 0.85",
            "missed: mse 128x784 eager: 0.5, must 1",
            "too many: mse 128x784: 2 launches backward, at most 1",
        ]

    def test_the_table_has_every_case_and_bold_losses(self):
        said = table.markdown([*WON, *SMALL])
        assert "| bce_logits 131072x1024 | 1 s | 90% | 6.00 | 1.60 | 1 + 1 | 500 ms | **0.80** |" in said
        assert "| mse 128x784 | 2 s |  | **0.50** | 2.50 | 1 + 1 | 1 s | 1.00 |" in said
        for word in ("Some GPU", "driver 1.2", "CUDA 13.0", "torch 2.11", "triton 3.6", "abc1234", "2026-01-02"):
            assert word in said
