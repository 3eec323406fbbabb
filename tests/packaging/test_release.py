"""What a release is made of agrees: versions, locks, workflows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench import ROOT
from tools import lock

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()[1:]]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STEPS = sorted(lock.FOLDER.glob("*.txt"))


def versions(path: Path) -> dict[str, set[str]]:
    """The versions of each package in a lock, one a marker."""
    found: dict[str, set[str]] = {}
    for entry in lock.entries(path.read_text(encoding="utf-8")):
        name, version = entry.split("==")
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def actions(node: Any) -> list[str]:
    """What a workflow uses, however deep."""
    if isinstance(node, list):
        return [use for each in node for use in actions(each)]
    if not isinstance(node, dict):
        return []
    return [use for key, each in node.items() for use in ([each] if key == "uses" else actions(each))]


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == PROJECT["project"]["version"]
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", heading) for heading in headings[1:])


def test_the_lock_has_the_versions_of_the_constraints() -> None:
    locked = {name: found for step in STEPS for name, found in versions(step).items()}
    for constraint in CONSTRAINTS:
        assert locked.get(canonicalize_name(constraint.name)) == {str(constraint.specifier)[2:]}, constraint


def test_the_lock_has_every_requirement_of_every_extra() -> None:
    locked = {name for step in STEPS for name in versions(step)}
    extras = PROJECT["project"]["optional-dependencies"]
    installed = extras.keys() - {"checks"}  # which CI does not run
    direct = [
        *PROJECT["project"]["dependencies"],
        *lock.BUILD,
        *(each for extra in installed for each in extras[extra]),
    ]
    names = {canonicalize_name(Requirement(each).name) for each in direct}
    assert names - locked == {"fastvae"}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_everything_locked_has_a_hash(step: Path) -> None:
    text = step.read_text(encoding="utf-8")
    assert set(lock.STEPS) == {each.stem for each in STEPS}
    for lines in re.findall(r"^[^\s#-].*\n(?: .*\n)*", text, re.MULTILINE):
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}", lines, re.MULTILINE), lines


def test_a_package_is_in_one_step_of_the_lock() -> None:
    names = [name for step in STEPS for name in versions(step)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.stem)
def test_a_workflow_has_no_more_rights_than_it_needs_and_an_end(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert content["permissions"] == {}
    assert "concurrency" in content
    for name, job in content["jobs"].items():
        assert "permissions" in job, name
        assert "timeout-minutes" in job or "uses" in job, name
    for use in actions(content):
        pinned = re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", use)
        assert pinned or use.startswith(("./", "pypa/gh-action-pypi-publish@")), use


def test_the_commands_of_the_night_exist() -> None:
    nightly = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8"))
    commands = nightly["jobs"]["checks"]["strategy"]["matrix"]["command"]
    paths = [ROOT / command.replace(".", "/") for command in commands]
    assert [path for path in paths if not (path.with_suffix(".py").is_file() or path.is_dir())] == []
    page = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`python -m ((?:tools\.checks|bench)\.\w+)`", page)) == set(commands)
