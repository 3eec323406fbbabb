"""The reproductions: their table, what is judged, and the page, which says what was kept and nothing else."""

import json

import pytest

from bench.reproductions import __main__ as command
from bench.reproductions import quadrants, runs, tasks
from bench.reproductions.document import Page
from bench.reproductions.judging import Above, Below, Within, grows, judged, verdict
from bench.reproductions.keeping import Shelf
from tests.bench.kept_results import CPU, epoch, keep_file, keep_note, keep_run

RUNS = [run for write_up in runs.WRITE_UPS for run in write_up.runs]


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "numbers", tmp_path / "docs" / "pictures")


def page(shelf):
    return Page(shelf, shelf.pictures.parent).text()


def row(shelf, options, figure):
    """The cells of a figure in the main table."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page(shelf).splitlines() if "|" in line]
    start = next(index for index, cells in enumerate(lines) if cells[1] == f"`{options}`")
    cells = next(cells for cells in lines[start:] if cells[2] == figure)
    return dict(zip(lines[0], cells, strict=True))


class TestTable:
    @pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
    def test_options_are_those_of_a_valid_config(self, run):
        config = runs.resolved(run)
        assert config.data == "mnist"
        assert run.name.startswith(config.preset)

    def test_names_are_folders_of_their_own(self):
        names = [task.name for task in tasks.all_tasks()]
        assert len(set(names)) == len(names)

    def test_what_must_grow_is_a_figure_of_its_runs(self):
        for write_up in runs.WRITE_UPS:
            figures = {(run.name, figure.name) for run in write_up.runs for figure in run.figures}
            for order in write_up.orders:
                assert {(name, order.figure) for name in order.runs} <= figures

    def test_pictures_do_not_overwrite_each_other(self):
        names = [picture.name for task in tasks.all_tasks() for picture in task.pictures]
        assert len(set(names)) == len(names)


class TestJudging:
    @pytest.mark.parametrize(
        ("must", "good", "bad"),
        [
            (Above(-158.0), -157.9, -158.1),
            (Below(106.2), 106.1, 106.3),
            (Within(1.5, 139.1), 140.5, 140.7),
            (Within(1.5, 139.1), 137.7, 137.5),
        ],
    )
    def test_bounds_hold_and_do_not(self, must, good, bad):
        assert verdict(judged(must, good)) == "holds"
        assert verdict(judged(must, bad)) == "does not hold"
        assert verdict(judged(must, None)) == "not run"

    @pytest.mark.parametrize("must", [Above(1.0), Below(1.0), Within(0.0, 1.0)])
    def test_a_diverged_run_keeps_no_bound(self, must):
        assert judged(must, float("nan")) is False

    @pytest.mark.parametrize(
        ("values", "holds"),
        [((1.0, 2.0, 3.0), True), ((1.0, 3.0, 2.0), False), ((1.0, 1.0, 2.0), False), ((1.0, None, 0.0), None)],
    )
    def test_orders(self, values, holds):
        assert grows(values) is holds


class TestPage:
    def test_nothing_kept_is_not_run(self, shelf):
        said = page(shelf)
        assert row(shelf, "--preset s3", "test ELBO") == {
            "write-up": "S3", "`fastvae train`": "`--preset s3`", "figure": "test ELBO",
            "must": "above -158: not run", "published": "-156.81", "plain PyTorch": "not run", "fastvae": "not run",
            "time, plain PyTorch": "not run", "time, fastvae": "not run",
        }  # fmt: skip
        assert "holds" not in said
        assert "does not hold" not in said
        assert said.split("### Quadrants")[1].startswith("\n\nNot run.")
        assert said.split("### Segmentation")[1].split("## S3")[0].count("not run") == 2 * 5

    @pytest.mark.parametrize(("elbo", "said"), [(-157.0, "holds"), (-159.0, "does not hold")])
    def test_the_last_epoch_is_shown_and_judged(self, shelf, elbo, said):
        keep_run(shelf, "s3", epoch(1, test_elbo=-200.0, seconds=50.0), epoch(2, test_elbo=elbo, seconds=90.0))
        keep_run(shelf, "s3-plain", epoch(1, test_elbo=-156.5, seconds=30.0))
        found = row(shelf, "--preset s3", "test ELBO")
        assert found["must"] == f"above -158: {said}"
        assert (found["plain PyTorch"], found["fastvae"]) == ("-156.50", f"{elbo:.2f}")
        assert (found["time, plain PyTorch"], found["time, fastvae"]) == ("30 s", "1.5 min")

    @pytest.mark.parametrize(("errors", "said"), [((30.0, 35.0, 40.0), "holds"), ((30.0, 45.0, 40.0), "does not hold")])
    def test_s1_is_judged_over_its_runs(self, shelf, errors, said):
        for beta, error, kl in zip((0.1, 1, 3), errors, (9.0, 6.0, 4.0), strict=True):
            keep_run(shelf, f"s1-beta-{beta}", epoch(test_loss=error + beta * kl, test_kl=kl))
        found = row(shelf, "--preset s1 --beta 1", "test squared error")
        assert (found["fastvae"], found["must"]) == (f"{errors[1]:.2f}", f"rises with beta: {said}")
        assert row(shelf, "--preset s1 --beta 3", "test KL")["must"] == "falls with beta: holds"

    def test_iwae_says_that_it_is_a_shorter_run(self, shelf):
        evaluation = {"log_likelihood": -91.25, "log_likelihood_standard_error": 0.5, "num_samples": 700}
        keep_run(shelf, "iwae-5", epoch(1), epoch(2, test_loss=93.0), evaluation=evaluation)
        keep_run(shelf, "iwae-50-short", epoch(1, test_loss=92.0))
        said = page(shelf)
        assert "| 5 | 2 | -93.00 | 91.25 | 0.50 | 700 | 85.54 |" in said
        assert "| 50 | 1 | -92.00 | not run | not run | not run | 84.78 |" in said
        assert "| iwae-1 | not run | not run | not run | not run | not run | 86.76 |" in said
        assert row(shelf, "--preset iwae --train-samples 5", "test NLL")["plain PyTorch"] == ""

    def test_machine_versions_days_and_notes(self, shelf):
        keep_run(shelf, "s3", epoch(), note="Other work ran.")
        keep_run(shelf, "s5", epoch(), note="Other work ran.")
        keep_note(shelf, "s1", finished="2026-01-05")
        said = page(shelf)
        assert f"{CPU}, 1 thread, " in said
        assert "torch " in said
        assert "finished 2026-01-02 to 2026-01-05." in said
        assert "s3, s5: Other work ran." in said

    def test_only_pictures_that_are_there_are_shown(self, shelf):
        keep_run(shelf, "s3", epoch())
        assert "](pictures/" not in page(shelf)
        shelf.pictures.mkdir(parents=True)
        (shelf.pictures / "s3-manifold.png").touch()
        assert "![The latent plane at normal quantiles](pictures/s3-manifold.png)" in page(shelf)

    def test_comparison_and_segmentation(self, shelf):
        keep_file(shelf, "s1", "comparison.csv", "run,test_kl,epochs\ns1-beta-1,6.1234,30\n")
        found = {"accuracy": 92.136, "iou": 79.2, "nll": 117.5, "standard_error": 2.534}
        metrics = {"seconds": 90.0, "whole": found, "blocks_omitted": found | {"iou": 72.0}}
        keep_file(shelf, "segmentation-plain", "metrics.json", json.dumps(metrics))
        said = page(shelf)
        assert "| run | test kl | epochs |\n|---|---:|---:|\n| s1-beta-1 | 6.12 | 30 |" in said
        assert "(`--plain`) | whole | 92.14 | 79.20 | 117.50 ± 2.53 | 1.5 min |" in said
        assert "| blocks omitted | 92.14 | 72.00 | 117.50 ± 2.53 | 1.5 min |" in said

    def test_the_committed_page_is_that_of_the_kept_results(self):
        said = (command.DOCS / "reproductions.md").read_text(encoding="utf-8")
        assert said == Page(command.SHELF, command.DOCS).text()


HEADER = "quadrants,model,method,negative_log_likelihood,standard_error,training_seconds,seconds\n"


def quadrants_of(tmp_path, training=120, **changes):
    """The published table, and `changes` to 1 quadrant's; three models trained for so many seconds."""
    published = {"baseline": 99.8, "gsnn": 99.8, "monte_carlo": 68.4, "importance": 63.9} | changes
    lines = [
        f"1,baseline,exact,{published['baseline']},0.1,{training},60",
        f"1,gsnn,monte_carlo,{published['gsnn']},0.1,{training},60",
        f"1,cvae,monte_carlo,{published['monte_carlo']},0.1,{training},60",
        f"1,cvae,importance,{published['importance']},0.1,{training},60",
    ]
    (tmp_path / "table.csv").write_text(HEADER + "\n".join(lines) + "\n")
    return quadrants.read(tmp_path / "table.csv")


