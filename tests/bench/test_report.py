"""Tables and pictures say what the CSV says, the losing rows included."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import fastvae as package
from bench import ROOT, front, gains, op_pages, pages, plot, publish, report, results, table
from bench.gpu.benchmarks import benchmarks_of
from tests.bench.benches import BENCHMARKS, row
from tests.bench.gpu_benches import SIZES, SMALL, WON, rows
from tests.support.command_line import TINY, fails, fastvae, without_pictures


def run_of(**ratios):
    """fastvae and its peers on two ops: one it wins, one it loses."""
    peers = [row(provider=name, ratio=ratio, ratio_q20=ratio, ratio_q80=ratio) for name, ratio in ratios.items()]
    lost = [row(op="gaussian_nll"), row(op="gaussian_nll", provider="eager", ratio=0.5, ratio_q20=0.4, ratio_q80=0.6)]
    return [row(), *peers, *lost]


BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
WHOLE = run_of(eager=2.0, compile=1.5, eager_sigmoid=9.0)


class TestTable:
    def test_losses_are_there_and_bold(self):
        lines = table.markdown(WHOLE).splitlines()
        assert lines[0] == "| op and size | fastvae | of bandwidth | vs eager | vs compile | bytes/element |"
        assert "| mse 2x3 | 2 ms | 0% | 2.00 | 1.50 | 4 |" in lines
        assert "| mse 2x3 vs sigmoid + BCE | 2 ms | 0% | 9.00 |  | 4 |" in lines
        assert "| gaussian_nll 2x3 | 2 ms | 0% | **0.50** |  | 4 |" in lines

    def test_machine_and_versions_are_said(self):
        said = table.markdown(WHOLE)
        for word in ("Some CPU", "avx512", "1 thread,", row().torch, "abc1234", "2026-01-02"):
            assert word in said

    def test_the_default_allocator_has_columns_of_its_own(self):
        default = [row(regime="def"), row(regime="def", provider="eager", ratio=7.0)]
        assert "| mse 2x3 | 2 ms | 0% | 2.00 | 1.50 | 4 | 7.00 |" in table.markdown([*WHOLE, *default])

    def test_loops_of_their_own_have_columns_where_there_were_any(self):
        alone = [row(op="l1", alone_s=1e-3), row(op="l1", provider="eager", ratio=2.0, alone_s=3e-3, alone_ratio=0.9)]
        said = table.markdown([*WHOLE, *alone]).splitlines()
        assert "| l1 2x3 | 2 ms | 0% | 2.00 |  | 1 ms | **0.90** | 4 |" in said
        assert "| mse 2x3 | 2 ms | 0% | 2.00 | 1.50 |  |  | 4 |" in said
        assert "a loop of its own" in said[-1]

    def test_rows_of_two_runs_name_both(self):
        later = [row(op="l1", commit="def5678"), row(op="l1", provider="eager", commit="def5678")]
        assert "commit abc1234, 2026-01-02 and commit def5678, 2026-01-02" in table.markdown([*WHOLE, *later])

    def test_passes_apart_and_other_threads_stay_out(self):
        others = [row(mode="forward", provider="eager", ratio=77.0), row(threads=2, provider="eager", ratio=88.0)]
        assert table.markdown([*others, *WHOLE]) == table.markdown(WHOLE)

    def test_a_run_without_such_rows_is_an_error(self):
        with pytest.raises(ValueError, match="got no rows of 2 threads"):
            table.markdown(WHOLE, threads=2)


class TestPictures:
    def test_losing_bars_have_another_colour(self):
        eager, compiled, _ = plot.picture(WHOLE).axes
        # In the order of the rows: mse, mse against the sigmoid, gaussian_nll.
        assert [to_hex(bar.get_facecolor()) for bar in eager.patches] == [
            plot.WINS.lower(),
            plot.WINS.lower(),
            plot._LOSES.lower(),
        ]
        assert [bar.get_x() + bar.get_width() for bar in eager.patches] == [2.0, 9.0, 0.5]
        assert len(compiled.patches) == 1
        assert [label.get_text() for label in eager.get_yticklabels()] == [
            "mse 2x3", "mse 2x3 vs sigmoid + BCE", "gaussian_nll 2x3",
        ]  # fmt: skip

    def test_the_part_of_the_bandwidth_is_drawn_once_an_op(self):
        *_, bandwidth = plot.picture(WHOLE).axes
        assert [bar.get_width() for bar in bandwidth.patches] == [row().of_bandwidth] * 2

    def test_a_regime_that_was_not_measured_is_an_error(self):
        with pytest.raises(ValueError, match="got no rows of 1 threads, def"):
            plot.picture(WHOLE, regime="def")

    def test_the_caption_of_many_runs_is_as_wide_as_the_figure(self):
        figure = plot.picture([replace(one, commit=f"{place:040d}") for place, one in enumerate(WHOLE)])
        FigureCanvasAgg(figure).draw()
        box = figure._suptitle.get_window_extent()
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.width

    def test_a_picture_of_a_few(self):
        (axes,) = plot.few(WHOLE, ["mse 2x3", "gaussian_nll 2x3"]).axes
        assert [label.get_text() for label in axes.get_yticklabels()] == ["mse 2x3", "gaussian_nll 2x3"]
        assert [bar.get_x() + bar.get_width() for bar in axes.patches] == [2.0, 0.5, 1.5]

    def test_a_picture_of_a_gpu_is_drawn_from_the_csv_alone(self, tmp_path):
        path = tmp_path / "gpu.csv"
        results.append(path, [replace(row, date="2025-01-01T00:00:00+00:00") for row in WON])
        results.append(path, [*WON, *SMALL])
        plot.main.main([str(path)], standalone_mode=False)
        assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        eager, _, graphs, copies = plot.picture(results.newest(path)).axes
        assert [label.get_text() for label in eager.get_yticklabels()] == ["bce_logits 131072x1024", "mse 128x784"]
        assert [bar.get_x() + bar.get_width() for bar in eager.patches] == [6.0, 0.5]
        assert [bar.get_x() + bar.get_width() for bar in graphs.patches] == [0.8, 1.0]
        assert [bar.get_width() for bar in copies.patches] == [0.9]


class TestReadme:
    def test_only_what_is_between_the_markers_changes(self):
        text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
        once = pages.insert(text, "bench", "new")
        assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
        assert pages.insert(once, "bench", "new") == once

    @pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN * 2 + END])
    def test_markers_are_needed(self, text):
        with pytest.raises(ValueError, match="got no single pair"):
            pages.insert(text, "bench", "new")

    def test_the_projects_own_pages_have_them(self):
        parts = {
            "README.md": ("gains",),
            "docs/performance.md": ("bench",),
            "docs/gpu.md": ("gpu", "model", "model-check"),
        }
        for page, names in parts.items():
            text = (ROOT / page).read_text(encoding="utf-8")
            assert all("new" in pages.insert(text, name, "new") for name in names)

    def test_from_the_csvs_to_the_pages(self, tmp_path, monkeypatch):
        monkeypatch.setattr(publish, "_FEW", ("mse 2x3",))
        monkeypatch.setattr(publish, "_FEW_ON_A_GPU", ("bce_logits 131072x1024",))
        monkeypatch.setattr(gains, "GAINS", (gains.Gain("a step", ("mse 2x3",), "because: {ours}"),))
        monkeypatch.setattr(gains, "_LARGE", ("bce_logits 131072x1024",))
        machines = tmp_path / "bench" / "results"
        csv = machines / "cpu" / "cpu.csv"
        results.append(csv, [row(date="2025-01-01T00:00:00+00:00", commit="old"), *WHOLE])
        (tmp_path / "docs").mkdir()
        page, whole, gpu = tmp_path / "README.md", tmp_path / "docs" / "performance.md", tmp_path / "docs" / "gpu.md"
        for written, part in ((page, "gains"), (whole, "bench"), (gpu, "gpu")):
            written.write_text(f"<!-- {part}:begin --><!-- {part}:end -->")
        publish.main.main(["--root", str(tmp_path)], standalone_mode=False)
        every = whole.read_text()
        assert "![Speed-ups](../bench/results/cpu/cpu-few.png)" in every
        assert "(../bench/results/cpu/cpu.png)" in every
        assert ("gaussian_nll" in every, "old" in every) == (True, False)
        assert "| a step | 2.00 |" in page.read_text()
        assert "H100" not in page.read_text()
        assert "No run on a GPU" in gpu.read_text()
        for name in ("cpu-few", "cpu"):
            assert csv.with_name(f"{name}.png").read_bytes().startswith(b"\x89PNG")
        results.append(machines / "some-gpu" / "gpu.csv", WON)
        publish.main.main(["--root", str(tmp_path)], standalone_mode=False)
        assert "cross-entropy, latent and KL | 6.00 |" in page.read_text()
        assert "| bce_logits 131072x1024 | 1 s | 90% | 6.00 |" in gpu.read_text()

    def test_every_name_of_the_few_is_of_a_benchmark(self):
        cpu = {f"{some.op} {some.size}" for some in BENCHMARKS}
        of_ops = {name.removesuffix(", uint8") for shown in op_pages.PAGES.values() for name in shown.cpu}
        of_ops_on_a_gpu = {name for shown in op_pages.PAGES.values() for name in shown.gpu}
        shown = {*publish._FEW, *front._STEPS.values(), *(case for gain in gains.GAINS for case in gain.cases), *of_ops}
        assert {name.removesuffix(" vs sigmoid + BCE") for name in shown} <= cpu
        gpu = {rows(some, fastvae=1.0, copy=1.0)[0].case for size in SIZES for some in benchmarks_of(size)}
        of_gpus = {*publish._FEW_ON_A_GPU, *gains._LARGE, *of_ops_on_a_gpu}
        assert of_gpus <= gpu

    def test_a_row_says_each_ratio_and_the_bytes_of_the_first(self):
        gain = gains.Gain("two", ("mse 2x3", "gaussian_nll 2x3"), "{ours}, {eager}")
        lines = {line.name: line for line in table.comparisons(WHOLE)}
        assert gains._row(gain, [lines[case] for case in gain.cases]) == (
            "two", "2.00, **0.50**", "1.50, not measured", "2.4e-05 MB, 2.4e-05 MB",
        )  # fmt: skip

    def test_near_the_prior_the_textbook_is_far_off(self):
        _, said, *_ = gains.near_the_prior()
        ours, textbook = map(float, re.fullmatch("error (.*), not (.*)", said).groups())
        # A KL of some 1e-5 nats, of terms near 1 that are rounded to 6e-8; the op is held to a few roundings.
        assert ours < 1e-6
        assert textbook > 1e-3

    def test_the_picture_of_the_front(self, tmp_path):
        run, out = tmp_path / "run", tmp_path / "front.png"
        with without_pictures():
            assert fastvae("train", *TINY, "--epochs", 1, "--latent-dim", 2, "--out", run).code == 0
        front.main.main(["--run", str(run), "--out", str(out)], standalone_mode=False)
        assert out.read_bytes().startswith(b"\x89PNG")
        figure = front.picture(run, results.newest(results.latest_file()))
        digits, latent, _ = figure.axes
        # Ten of 8 pixels a side, with a pixel about each, enlarged by 4, and a gap between them.
        assert digits.get_images()[0].get_array().shape == (10 * 40 + 9, 10 * 40 + 9)
        assert [text.get_text() for text in latent.texts] == [str(digit) for digit in range(10)]

    def test_the_picture_of_the_front_needs_no_row_but_what_is_there(self):
        axes = Figure().subplots()
        front._steps(axes, [replace(one, op="mlp_step", size="128x1x28x28", mode="step") for one in WHOLE[:3]])
        assert [label.get_text() for label in axes.get_yticklabels()] == ["MLP"]
        assert [bar.get_width() for bar in axes.patches] == [1, 0.5]


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

    def test_a_loop_of_its_own_is_said(self):
        assert report.line([row(), row(provider="eager", ratio=2.4, alone_ratio=3.1)]).endswith(
            "eager 2.40x, alone 3.10x"
        )

    def test_what_is_missed_is_named_at_the_end(self):
        first, *missed = report.summary(
            [
                row(max_peak_bytes=20),
                row(provider="eager", ratio=2.4, must=2.5, max_peak_bytes=None),
                row(provider="compile", ratio=3.0, must=3.0, max_peak_bytes=None),
            ]
        )
        assert first == "1 of 2 speeds hold, 0 of 1 bounds"
        assert missed == [
            "missed: warm T1 mse 2x3 eager: 2.4, must 2.5",
            "too many: warm T1 mse 2x3: 24 bytes, at most 20",
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
        check = "import sys, bench.run, bench.cpu.worker; sys.exit('matplotlib' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
