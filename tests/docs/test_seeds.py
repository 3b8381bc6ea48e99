"""The table of the literature: the places it names exist, and every row says what became of it."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

from tscl.losses import LOSSES
from tscl.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = re.split(r"^## ", (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8"), flags=re.M)
ROWS = [
    (section.splitlines()[0], *(cell.strip() for cell in line.strip("|").split("|")))
    for section in SECTIONS
    for line in section.splitlines()
    if line.startswith("| ") and not line.startswith(("| system", "| ---"))
]
NOTHING, BESIDE = "Nothing taken", "Not in the literature"


def module(path: str) -> object:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


def test_one_row_for_each_of_the_forty_systems():
    systems = [row[1] for row in ROWS if not row[0].startswith(BESIDE)]
    listed = [name for name in systems if not name.startswith("Supervised Contrastive Learning (")]
    assert len(listed) == len(set(listed)) == 40


@pytest.mark.parametrize("row", ROWS, ids=[row[1][:40] for row in ROWS])
def test_what_a_row_names_exists(row):
    section, _, identifier, here = row
    if section.startswith(NOTHING):
        assert len(here.split()) >= 8  # a reason
        return
    assert re.fullmatch(r"arXiv \d{4}\.\d{5}(, \d{4}\.\d{5})*", identifier)
    if not section.startswith(BESIDE):
        assert here.startswith(("implemented", "idea carried over"))
    places = re.findall(r"`([^`]+)`", here)
    files = [place for place in places if "/" in place]
    assert files
    assert all((ROOT / place).exists() for place in files)
    modules = [module(place) for place in files]
    source = "".join((ROOT / p).read_text(encoding="utf-8") for p in files if p.endswith(".py"))
    for name in set(places) - set(files):
        if name[-1] in ":=" or name == "view_quality":  # a setting
            assert re.search(rf"^\s+{name.strip(':=')}: .* = ", source, flags=re.M)
        elif name not in LOSSES.names() and name not in METHODS.names():
            assert any(_has(one, name) for one in modules), name


def _has(one: object, dotted: str) -> bool:
    try:
        reduce(getattr, dotted.split("."), one)
    except AttributeError:
        return False
    return True


@pytest.mark.parametrize("row", ROWS, ids=[row[1][:40] for row in ROWS])
def test_links_lead_to_pages(row):
    for target in re.findall(r"\]\(([^)]+)\)", row[3]):
        assert (ROOT / "docs" / target).exists()
