"""Every public name is described on the site, each op on a page that shows the results that there are."""

from __future__ import annotations

import pkgutil
import re
from types import ModuleType

import pytest

import fastvae
from bench import op_pages
from bench.results import latest_file
from fastvae import functional, losses, modules, plots
from tests.docs.pages import FENCES, PAGES, ROOT

OPS = {name: text for name, text in PAGES.items() if name.startswith("docs/ops/")}
INDEX = "docs/ops/index.md"


def test_every_function_is_documented_once_and_listed() -> None:
    described = re.findall(r"^::: fastvae\.functional\.(?:\w+\.)?(\w+)$", "\n".join(OPS.values()), re.MULTILINE)
    assert sorted(described) == sorted(functional.__all__)
    listed = dict(re.findall(r"^\| \[`(\w+)`\]\((\w+\.md)\)", OPS[INDEX], re.MULTILINE))
    assert sorted(listed) == sorted(functional.__all__)
    for function, page in listed.items():
        assert re.search(rf"^::: fastvae\.functional\.(\w+\.)?{function}$", OPS[f"docs/ops/{page}"], re.MULTILINE)


def test_every_public_name_is_described() -> None:
    named = re.findall(r"^::: ([\w.]+)$", "\n".join(PAGES.values()), re.MULTILINE)
    described = [pkgutil.resolve_name(name) for name in named]
    assert not [name for name, value in zip(named, described, strict=True) if isinstance(value, ModuleType)]
    public = [(module, name) for module in (fastvae, losses, modules, plots) for name in module.__all__]
    values = {f"{module.__name__}.{name}": getattr(module, name) for module, name in public}
    values |= {"fastvae.fit": fastvae.fit, "fastvae.load": fastvae.load}
    missing = [name for name, value in values.items() if not isinstance(value, ModuleType) and value not in described]
    assert not missing


@pytest.mark.parametrize("page", sorted(OPS.keys() - {INDEX}))
def test_a_page_holds_its_op_to_torch(page: str) -> None:
    """That the comparison holds is for `test_pages`."""
    assert "assert_close(" in FENCES[page][0]
    assert "$$" in PAGES[page]


def test_the_results_of_the_pages_are_the_newest() -> None:
    """If not: python -m bench.publish."""
    for name, parts in op_pages.current(latest_file(), ROOT / "bench" / "results"):
        for part, between in parts.items():
            assert f"<!-- {part}:begin -->\n{between}\n<!-- {part}:end -->" in OPS[f"docs/ops/{name}"]
    marked = {name.removesuffix(".md").removeprefix("docs/ops/") for name, text in OPS.items() if ":begin -->" in text}
    assert marked == set(op_pages.PAGES)
