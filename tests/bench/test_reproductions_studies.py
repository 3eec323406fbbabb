"""The sections of the page on drawn sprites and simulated counts: kept figures, and nothing else."""

import json

import pytest

from bench.reproductions import runs, tasks
from bench.reproductions.counts.section import counts
from bench.reproductions.counts.simulation import DROPOUT, simulate
from bench.reproductions.keeping import Shelf
from bench.reproductions.sprites.drawing import FACTORS, SIDE, grid
from bench.reproductions.sprites.section import sprites
from tests.bench.kept_results import keep_file

SEEDS = len(tasks.SEEDS)
SPRITE_RUNS = [(kind, seed) for kind in tasks.SPRITES for seed in tasks.SEEDS]


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "numbers", tmp_path / "pictures")


def keep(shelf, name, **metrics):
    keep_file(shelf, name, "metrics.json", json.dumps(metrics))


def keep_sprites(shelf, kind, seed, gap, **changes):
    gaps = {factor.name: gap for factor in FACTORS} | {"shape": 0.125}
    metrics = {"reconstruction": 50.0, "kl": 8.0, "total_correlation": 0.25, "gaps": gaps, "seconds": 120.0}
    keep(shelf, f"sprites-{kind}-{seed}", **metrics, steps=1200, losses=[9.0, 8.0, 7.0], epochs=3, **changes)


def keep_counts(shelf, name, log_likelihood):
    keep(
        shelf, f"counts-{name}", elbo=log_likelihood - 3, kl=7.0, log_likelihood=log_likelihood, seconds=10.0,
        log_likelihood_standard_error=8.0, neighbours=0.5, neighbours_of_components=0.25, steps=500,
    )  # fmt: skip


def lines(section):
    return "\n\n".join(section).splitlines()


def test_nothing_kept_is_not_run(shelf):
    for section in (sprites, counts):
        said = lines(section(None, shelf.numbers))
        assert not any("holds" in line or "does not hold" in line for line in said)
        tables = [line for line in said if line.startswith("| ") and "---" not in line]
        assert sum("not run" in line for line in tables) == len(tables) - 2


class TestSprites:
    @pytest.mark.parametrize(
        ("gap", "said"),
        [
            (0.75, f"holds; seed by seed, in {SEEDS} of {SEEDS}"),
            (0.25, f"does not hold; seed by seed, in 0 of {SEEDS}"),
        ],
    )
    def test_the_paper_s_mean_leaves_out_the_shape_and_is_judged(self, shelf, gap, said):
        for kind, seed in SPRITE_RUNS:
            keep_sprites(shelf, kind, seed, gap if kind == "tc" else 0.5)
        found = lines(sprites(None, shelf.numbers))
        beta, seed = tasks.SPRITES["tc"], tasks.SEEDS[0]
        gaps = " | ".join(["0.12", *[f"{gap:.2f}"] * 5])
        assert f"| beta-TC-VAE | {beta} | {seed} | 50.00 | 8.00 | 0.25 | {gaps} | 2.0 min |" in found
        assert any(line.endswith(f"is above that of the beta-VAE: {said}.") for line in found)

    def test_one_seed_may_say_otherwise_than_their_mean(self, shelf):
        for kind, seed in SPRITE_RUNS:
            keep_sprites(shelf, kind, seed, 0.5)
        keep_sprites(shelf, "tc", tasks.SEEDS[0], 0.75)
        assert any(
            line.endswith(f"holds; seed by seed, in 1 of {SEEDS}.") for line in lines(sprites(None, shelf.numbers))
        )

    def test_factors_that_no_run_has_found_are_named(self, shelf):
        for kind, seed in SPRITE_RUNS:
            keep_sprites(shelf, kind, seed, 0.01)
        said = "With a gap below 0.05 in every run, these factors have no latent of their own: "
        assert f"{said}scale, rotation, x, y." in lines(sprites(None, shelf.numbers))
        keep_sprites(shelf, *SPRITE_RUNS[0], 0.5)
        assert not any(line.startswith(said) for line in lines(sprites(None, shelf.numbers)))

    def test_a_missing_seed_is_not_judged(self, shelf):
        for kind, seed in SPRITE_RUNS[:-1]:
            keep_sprites(shelf, kind, seed, 0.5)
        assert any(line.endswith("that of the beta-VAE: not run.") for line in lines(sprites(None, shelf.numbers)))

    def test_times_are_of_a_step_and_losses_of_the_same_epoch(self, shelf):
        keep_sprites(shelf, "tc", tasks.SEEDS[0], 0.5)
        keep(shelf, "sprites-tc-plain", seconds=48.0, steps=24, epochs=2, losses=[9.5, 8.5])
        found = lines(sprites(None, shelf.numbers))
        assert "| plain PyTorch | 24 | 2 s | 8.50 (epoch 2) |" in found
        assert "| fastvae | 1200 | 100 ms | 8.00 (epoch 2) |" in found


class TestCounts:
    @pytest.mark.parametrize(("last", "said"), [(-80.0, "holds"), (-120.0, "does not hold")])
    def test_the_order_is_judged_for_each_seed(self, shelf, last, said):
        for name, value in (("poisson", -100.0), ("nb", -90.0), ("zinb", last)):
            keep_counts(shelf, f"{name}-{tasks.SEEDS[0]}", value)
        found = lines(counts(None, shelf.numbers))
        assert f"| negative binomial | {tasks.SEEDS[0]} | -93.00 | 7.00 | -90.00 ± 8.00 | 50.0 | 25.0 | 10 s |" in found
        verdicts = [line.rsplit(": ", 1)[1] for line in found if "as the counts were made" in line]
        assert verdicts == [said, *["not run"] * (SEEDS - 1)]

    def test_plain_pytorch_stands_beside_the_first_seed(self, shelf):
        keep_counts(shelf, f"nb-{tasks.SEEDS[0]}", -90.0)
        keep_counts(shelf, "nb-plain", -91.0)
        found = lines(counts(None, shelf.numbers))
        assert "| negative binomial | -91.00 | -90.00 | 20 ms | 20 ms |" in found


def test_the_page_says_what_the_data_are():
    said = {write_up.name: write_up.text for write_up in runs.WRITE_UPS}
    shape, scale, rotation, x, y = (len(factor.values) for factor in FACTORS)
    assert f"on {len(grid()):,} images of {SIDE} x {SIDE} pixels" in said["beta-TC-VAE"]
    assert (shape, x, y) == (3, 10, 10)
    assert f"in {scale} sizes, {rotation} rotations, and {x} positions each way" in said["beta-TC-VAE"]
    cells = simulate.__defaults__
    assert "{:,} cells of eight types, two and two alike, {:,} genes".format(*cells) in said["scVI"]
    least, most = (round(100 * share) for share in DROPOUT)
    assert f"of which {least}% to {most}%, by gene, are lost" in said["scVI"]


def test_each_run_has_a_folder_and_is_a_command_of_its_study():
    names = {task.name: task for task in tasks.all_tasks()}
    for kind, seed in SPRITE_RUNS:
        (command,) = names[f"sprites-{kind}-{seed}"].commands
        assert command.words[:3] == ("python", "-m", "bench.reproductions.sprites")
        assert command.words[-2:] == ("--out", "{folder}")
    assert "--plain" in names["counts-zinb-plain"].commands[0].words
