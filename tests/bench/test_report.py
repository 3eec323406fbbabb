"""Tables and pictures say what the CSV says, the losing rows included."""

import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

import fastvae as package
from bench import plot, readme, report, results, table
from tests.bench.benches import row
from tests.bench.gpu_benches import WON
from tests.support.command_line import fails, fastvae


def run_of(**ratios):
    """fastvae and its peers on two ops: one it wins, one it loses."""
    peers = [row(provider=name, ratio=ratio, ratio_q20=ratio, ratio_q80=ratio) for name, ratio in ratios.items()]
    lost = [row(op="gaussian_nll"), row(op="gaussian_nll", provider="eager", ratio=0.5, ratio_q20=0.4, ratio_q80=0.6)]
    return [row(), *peers, *lost]


BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
GPU = "<!-- gpu:begin --><!-- gpu:end -->"
WHOLE = run_of(eager=2.0, compile=1.5, eager_sigmoid=9.0)


class TestTable:
    def test_losses_are_there_and_bold(self):
        lines = table.markdown(WHOLE).splitlines()
        assert "| mse 2x3 | 2 ms | 2.00 | 1.50 | 4 |  |  |" in lines
        assert "| mse 2x3 vs sigmoid + BCE | 2 ms | 9.00 |  | 4 |  |  |" in lines
        assert "| gaussian_nll 2x3 | 2 ms | **0.50** |  | 4 |  |  |" in lines

    def test_machine_and_versions_are_said(self):
        said = table.markdown(WHOLE)
        for word in ("Some CPU", "avx512", "1 thread,", row().torch, "abc1234", "2026-01-02"):
            assert word in said

    def test_the_default_allocator_has_columns_of_its_own(self):
        default = [row(regime="def"), row(regime="def", provider="eager", ratio=7.0)]
        assert "| mse 2x3 | 2 ms | 2.00 | 1.50 | 4 | 7.00 |  |" in table.markdown([*WHOLE, *default])

    def test_passes_apart_and_other_threads_stay_out(self):
        others = [row(mode="forward", provider="eager", ratio=77.0), row(threads=2, provider="eager", ratio=88.0)]
        assert table.markdown([*others, *WHOLE]) == table.markdown(WHOLE)

    def test_a_run_without_such_rows_is_an_error(self):
        with pytest.raises(ValueError, match="got no rows of 2 threads, warm"):
            table.markdown(WHOLE, threads=2)


class TestPictures:
    def test_losing_bars_have_another_colour(self):
        eager, compiled = plot.ratios(WHOLE, 1, "warm").axes
        # In the order of the rows: mse, mse against the sigmoid, gaussian_nll.
        assert [to_hex(bar.get_facecolor()) for bar in eager.patches] == [
            plot._WINS.lower(),
            plot._WINS.lower(),
            plot._LOSES.lower(),
        ]
        assert [bar.get_x() + bar.get_width() for bar in eager.patches] == [2.0, 9.0, 0.5]
        assert len(compiled.patches) == 1
        assert [label.get_text() for label in eager.get_yticklabels()] == [
            "mse 2x3", "mse 2x3 vs sigmoid + BCE", "gaussian_nll 2x3",
        ]  # fmt: skip

    def test_the_roofline_is_of_the_same_run(self):
        (axes,) = plot.roofline(WHOLE, 1, "warm").axes
        triad, mse, nll = axes.get_lines()
        assert list(triad.get_ydata()) == [1.0]
        # 72 bytes in 2 ms, in GB/s.
        assert list(mse.get_ydata()) == list(nll.get_ydata()) == [pytest.approx(72 / 2e-3 / 1e9)]

    def test_a_run_of_steps_has_no_roofline(self):
        with pytest.raises(ValueError, match="roofline: got no rows with min_bytes"):
            plot.roofline([row(mode="step", min_bytes=None)], 1, "warm")


