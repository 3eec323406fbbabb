"""Write the newest results into the pages: ``python -m bench.readme``.

A few rows into README.md, all of them into docs/performance.md and docs/gpu.md, an op's own into its page in docs/ops.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from bench import ROOT, op_pages, pages, plot, table
from bench.proofs.sm_model import pages as predictions
from bench.proofs.sm_model.results import FILE
from bench.results import Row, latest_file, newest

# What a reader of the README is most likely to run, and where fastvae gains least: small batches, whole steps.
_FEW: Final = (
    "bce_logits 4096x784",
    "mse 4096x784",
    "reparameterize_kl_packed 128x20",
    "elbo 4096x784+4096x20",
    "total_correlation 1024x10",
    "zero_inflated_negative_binomial 128x20000",
    "beta_tc_step 1024x784",
    "scvi_step 128x2000",
    "mlp_step 128x1x28x28",
    "mlp_step 128x1x28x28 vs sigmoid + BCE",
    "conv_step 64x3x64x64",
    "conv_step 64x3x64x64 vs sigmoid + BCE",
)
_FEW_ON_A_GPU: Final = (
    "bce_logits 131072x1024",
    "reparameterize_kl 65536x1024",
    "reparameterize_kl_packed 65536x1024, bf16",
    "elbo 128x784+128x20",
    "conv_step 4096x1x28x28, bf16",
)
_COLUMNS: Final = frozenset(
    ("time", "eager", "compile", "alone_eager", "alone_compile", "graph", "graph_eager", "graph_compile")
)
_NO_GPU: Final = "No run on a GPU has been recorded: nothing is claimed about speed on one."


def cpu(csv: Path, readme: Path, page: Path) -> None:
    """The pictures and the tables of a CPU, a few rows and all of them."""
    rows = newest(csv)
    few, whole = csv.with_name("few.png"), csv.with_suffix(".png")
    plot.save(plot.few(rows, _FEW), few)
    plot.save(plot.picture(rows), whole)
    short = table.markdown(rows, names=_FEW, columns=_COLUMNS)
    pages.write(readme, {"bench": f"{_image('Speed-ups', few, readme)}\n\n{short}"})
    pages.write(page, {"bench": f"{_image('Speed-ups of every op', whole, page)}\n\n{table.markdown(rows)}"})


def gpus(results: Path, readme: Path, page: Path) -> None:
    """The pictures and the tables of every GPU that there is a ``gpu.csv`` of below `results`."""
    few, whole = [], []
    for csv in sorted(results.glob("*/gpu.csv")):
        rows, picture = newest(csv), csv.with_suffix(".png")
        plot.save(plot.picture(rows), picture)
        few.append(table.markdown(rows, names=_FEW_ON_A_GPU, columns=_COLUMNS))
        whole += [_image("Speed-ups of every op", picture, page), table.markdown(rows)]
    pages.write(readme, {"gpu": "\n\n".join(few) or _NO_GPU})
    pages.write(page, {"gpu": "\n\n".join(whole) or _NO_GPU})


def newest_gpu(results: Path) -> list[Row]:
    """The rows of the GPU below `results` that was measured last."""
    gpus = [newest(csv) for csv in sorted(results.glob("*/gpu.csv"))]
    return max(gpus, key=lambda rows: max(row.date for row in rows))


def ops(csv: Path, results: Path, folder: Path) -> None:
    """The rows of each op, of a CPU and of the GPU that was measured last, into its page."""
    traffic = (results / "offline" / "traffic.md").read_text(encoding="utf-8")
    op_pages.write(folder, newest(csv), newest_gpu(results), traffic)


def _image(caption: str, picture: Path, page: Path) -> str:
    return f"![{caption}]({Path(os.path.relpath(picture, page.parent)).as_posix()})"


@click.command()
@click.argument("csv", type=click.Path(path_type=Path), required=False)
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=ROOT, help="[default: the checkout]")
def main(csv: Path | None, root: Path) -> None:
    """Write CSV, by default of the CPU measured last, and what GPUs are to take and took into the pages below ROOT."""
    results, readme, docs = root / "bench" / "results", root / "README.md", root / "docs"
    try:
        csv = (csv or latest_file(results)).resolve()
        cpu(csv, readme, docs / "performance.md")
        gpus(results, readme, docs / "gpu.md")
        if (results / "offline" / FILE).exists():
            predictions.write(results / "offline", results, docs / "gpu.md")
        if (docs / "ops").exists():
            ops(csv, results, docs / "ops")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for page in (readme, docs / "performance.md", docs / "gpu.md", *sorted((docs / "ops").glob("*.md"))):
        click.echo(str(page))


if __name__ == "__main__":
    main()
