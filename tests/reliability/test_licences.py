"""The page of licences and the bill of materials name every direct dependency."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
BILL = ROOT / "docs/sbom.cdx.json"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required() -> list[Requirement]:
    """What pyproject requires at run time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in project["dependencies"]]


def listed() -> dict[str, str]:
    """Package and version of each row of the page."""
    page = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    return dict(re.findall(r"\| \**(\w[\w.-]*)\** \| (\d\S*) \|", page))


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return json.loads(BILL.read_text(encoding="utf-8"))


def test_every_direct_dependency_is_listed():
    page = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    licences = dict(re.findall(r"\| \*\*(.+?)\*\* \| .+? \| (.+?) \|", page))
    for one in required():
        assert canonical(one.name) in licences, "run make sbom"
    assert "not declared" not in licences.values()


def test_the_bill_follows_its_schema():
    text = BILL.read_text(encoding="utf-8")
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"library"', '"lib"', 1)) is not None


def test_the_bill_names_what_is_required_in_the_versions_tested(bill):
    versions = {one["name"]: one["version"] for one in bill["components"]}
    assert versions == listed(), "run make sbom"
    for one in required():
        assert one.specifier.contains(versions[canonical(one.name)]), "run make sbom"
    pins = [
        Requirement(line)
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    pinned = {canonical(one.name): str(one.specifier).removeprefix("==") for one in pins}
    shared = pinned.keys() & versions.keys()
    assert {"torch", "numpy", "wfdb", "mne"} <= shared
    for name in shared:
        assert Version(versions[name]).public == pinned[name], "run make sbom"


def test_the_bill_says_who_requires_whom(bill):
    refs = {one["bom-ref"]: one["name"] for one in bill["components"]}
    graph = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    root = bill["metadata"]["component"]["bom-ref"]
    assert {refs[one] for one in graph[root]} == {canonical(one.name) for one in required()}
    reached, queue = set(), [root]
    while queue:
        one = queue.pop()
        if one not in reached:
            reached.add(one)
            queue += graph[one]
    assert reached - {root} == set(refs)
    for one in bill["components"]:
        assert one["purl"].startswith(f"pkg:pypi/{one['name']}@")
        assert one["licenses"]