class TestQuadrants:
    def test_a_line_for_each_model_and_method(self, tmp_path):
        said = quadrants.table(quadrants_of(tmp_path))
        assert "| model | method | 1 quadrant | 2 quadrants | 3 quadrants | training | estimate |" in said
        assert "| cvae | importance | 63.90 ± 0.10 (63.9) | not run | not run | 2.0 min | 1.0 min |" in said
        assert "| baseline | exact | 99.80 ± 0.10 (99.8) | not run | not run | 2.0 min | 1.0 min |" in said

    @pytest.mark.parametrize(
        ("changes", "order", "gain"),
        [
            ({}, "holds", "35.90, holds"),
            ({"importance": 69.0}, "does not hold", "30.80, holds"),
            ({"importance": 80.0, "monte_carlo": 81.0}, "holds", "19.80, does not hold"),
            ({"gsnn": 60.0}, "does not hold", "35.90, holds"),
        ],
    )
    def test_ordering_and_gain(self, tmp_path, changes, order, gain):
        first, second, third, last, _ = quadrants.verdicts(quadrants_of(tmp_path, **changes))
        assert first.endswith(f": {order}")
        assert second.endswith(": not run")
        assert third.endswith(": not run")
        assert last.endswith(f": {gain}")

    def test_a_missing_model_is_not_judged(self, tmp_path):
        rows = [row for row in quadrants_of(tmp_path) if row.model != "baseline"]
        *judged, _ = quadrants.verdicts(rows)
        assert all(line.endswith(": not run") for line in judged)

    # Four estimates of a minute each.
    @pytest.mark.parametrize(("training", "said"), [(600, "34.0 min, holds"), (900, "49.0 min, does not hold")])
    def test_training_is_counted_once_a_model(self, tmp_path, training, said):
        *_, last = quadrants.verdicts(quadrants_of(tmp_path, training=training))
        assert last == f"training and estimates within 40 minutes: {said}"

    def test_the_page_shows_it(self, tmp_path, shelf):
        quadrants_of(tmp_path)
        keep_file(shelf, "quadrants", "table.csv", (tmp_path / "table.csv").read_text())
        assert "- 1 given, CVAE (importance) at least 28 nats below the baseline: 35.90, holds" in page(shelf)
