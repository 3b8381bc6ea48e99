"""Every example in a docstring runs, every component has one, every argument is explained."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import data_loaders
import tscl
from tscl.augmentations import AUGMENTATIONS
from tscl.encoders import ENCODERS
from tscl.losses import LOSSES
from tscl.methods import METHODS

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("tscl", "data_loaders")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
ELSEWHERE = r"Arg(ument)?s( and errors)?(:| as| are)[^.]*(:func:|:meth:|:class:)"
"""A docstring may hand over to that of another function with the same arguments."""


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name, tmp_path, monkeypatch):
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("registry", [LOSSES, ENCODERS, AUGMENTATIONS, METHODS])
def test_every_component_shows_itself_in_an_example(registry):
    shown = {n: ">>> " in (inspect.getdoc(registry.get(n)) or "") for n in registry.names()}
    shown.pop("braindecode", None)  # an example needs an extra that tests run without
    assert [name for name, example in shown.items() if not example] == []


def public() -> dict[str, Any]:
    """Functions, and methods that a class is the first to declare, of all exported names."""
    out: dict[str, Any] = {}
    for package in (tscl, data_loaders):
        walk = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        modules = [importlib.import_module(m.name) for m in walk if m.ispkg]
        for module in [package, *modules]:
            for name in getattr(module, "__all__", []):
                thing = getattr(module, name)
                where = f"{getattr(thing, '__module__', '')}.{name}"
                if not where.startswith(("tscl", "data_loaders")):
                    continue
                if inspect.isfunction(thing):
                    out[where] = thing
                elif inspect.isclass(thing):
                    if not hasattr(thing, "__dataclass_fields__") and "__init__" in vars(thing):
                        out[where] = thing
                    inherited = {key for base in thing.__mro__[1:] for key in vars(base)}
                    for key, member in vars(thing).items():
                        function = getattr(member, "__func__", member)
                        own = key not in inherited and not key.startswith("_")
                        if own and inspect.isfunction(function):
                            out[f"{where}.{key}"] = function
    return out


IMPORT = r"from ((?:tscl|data_loaders)[\w.]*) import ([\w, ]+)"


def shown() -> dict[str, Any]:
    """Functions that the README and the pages import from their modules."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    out = {}
    for home, names in re.findall(IMPORT, text):
        for name in names.split(", "):
            thing = getattr(importlib.import_module(home), name)
            if inspect.isfunction(thing):
                out[f"{home}.{name}"] = thing
    return out


def unexplained(thing: Any) -> list[str]:
    """Arguments without a line of their own, where there are three or more."""
    call = thing.__init__ if inspect.isclass(thing) else thing
    arguments = [name for name in inspect.signature(call).parameters if name not in ("self", "cls")]
    text = inspect.getdoc(thing) or ""
    splitter = arguments[1:] == ["y", "groups"]  # of scikit-learn, which explains them
    if len(arguments) < 3 or splitter or re.search(ELSEWHERE, text):
        return []
    line = r"^\s*\*{{0,2}}{}( \([^)]*\))? ?: "
    return [a for a in arguments if not re.search(line.format(a), text, re.M)]


def test_public_functions_explain_every_argument_on_a_line_of_its_own():
    explained = {name: unexplained(thing) for name, thing in (public() | shown()).items()}
    assert {name: left for name, left in explained.items() if left} == {}
    assert len(explained) > 300
