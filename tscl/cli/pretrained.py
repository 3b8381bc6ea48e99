"""``tscl pretrained``: encoders that come with the library."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from tscl.cli.console import command, console

NameArgument = Annotated[str | None, typer.Argument(help="A name, to see its card.")]


@command(name="pretrained")
def show_pretrained(name: NameArgument = None) -> None:
    """Encoders that come with the library: their input, data and licence, or one's whole card."""
    from tscl.estimators.pretrained import load_pretrained, pretrained_names

    if name is not None:
        card = load_pretrained(name).card
        console.print(json.dumps(card, indent=2), markup=False, highlight=False)
        return
    for name in pretrained_names():
        model = load_pretrained(name)
        how = model.card["preprocessing"]
        leads = ", ".join(how["leads"])
        console.print(f"[bold]{name}[/]: {model.encoder.output_dims} figures a signal", end="; ")
        console.print(f"{leads} at {how['rate']:g} Hz, {how['band'][0]:g} to {how['band'][1]:g} Hz")
        data = model.card["data"]
        console.print(f"  {data['name']}; {data['licence']}", markup=False, highlight=False)
