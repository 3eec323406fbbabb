"""Write the newest results into the pages: ``python -m bench.publish``.

All of them into docs/performance.md and docs/gpu.md, those of an op into its page in docs/ops, and what is gained where
into README.md.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

import click

from bench import ROOT, gains, op_pages, pages, plot, table
from bench.proofs.sm_model import pages as predictions
from bench.proofs.sm_model.results import FILE
from bench.results import latest_file, newest

# What is drawn large enough to be read in a page: steps, and one size of each op.
_FEW: Final = (
    "mlp_step 128x1x28x28",
    "mlp_step 128x1x28x28 vs sigmoid + BCE",
    "conv_step 64x3x64x64",
    "scvi_step 128x2000",
    "mixture_step 128x784",
    "beta_tc_step 1024x784",
    "elbo 4096x784+4096x20",
    "bce_logits 4096x784",
    "mse 4096x784",
    "gaussian_nll 4096x784",
    "reparameterize_kl_packed 128x20",
    "total_correlation 1024x10",
    "zero_inflated_negative_binomial 128x20000",
    "log_normal_mixture 500x40+128x40",
)
_FEW_ON_A_GPU: Final = (
    "bce_logits 131072x1024",
    "mse 131072x1024",
    "reparameterize_kl_packed 65536x1024",
    "reparameterize_kl_packed 65536x1024, bf16",
    "bce_logits 4096x784",
    "elbo 128x784+128x20",
    "elbo 4096x784+4096x128",
    "total_correlation 2048x32",
)
_NO_GPU: Final = "No run on a GPU has been recorded: nothing is claimed about speed on one."


def results(csv: Path, names: Collection[str], page: Path) -> str:
    """The pictures of a device, a few rows and all of them, and its table."""
    rows = newest(csv)
    few, whole = csv.with_name(f"{csv.stem}-few.png"), csv.with_suffix(".png")
    plot.save(plot.few(rows, names), few)
    plot.save(plot.picture(rows), whole)
    every = Path(os.path.relpath(whole, page.parent)).as_posix()
    shown = Path(os.path.relpath(few, page.parent)).as_posix()
    return f"![Speed-ups]({shown})\n\n[Every row as a picture]({every})\n\n{table.markdown(rows)}"


@click.command()
@click.argument("csv", type=click.Path(path_type=Path), required=False)
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), default=ROOT, help="[default: the checkout]")
def main(csv: Path | None, root: Path) -> None:
    """Write CSV, by default of the CPU measured last, and what GPUs are to take and took into the pages below ROOT."""
    kept, readme, docs = root / "bench" / "results", root / "README.md", root / "docs"
    performance, gpu = docs / "performance.md", docs / "gpu.md"
    try:
        cpu = (csv or latest_file(kept)).resolve()
        gpus = sorted(kept.glob("*/gpu.csv"))
        pages.write(performance, {"bench": results(cpu, _FEW, performance)})
        pages.write(gpu, {"gpu": "\n\n".join(results(one, _FEW_ON_A_GPU, gpu) for one in gpus) or _NO_GPU})
        pages.write(readme, {"gains": gains.table(newest(cpu), [newest(one) for one in gpus])})
        if (docs / "ops").exists():
            for name, parts in op_pages.current(cpu, kept):
                pages.write(docs / "ops" / name, parts)
        if (kept / "offline" / FILE).exists():
            predictions.write(kept / "offline", kept, gpu)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for page in (readme, performance, gpu, *sorted((docs / "ops").glob("*.md"))):
        click.echo(str(page))


if __name__ == "__main__":
    main()
