"""The page of licences names every direct dependency."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def test_every_direct_dependency_is_listed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs/licences.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"\| \*\*(.+?)\*\* \| .+? \| (.+?) \|", page))
    for text in project["dependencies"]:
        name = re.sub(r"[-_.]+", "-", Requirement(text).name).lower()
        assert name in listed, "run python docs/make_licences.py"
    assert "not declared" not in listed.values()