class TestReadme:
    def test_only_what_is_between_the_markers_changes(self):
        text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
        once = readme.insert(text, "bench", "new")
        assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
        assert readme.insert(once, "bench", "new") == once

    @pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN * 2 + END])
    def test_markers_are_needed(self, text):
        with pytest.raises(ValueError, match="got no single pair"):
            readme.insert(text, "bench", "new")

    def test_the_projects_own_has_them(self):
        text = (readme.ROOT / "README.md").read_text(encoding="utf-8")
        assert all("new" in readme.insert(text, part, "new") for part in ("bench", "gpu"))

    def test_from_the_csv_to_the_page(self, tmp_path):
        csv, page = tmp_path / "results" / "cpu.csv", tmp_path / "README.md"
        results.append(csv, [row(date="2025-01-01T00:00:00+00:00", op="old"), *WHOLE])
        page.write_text(f"{BEGIN}{END}\n{GPU}")
        readme.main.main([str(csv), "--readme", str(page)], standalone_mode=False)
        said = page.read_text()
        assert "![Speed-ups](results/ratios.png)" in said
        assert "gaussian_nll" in said
        assert "old" not in said
        for name in ("ratios", "roofline"):
            assert csv.with_name(f"{name}.png").read_bytes().startswith(b"\x89PNG")

    def test_gpus_are_told_apart_from_their_absence(self, tmp_path):
        assert "No run on a GPU" in readme.gpu(tmp_path)
        results.append(tmp_path / "some-gpu" / "gpu.csv", WON)
        assert "| bce_logits " in readme.gpu(tmp_path)


class TestReport:
    @pytest.mark.parametrize(("value", "shown"), [(1.5, "1.5 s"), (2e-3, "2 ms"), (1.234e-5, "12.3 us")])
    def test_times_have_units(self, value, shown):
        assert report.seconds(value) == shown

    def test_a_line_has_must_goal_and_measured(self):
        said = report.line(
            [row(), row(provider="eager", ratio=2.4, must=2.5, goal=3.5), row(provider="compile", ratio=3.0)]
        )
        assert "eager 2.40x (must 2.5, goal 3.5: MISSED)" in said
        assert said.endswith("compile 3.00x")

    def test_what_is_missed_is_named_at_the_end(self):
        first, *missed = report.summary(
            [
                row(max_peak_bytes=20),
                row(provider="eager", ratio=2.4, must=2.5, max_peak_bytes=None),
                row(provider="compile", ratio=3.0, must=3.0, max_peak_bytes=None),
            ]
        )
        assert first == "1 of 2 speeds hold, 0 of 1 peaks"
        assert missed == [
            "missed: warm T1 mse 2x3 float32 eager: 2.4, must 2.5",
            "too large: warm T1 mse 2x3 float32: 24 bytes, at most 20",
        ]


class TestCommand:
    def test_help_is_the_benchmarks(self):
        result = fastvae("bench", "--help")
        assert result.code == 0
        assert result.out.startswith("Usage: fastvae bench")
        assert "--regime" in result.out

    def test_mistakes_are_one_line(self):
        assert "got 'nothing'; takes names from bce_logits" in fails("bench", "--ops", "nothing")
        assert "--threads" in fails("bench", "--threads", "0")

    def test_an_installed_copy_says_that_a_checkout_is_needed(self, monkeypatch, tmp_path):
        monkeypatch.setattr(package, "__file__", str(tmp_path / "site-packages" / "fastvae" / "__init__.py"))
        assert "takes a checkout" in fails("bench")
        for option in ("-h", "--help"):
            result = fastvae("bench", option)
            assert result.code == 0, result
            assert "from a checkout of the repository" in result.out

    def test_only_the_pictures_need_matplotlib(self):
        check = "import sys, bench.run, bench.worker; sys.exit('matplotlib' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", check], cwd=Path(readme.ROOT), check=False).returncode == 0
