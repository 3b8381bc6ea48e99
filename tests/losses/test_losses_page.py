"""The page of losses names every registered loss, its module and a paper the module cites."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from tscl.losses import LOSSES, ContrastiveLoss

PAGE = Path(__file__).resolve().parents[2] / "docs" / "losses.md"
NAMES = [n for n in LOSSES.names() if issubclass(LOSSES.get(n), ContrastiveLoss)]
ROWS = {
    cells[0].strip("` "): cells
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `") and (cells := [c.strip() for c in line.strip("|").split("|")])
}


def test_one_row_a_loss() -> None:
    assert sorted(ROWS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_row_agrees_with_the_module(name: str) -> None:
    _, needs, _, paper, module = ROWS[name]
    source = Path(inspect.getfile(LOSSES.get(name)))
    assert module.strip("`") == source.name
    assert re.fullmatch(r"\d{4}\.\d{5}", paper)
    if name != "mmd":  # the paper is that of the method that uses it
        assert paper in source.read_text(encoding="utf-8")
    if LOSSES.get(name).needs_labels:
        assert "label" in needs or "class" in needs
