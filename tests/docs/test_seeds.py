"""The table of the literature: the places it names exist, and every row says what became of it."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.estimators.tiny import waves
from tscl.encoders import ENCODERS
from tscl.estimators import ContinualTransformer, ContrastiveClassifier, ContrastiveTransformer
from tscl.losses import LOSSES
from tscl.methods import METHODS, SimCLR
from tscl.runs.jobs import load_job
from tscl.runs.study.config import load_study
from tscl.runs.study.study import cells_of
from tscl.training.diagnostics import EmbeddingDiagnostics

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = re.split(r"^## ", (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8"), flags=re.M)
ROWS = [
    (section.splitlines()[0], *(cell.strip() for cell in line.strip("|").split("|")))
    for section in SECTIONS
    for line in section.splitlines()
    if line.startswith("| ") and not line.startswith(("| system", "| ---"))
]
TYPED = [row[1:] for row in ROWS if row[0] == "What to type"]
ROWS = [row for row in ROWS if row[0] != "What to type"]
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


def test_every_system_of_which_something_is_here_has_a_line():
    here = [row for row in ROWS if not row[0].startswith((NOTHING, BESIDE))]
    assert len(TYPED) == len(here)
    assert len({line for _, line in TYPED}) == len(TYPED)


X, Y = waves(16, steps=40, channels=2)
Y = np.array(["healthy", "sick"])[Y]


def small(kind: type[Any]) -> Any:
    """The class with defaults that train in a moment."""
    given: dict[str, Any] = {
        "encoder_params": {"output_dims": 8, "hidden_dims": 8, "depth": 1},
        "max_epochs": 1,
        "batch_size": 8,
    }
    if kind is ContrastiveClassifier:
        given["finetune_params"] = {"epochs": 1, "hidden": 4}
    return lambda *args, **named: kind(*args, **{**given, **named})


@pytest.mark.parametrize("line", [line for _, line in TYPED], ids=[name for name, _ in TYPED])
def test_the_line_runs(line):
    code = line.strip("`")
    if code.startswith("tscl"):
        _, command, *rest = code.split()
        if command == "study":
            assert cells_of(load_study(ROOT / rest[0]))
        else:
            sets = rest[3::2]
            assert (command, rest[0::2]) == ("run", ["-c", *["-s"] * len(sets)])
            load_job(Path(rest[1]), sets)
        return
    names: dict[str, Any] = {
        "X": X,
        "y": Y,
        "ages": np.arange(16) + 40.5,
        "patient": np.arange(16) // 4,
        "vectors": np.random.default_rng(0).normal(size=(16, 5)),
        "method": SimCLR(ENCODERS.build("dilated", input_dims=2, output_dims=4, hidden_dims=4)),
        "EmbeddingDiagnostics": EmbeddingDiagnostics,
        "ContrastiveTransformer": small(ContrastiveTransformer),
        "ContrastiveClassifier": small(ContrastiveClassifier),
        "ContinualTransformer": small(ContinualTransformer),
    }
    assert eval(code, names) is not None
