"""Commands that tell about the library and its environment: ``tscl list``, ``tscl doctor``."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from tscl.cli.console import command, console
from tscl.errors import ConfigError, nearest

NameArgument = Annotated[
    str | None,
    typer.Argument(help="A kind (method, encoder, loss, ...), or a name to see its arguments."),
]
REGISTRIES = {
    "method": ("tscl.methods", "METHODS"),
    "encoder": ("tscl.encoders", "ENCODERS"),
    "loss": ("tscl.losses", "LOSSES"),
    "augmentation": ("tscl.augmentations", "AUGMENTATIONS"),
    "contrast": ("tscl.methods.end_to_end.terms", "CONTRASTS"),
}
"""Kinds of components, and the registry of each."""


@command(name="list")
def list_components(name: NameArgument = None) -> None:
    """Names of methods, encoders, losses, augmentations, contrasts and poolings."""
    from tscl.pooling import POOLS

    names = {kind: component_names(kind) for kind in REGISTRIES} | {"pooling": list(POOLS)}
    kind = next((k for k in names if name in (k, f"{k}s", f"{k}es")), None)
    for group, known in names.items():
        if name is None or kind == group:
            console.print(f"[bold]{group}[/]: {', '.join(known)}")
    if name is None or kind is not None:
        return
    holders = [group for group in REGISTRIES if name in names[group]]
    if not holders:
        every = {*names, *(entry for known in names.values() for entry in known)}
        raise ConfigError("name", name, nearest(name, every))
    for group in holders:
        _describe(group, name)


def component_names(kind: str) -> list[str]:
    """Registered names of a kind, sorted.

    Where the registry is not loaded yet they are read from the decorators in its source files,
    which takes a hundredth of the time that importing torch does.
    """
    module, registry = REGISTRIES[kind]
    if module in sys.modules:
        names: list[str] = getattr(sys.modules[module], registry).names()
        return names
    spec = find_spec(".".join(module.split(".")[:2]))
    assert spec is not None
    registered: set[str] = set()
    for folder in spec.submodule_search_locations or ():
        for path in Path(folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            registered |= set(re.findall(rf'^@{registry}\.register\("(.+)"\)', text, re.MULTILINE))
    return sorted(registered)


def _describe(kind: str, name: str) -> None:
    """Print what a component is and its arguments."""
    module, registry_name = REGISTRIES[kind]
    registry: Any = getattr(importlib.import_module(module), registry_name)
    first = (inspect.getdoc(registry.get(name)) or "").split("\n\n")[0]
    plain = re.sub(r":\w+:`~?([^`]+)`", r"\1", first.replace("\n", " ").replace("``", ""))
    console.print(f"[bold]{kind} {name}[/]: ", end="")
    console.print(plain, markup=False, highlight=False)
    for key, parameter in registry.parameters(name).items():
        if parameter.kind is not parameter.VAR_KEYWORD:
            default = parameter.default
            shown = "(no default)" if default is parameter.empty else f"= {default!r}"
            console.print(f"  {key} {shown}", markup=False, highlight=False)


@command()
def doctor() -> None:
    """Versions, threads, devices and extras of this environment."""
    import torch

    from tscl.saving.card import extras, versions

    for name, value in versions().items():
        console.print(f"{name}: {value}")
    console.print(f"cuda: {torch.cuda.is_available()}")
    for extra, missing in extras().items():
        lack = f"missing {', '.join(missing)} (pip install 'tscl[{extra}]')"
        console.print(f"extra {extra}: {lack if missing else 'installed'}", markup=False)
