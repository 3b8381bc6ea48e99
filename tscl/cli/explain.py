"""``tscl explain``: what in a recording speaks for a class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tscl.cli.console import command, console, shown_log
from tscl.cli.predict import (
    ClassifierOption,
    KindOption,
    LoaderOption,
    ModelOption,
    open_classifier,
    open_recordings,
)


@command()
def explain(
    model: ModelOption,
    data: Annotated[Path, typer.Option("--data", help="Folder of recordings.")],
    record: Annotated[str, typer.Option("--record", help="Name of one, as in `tscl predict`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture: .png, .svg or .pdf.")] = Path(
        "explanation.png"
    ),
    window: Annotated[
        int | None, typer.Option(help="Its number in the record; default: the most certain one.")
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Class to explain; default: the predicted one.")
    ] = None,
    classifier: ClassifierOption = None,
    kind: KindOption = None,
    sets: LoaderOption = None,
) -> None:
    """Draw occlusion and integrated gradients of a saved classifier on a recording."""
    from tscl.runs.new_data import explain_record

    _, fitted = open_classifier(model, classifier, data)
    with shown_log("tscl.runs"):
        recordings = open_recordings(fitted, data, kind, sets)
        answer, figure = explain_record(fitted, recordings, record, window=window, target=label)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150, bbox_inches="tight")
    console.print(f"{answer.target}: probability {answer.probability:.3f}: {out}", markup=False)
    for name, value in answer.sanity.items():
        console.print(f"{name}: rank correlation with weights drawn anew {value:.2f}", markup=False)
