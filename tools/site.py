"""What mkdocs does beside its plugins: pages from the repository's root, links out of docs/, formulas without a script.

The same text is read on the site and in the repository. The README is the home page. A link to a picture outside docs/
brings the picture along; one to another file outside is only its text, since the site does not say where the repository
is. The page of the command line is what its `--help` prints. Formulas between dollars become MathML, which browsers
draw by themselves.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from fastvae.train.commands import cli

ROOT: Final = Path(__file__).parent.parent
OF_THE_ROOT: Final = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
_PAGES: Final = {source: page for page, source in OF_THE_ROOT.items()}
_LINK: Final = re.compile(
    r"(?P<picture>!?)\[(?P<text>(?:`[^`]*`|[^\]`])*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)"
)
_FENCE: Final = re.compile(r"(^ *```.*?^ *```)", re.MULTILINE | re.DOTALL)
_PICTURES: Final = (".png", ".gif", ".svg")
_MATH: Final = re.compile(r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository's root, and the pictures outside docs/ that pages show."""
    for page, source in OF_THE_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "commands.md", content="\n".join(_commands())))
    for file in list(files.documentation_pages()):
        for link in _LINK.finditer(file.content_string):
            target = _in_repository(file.src_uri, link["target"])
            picture = target.endswith(_PICTURES) and not target.startswith("docs/") and (ROOT / target).exists()
            if picture and files.get_file_from_path(target) is None:
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links of a page to where their targets are on the site."""
    here = page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        target = _in_repository(here, link["target"])
        on_site = _PAGES.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(on_site) is not None:
            place = posixpath.relpath(on_site, posixpath.dirname(here) or ".")
            return f"{link['picture']}[{link['text']}]({place}{link['anchor'] or ''})"
        return link["text"] if (ROOT / target).exists() else link[0]

    parts = _FENCE.split(markdown)
    return "".join(part if index % 2 else _LINK.sub(moved, part) for index, part in enumerate(parts))


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make MathML of the formulas.

    Raises:
        PluginError: a command that latex2mathml leaves as it is.
    """

    def drawn(match: re.Match[str]) -> str:
        latex = html.unescape(match["latex"])
        formula = convert(latex, display="block" if match["tag"] == "div" else "inline")
        if "\\" in formula:
            raise PluginError(f"{page.file.src_uri}: got the formula {latex!r}; takes commands of latex2mathml")
        return formula

    return _MATH.sub(drawn, content)


def _commands() -> Iterator[str]:
    """The page of the command line: what each command says of itself."""
    yield "# Command line\n"
    group = click.Context(cli, info_name="fastvae", terminal_width=100)
    yield f"```text\n{cli.get_help(group)}\n```\n"
    for name in cli.list_commands(group):
        command = cli.get_command(group, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=group, terminal_width=100)
        yield f"## fastvae {name}\n\n```text\n{command.get_help(context)}\n```\n"


def _in_repository(page: str, target: str) -> str:
    """The path in the repository of what a page of the site links to."""
    source = OF_THE_ROOT.get(page, f"docs/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
