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
import torch

import data_loaders
import tscl
from tscl.augmentations import AUGMENTATIONS
from tscl.cli.app import app
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
    """Every public function, and method that a class of the house is the first to declare."""
    out: dict[str, Any] = {}
    for package in (tscl, data_loaders):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name.endswith("__main__"):
                continue
            module = importlib.import_module(info.name)
            for name, thing in vars(module).items():
                if name.startswith("_") or getattr(thing, "__module__", "") != info.name:
                    continue
                where = f"{info.name}.{name}"
                if inspect.isfunction(thing):
                    out[where] = thing
                elif inspect.isclass(thing):
                    if not hasattr(thing, "__dataclass_fields__") and "__init__" in vars(thing):
                        out[where] = thing
                    bases = [base for base in thing.__mro__[1:] if base is not torch.nn.Module]
                    inherited = {key for base in bases for key in vars(base)}
                    for key, member in vars(thing).items():
                        function = getattr(member, "__func__", member)
                        own = key not in inherited and not key.startswith("_")
                        if own and inspect.isfunction(function):
                            out[f"{where}.{key}"] = function
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


def commands() -> set[Any]:
    """Functions behind the command line, whose options explain themselves in their help."""
    apps = [app, *(group.typer_instance for group in app.registered_groups)]
    return {command.callback for part in apps for command in part.registered_commands}


def test_public_functions_explain_every_argument_on_a_line_of_its_own():
    options = commands()
    explained = {n: unexplained(thing) for n, thing in public().items() if thing not in options}
    assert {name: left for name, left in explained.items() if left} == {}
    assert len(explained) > 900
