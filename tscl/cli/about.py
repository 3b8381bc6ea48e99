"""Commands that tell about the library and its environment: ``tscl list``, ``tscl doctor``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from tscl.errors import ConfigError, nearest

NameArgument = Annotated[
    str | None,
    typer.Argument(help="A kind (method, encoder, loss, ...), or a name to see its arguments."),
]


def show_version(wanted: bool) -> None:
    """Print the version and stop, for ``tscl --version``."""
    if wanted:
        from tscl import __version__

        typer.echo(f"tscl {__version__}")
        raise typer.Exit


def add_about_commands(app: typer.Typer, guard: Callable[..., Any], console: Console) -> None:
    """Add the commands to ``app``; ``guard`` shows errors as one line."""

    @app.command(name="list")
    @guard
    def list_components(name: NameArgument = None) -> None:
        """Names of methods, encoders, losses, augmentations, contrasts and poolings."""
        from tscl.pooling import POOLS

        registries = _registries()
        names = {kind: registry.names() for kind, registry in registries.items()}
        names["pooling"] = list(POOLS)
        kind = None if name is None else _kind(name, names)
        for one, known in names.items():
            if name is None or kind == one:
                console.print(f"[bold]{one}[/]: {', '.join(known)}")
        if name is None or kind is not None:
            return
        found = [registry for registry in registries.values() if name in registry.names()]
        if not found:
            every = {*names, *(one for known in names.values() for one in known)}
            raise ConfigError("name", name, nearest(name, every))
        for registry in found:
            doc = _plain(inspect.getdoc(registry.get(name)) or "")
            console.print(f"[bold]{registry.kind} {name}[/]: ", end="")
            console.print(doc, markup=False, highlight=False)
            for key, parameter in registry.parameters(name).items():
                if parameter.kind is parameter.VAR_KEYWORD:
                    continue
                default = parameter.default
                shown = "(no default)" if default is parameter.empty else f"= {default!r}"
                console.print(f"  {key} {shown}", markup=False, highlight=False)

    @app.command()
    @guard
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


def _registries() -> dict[str, Any]:
    from tscl.augmentations import AUGMENTATIONS
    from tscl.encoders import ENCODERS
    from tscl.losses import LOSSES
    from tscl.methods import METHODS
    from tscl.methods.end_to_end.terms import CONTRASTS

    return {one.kind: one for one in (METHODS, ENCODERS, LOSSES, AUGMENTATIONS, CONTRASTS)}


def _plain(doc: str) -> str:
    """The first paragraph of a docstring, without its markup."""
    first = doc.split("\n\n")[0].replace("\n", " ").replace("``", "")
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", first)


def _kind(name: str, kinds: dict[str, list[str]]) -> str | None:
    """The kind that ``name`` stands for, in the singular or plural."""
    for kind in kinds:
        if name in (kind, f"{kind}s", f"{kind}es"):
            return kind
    return None
