"""References stand in a form that is read where a method, loss, encoder or data set is defined."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import data_loaders
from tscl.encoders import ENCODERS
from tscl.losses import LOSSES
from tscl.methods import METHODS
from tscl.reporting.references import bibliography, read_references

ENTRIES = [
    registry.get(name) for registry in (METHODS, LOSSES, ENCODERS) for name in registry.names()
]
CITES = sorted(
    p for p in Path(data_loaders.__file__).parent.rglob("*.py") if "CITE = " in p.read_text()
)


def test_a_reference_as_bibtex_and_in_words() -> None:
    text = (
        'in Müller, Van Jong & Li 2019, "A Title: of\n Sorts", Some Journal, doi 10.1/ab-c.\nMore'
    )
    (paper,) = read_references(text)
    assert (
        str(paper) == "Müller, Van Jong, Li: A Title: of Sorts. Some Journal 2019, doi 10.1/ab-c."
    )
    assert bibliography([paper]) == (
        "@article{mller2019title,\n  author = {{Müller} and {Van Jong} and {Li}},\n"
        "  title = {{A Title: of Sorts}},\n  year = {2019},\n  journal = {Some Journal},\n"
        "  doi = {10.1/ab-c}\n}\n"
    )
    (paper,) = read_references('(Grill et al., "Own", arXiv 2006.07733)')
    assert paper.number == "2006.07733"
    (paper,) = read_references('(Ro et al. 2005, "X", J, doi 10.1016/S0140(05)66-7).')
    assert paper.number == "10.1016/S0140(05)66-7"
    (paper,) = read_references('Wu et al., "Name", arXiv\n2410.18200 (later another)')
    assert "author = {{Wu} and others}" in paper.bibtex()
    assert (paper.year, paper.kind, paper.number) == ("2024", "arXiv", "2410.18200")
    assert read_references("Wu et al. 2024, arXiv 2410.18200, without a title") == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_what_names_a_paper_at_its_head_can_be_cited(entry: type) -> None:
    text = inspect.getmodule(entry).__doc__ or ""
    own = re.findall(r"arXiv\s+(\d{4}\.\d{4,5})", text)
    if own:
        assert own[0] in [paper.number for paper in read_references(text)]


@pytest.mark.parametrize("path", CITES, ids=lambda path: path.stem)
def test_a_data_set_names_its_paper(path: Path) -> None:
    name = ".".join(path.relative_to(Path(data_loaders.__file__).parents[1]).with_suffix("").parts)
    (paper,) = read_references(importlib.import_module(name).CITE)
    assert paper.kind == "doi"
    assert path.read_text().count("CITE") == 2  # named, and put into the source
