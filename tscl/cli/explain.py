"""``tscl explain``: what in a recording speaks for a class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tscl.cli.console import check_folder, command, console, shown_log
from tscl.cli.predict import main_slug


@command()
def explain(
    model: Annotated[Path, typer.Option("--model", help="Run folder, or one of its classifiers.")],
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
    classifier: Annotated[
        str | None, typer.Option(help="Which of the run's, such as comet-fold0-partial-seed0.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="What the folder holds, as of `tscl data describe`.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", help="A loader's argument, such as table=ward.csv."),
    ] = None,
) -> None:
    """Draw occlusion and integrated gradients of a saved classifier on a recording."""
    from tscl.evaluation.clinical.fitted import FittedClassifier
    from tscl.runs import new_data
    from tscl.runs.config import apply_override

    check_folder("--model", model)
    check_folder("--data", data)
    fitted = FittedClassifier.load(new_data.find_classifier(model, classifier, main_slug(model)))
    params: dict[str, Any] = {}
    for item in sets or []:
        apply_override(params, item)
    with shown_log("tscl.runs"):
        facts, loader = fitted.card["preprocessing"], fitted.card.get("loader", {})
        recordings = new_data.load_new(facts, loader, data, kind, params)
        answer, figure = new_data.explain_record(
            fitted, recordings, record, window=window, target=label
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150, bbox_inches="tight")
    console.print(f"{answer.target}: probability {answer.probability:.3f}: {out}", markup=False)
    for name, value in answer.sanity.items():
        console.print(f"{name}: rank correlation with weights drawn anew {value:.2f}", markup=False)
