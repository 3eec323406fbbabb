"""Bytes and launches are counted right: against counts by hand, and against what each op must move."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
import triton
import triton.language as tl

from bench import ops, traffic_report
from bench.proofs.traffic import eager, fused, one_provider
from bench.proofs.traffic.counts import Row, Tally, row_of
from bench.proofs.traffic.workloads import MNIST, WORKLOADS, Workload

pytestmark = pytest.mark.minutes(1)

N = 1000


class TestEager:
    @staticmethod
    def counted(f: Callable[[], Any]) -> tuple[int, int]:
        with eager.counted() as tally:
            f()
        return tally.bytes, tally.launches

    def test_forward_and_backward_of_a_product(self) -> None:
        x = torch.rand(N, requires_grad=True)
        with eager.counted() as forward:
            # exp: read, write; product: read two, write; sum: read, write one number.
            loss = (x.exp() * x).sum()
        assert (forward.bytes, forward.launches) == (4 * (2 * N + 3 * N + N + 1), 3)
        upstream = torch.ones(())
        with eager.counted() as backward:
            # Two products of a factor with one number; exp's: read two, write; the sum of both gradients.
            torch.autograd.grad(loss, x, upstream)
        assert (backward.bytes, backward.launches) == (4 * (2 * (2 * N + 1) + 3 * N + 3 * N), 4)

    def test_views_and_allocations_cost_nothing(self) -> None:
        x = torch.rand(N)
        assert self.counted(lambda: (x.view(10, -1).T[2:], x.expand(7, -1), torch.empty_like(x), x.detach())) == (0, 0)

    def test_an_expanded_operand_is_read_as_it_is_stored(self) -> None:
        x, row = torch.rand(10, N), torch.rand(N)
        assert self.counted(lambda: x + row.expand(10, N)) == (4 * 21 * N, 1)

    def test_an_operand_given_twice_is_read_once(self) -> None:
        x = torch.rand(N)
        assert self.counted(lambda: x * x) == (8 * N, 1)

    def test_in_place_ops_read_unless_they_overwrite(self) -> None:
        x, y = torch.rand(N), torch.rand(N, dtype=torch.float64)
        assert self.counted(lambda: x.mul_(2)) == (8 * N, 1)
        assert self.counted(lambda: x.zero_()) == (4 * N, 1)
        assert self.counted(lambda: x.copy_(y)) == (12 * N, 1)
        assert self.counted(lambda: x.to(torch.bfloat16)) == (6 * N, 1)

    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_a_reduced_mse_writes_the_squares_and_sums_them(self, reduction: str) -> None:
        x, t = torch.rand(N), torch.rand(N)
        mse = torch.nn.functional.mse_loss
        assert self.counted(lambda: mse(x, t, reduction=reduction)) == (4 * (3 * N + N + 1), 2)
        assert self.counted(lambda: mse(x, t, reduction="none")) == (12 * N, 1)

    def test_noise_is_written_once(self) -> None:
        x = torch.rand(N)
        assert self.counted(lambda: torch.randn_like(x)) == (4 * N, 1)


@triton.jit
def _repeat(source, target, n, block: tl.constexpr):
    index = tl.program_id(0) * block + tl.arange(0, block)
    once = tl.load(source + index, mask=index < n)
    again = tl.load(source + index, mask=index < n)
    tl.store(target + index, once + again + tl.load(source), mask=index < n)


class TestInterpreter:
    def test_a_launch_counts_an_address_once_and_a_masked_lane_never(self) -> None:
        x, y = torch.rand(N), torch.empty(N, dtype=torch.float64)
        with fused.counted() as tally:
            _repeat[(4,)](x, y, N, 256)
        assert torch.equal(y.float(), 2 * x + x[0])
        assert (tally.bytes, tally.launches) == (4 * N + 8 * N, 1)

    def test_launches_do_not_share_what_they_read(self) -> None:
        x, y = torch.rand(N), torch.empty(N)
        with fused.counted() as tally:
            _repeat[(4,)](x, y, N, 256)
            _repeat[(4,)](x, y, N, 256)
        assert (tally.bytes, tally.launches) == (16 * N, 2)

    def test_a_branch_counts_as_it_runs(self) -> None:
        """An upstream of 1 leaves the gradient alone; any other reads and writes all of it."""
        x, t = torch.rand(N, requires_grad=True), torch.rand(N)
        moved = []
        for upstream in (1.0, 2.0):
            with fused.counted():
                (loss,) = ops.MSE.fastvae(x, t)
            with fused.counted() as backward:
                torch.autograd.grad(loss, x, torch.tensor(upstream))
            moved.append(backward.bytes)
        assert moved == [4, 4 + 8 * N]


# Forward: mu and the scale in, z out. Backward: those and the gradient of z in, two gradients out.
LATENT = 2 + 1 + 3 + 2
# Forward alone: x in and its gradient out; a target comes on top, in its own dtype.
PIXELS = 2
FASTVAE = {
    ("reparameterize_kl", "float32"): (4 * LATENT, (1, 1)),
    ("reparameterize_kl_packed", "float32"): (4 * LATENT, (1, 1)),
    ("reparameterize_kl_packed", "bfloat16"): (2 * LATENT, (1, 1)),
    ("reparameterize_kl_packed", "bfloat16, peer .float()"): (2 * LATENT, (1, 1)),
    ("bce_logits", "float32"): (4 * PIXELS + 4, (1, 1)),
    ("bce_logits", "float32, uint8 target"): (4 * PIXELS + 1, (1, 1)),
    ("bce_logits", "bfloat16, uint8 target"): (2 * PIXELS + 1, (1, 1)),
    ("mse", "float32"): (4 * PIXELS + 4, (1, 1)),
    ("gaussian_nll", "float32"): (4 * 3, (1, 1)),
    # And one to add the two losses.
    ("elbo", "float32"): (4 * PIXELS + 4 + 4 * LATENT * 20 / 784, (3, 2)),
}


@pytest.mark.parametrize("workload", MNIST, ids=lambda workload: workload.name)
def test_fastvae_moves_its_operands_once(workload: Workload) -> None:
    row = row_of(workload, "fastvae", *fused.count(workload))
    moved, launches = FASTVAE[workload.sized.op.name, workload.dtype]
    assert (row.forward_launches, row.backward_launches) == launches
    # Partial sums and scalars are little beside the 2,560 elements of the latent.
    assert row.bytes_per_element == pytest.approx(moved, abs=0.05)


BY_HAND = """
import json, torch
from bench.proofs.traffic.inductor import generated

