"""What each op costs a GPU, without one: ``python -m bench.traffic_report``.

Bytes and kernel launches of eager PyTorch, of the Triton code that torch.compile would generate, and of fastvae.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from subprocess import CalledProcessError
from typing import Final

import click

from bench.pages import table
from bench.proofs.traffic import one_provider
from bench.proofs.traffic.counts import Row

_HEADER: Final = (
    "op", "size", "dtype", *(f"{provider} B/element" for provider in one_provider.PROVIDERS),
    "inductor / fastvae", "eager / fastvae", *(f"{provider} launches" for provider in one_provider.PROVIDERS),
)  # fmt: skip
_NOTE: Final = (
    "Forward and backward together, launches of each; an element is a pixel, or a latent where there are no pixels. "
    "A kernel reads and writes each address once. The gradient of z is dense, that of the loss is 1."
)


def markdown(rows: Sequence[Row]) -> str:
    """The table, one line for each workload."""
    workloads = dict.fromkeys((row.op, row.size, row.dtype) for row in rows)
    lines = [_line([row for row in rows if (row.op, row.size, row.dtype) == workload]) for workload in workloads]
    return f"{table(_HEADER, lines, text_columns=3)}\n\n{_NOTE}"


def _line(rows: Sequence[Row]) -> list[str]:
    by_provider = {row.provider: row for row in rows}
    ordered = [by_provider[provider] for provider in one_provider.PROVIDERS]
    eager, inductor, ours = (row.bytes_per_element for row in ordered)
    return [
        ordered[0].op,
        ordered[0].size,
        ordered[0].dtype,
        *(f"{row.bytes_per_element:.1f}" for row in ordered),
        f"{inductor / ours:.2f}",
        f"{eager / ours:.2f}",
        *(f"{row.forward_launches} + {row.backward_launches}" for row in ordered),
    ]


def _counted(provider: str) -> list[Row]:
    try:
        return one_provider.rows(provider)
    except CalledProcessError as error:
        raise click.ClickException(f"the worker for {provider} ended with {error.returncode}") from error


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print the rows for a program instead of the table.")
def main(as_json: bool) -> None:
    """Count the bytes and the kernel launches of every op on a GPU. Needs none."""
    rows = [row for provider in one_provider.PROVIDERS for row in _counted(provider)]
    click.echo(json.dumps([asdict(row) for row in rows], indent=1) if as_json else markdown(rows))


if __name__ == "__main__":
    main()
