"""Write the newest run's picture and table into the README: ``python -m bench.readme``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from bench import ROOT, plot, table
from bench.results import Row, latest_file, newest

BEGIN: Final = "<!-- bench:begin -->"
END: Final = "<!-- bench:end -->"


def insert(text: str, between: str) -> str:
    """`text` with what stands between its two markers replaced.

    Raises:
        ValueError: it has not exactly one of each, in their order.
    """
    if (text.count(BEGIN), text.count(END)) != (1, 1) or text.index(BEGIN) > text.index(END):
        raise ValueError(f"README: got no single pair of {BEGIN} and {END}; takes one of each")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{between}\n{END}{after}"


@click.command()
@click.argument("csv", type=click.Path(path_type=Path), required=False)
@click.option("--readme", type=click.Path(path_type=Path), default=ROOT / "README.md", help="[default: README.md]")
def main(csv: Path | None, readme: Path) -> None:
    """Write the newest run of CSV, by default of the machine measured last, into the README."""
    try:
        path = (csv or latest_file()).resolve()
        rows = newest(path, Row)
        picture, *_ = plot.draw(path, rows, threads=1, regime="warm")
        where = picture.relative_to(readme.resolve().parent)
        text = insert(readme.read_text(encoding="utf-8"), f"![Speed-ups]({where})\n\n{table.markdown(rows)}")
        readme.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(readme))


if __name__ == "__main__":
    main()