def tensors(count): return [torch.rand(1024, 64, requires_grad=True) for _ in range(count)]

counted = [
    generated(lambda x, y: (x * y,), tensors(2)),
    generated(lambda x: ((x.exp() + 1).sum(),), tensors(1)),
    generated(lambda x: (x + torch.randn_like(x),), tensors(1)),
    generated(lambda x: (torch.mul(*x.chunk(2, dim=1)),), tensors(1)),
]
print(json.dumps([[tally.bytes, tally.launches] for pair in counted for _, tally in pair]))
"""


def _inductor() -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "-c", BY_HAND], one_provider.environment("inductor")
    return subprocess.run(command, cwd=one_provider.ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_inductor_against_counts_by_hand() -> None:
    script = _inductor()
    assert script.returncode == 0, script.stderr[-3000:]
    counted = iter(json.loads(script.stdout))
    n = 1024 * 64
    # x, y in, their product out; both and the upstream in, two gradients out.
    assert [next(counted), next(counted)] == [[12 * n, 1], [20 * n, 1]]
    # A second kernel adds a few partial sums. Backward computes exp(x) again: x and one number in, the gradient out.
    (forward, launches), backward = next(counted), next(counted)
    assert forward == pytest.approx(4 * n, rel=1e-3)
    assert launches == 2
    assert backward == [8 * n + 4, 1]
    # A seed drawn and read; backward has nothing to do.
    assert [next(counted), next(counted)] == [[8 * n + 2 * 8, 2], [0, 0]]
    # Both halves in, their product out; they and the upstream in, the gradients of both out, side by side.
    forward, (backward, launches) = next(counted), next(counted)
    assert forward == [4 * n + 2 * n, 1]
    assert (backward, launches) == (4 * n + 2 * n + 4 * n, 1)


class TestReport:
    @pytest.fixture
    def rows(self, monkeypatch: pytest.MonkeyPatch) -> list[Row]:
        """Made-up rows: a million bytes a provider, more for each next one."""
        rows = [
            row_of(
                workload, provider, Tally(1000 * workload.sized.elements, 3), Tally(factor * workload.sized.elements, 1)
            )
            for factor, provider in enumerate(one_provider.PROVIDERS)
            for workload in WORKLOADS
        ]
        monkeypatch.setattr(one_provider, "rows", lambda provider: [row for row in rows if row.provider == provider])
        return rows

    def test_a_line_for_each_workload(self, rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
        traffic_report.main.main([], standalone_mode=False)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2 + len(WORKLOADS) + 2
        for workload, line in zip(WORKLOADS, lines[2:], strict=False):
            assert line == (
                f"| {workload.sized.op.name} | {workload.sized.size} | {workload.dtype} "
                "| 1000.0 | 1001.0 | 1002.0 | 1.00 | 1.00 | 3 + 1 | 3 + 1 | 3 + 1 |"
            )

    def test_json_gives_back_the_rows(self, rows: list[Row], capsys: pytest.CaptureFixture[str]) -> None:
        traffic_report.main.main(["--json"], standalone_mode=False)
        assert json.loads(capsys.readouterr().out) == [asdict(row) for row in rows]

    def test_workloads_have_names_of_their_own(self) -> None:
        assert len({(workload.sized.op.name, workload.sized.size, workload.dtype) for workload in WORKLOADS}) == len(
            WORKLOADS
        )

    @pytest.mark.nightly
    def test_the_whole_of_it(self) -> None:
        report = subprocess.run(
            [sys.executable, "-m", "bench.traffic_report", "--json"],
            cwd=one_provider.ROOT,
            capture_output=True,
            text=True,
        )
        assert report.returncode == 0, report.stderr[-3000:]
        rows = [Row(**row) for row in json.loads(report.stdout)]
        moved = {(row.op, row.size, row.dtype, row.provider): row.bytes_per_element for row in rows}
        assert len(moved) == len(WORKLOADS) * len(one_provider.PROVIDERS)
        for workload in WORKLOADS:
            ours, compiled, plain = (
                moved[workload.sized.op.name, workload.sized.size, workload.dtype, provider]
                for provider in ("fastvae", "inductor", "eager")
            )
            assert ours <= 1.001 * compiled
            assert compiled < plain
