"""``tscl predict``: a saved classifier on new recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tscl.cli.console import check_folder, command, console, shown_log


def main_slug(run: Path) -> str | None:
    """File name of the row of the configured method; None for the folder of a classifier."""
    from tscl.runs.clinical.config import ClinicalConfig
    from tscl.runs.clinical.rows import table_rows
    from tscl.runs.folder import RunFolder
    from tscl.runs.label_efficiency.config import LabelEfficiencyConfig, row_slug

    if not (run / "config.yaml").is_file():
        return None
    config = RunFolder(run).config()
    if isinstance(config, LabelEfficiencyConfig):
        return row_slug(config.main_row)
    return table_rows(config)[0].slug if isinstance(config, ClinicalConfig) else None


@command()
def predict(
    model: Annotated[Path, typer.Option("--model", help="Run folder, or one of its classifiers.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of new recordings.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV to write.")] = Path(
        "predictions.csv"
    ),
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
    """Class probabilities of new recordings, through the preprocessing of the training ones."""
    from tscl.disk import atomic_file
    from tscl.evaluation.clinical.fitted import FittedClassifier
    from tscl.runs import new_data
    from tscl.runs.config import apply_override

    check_folder("--model", model)
    check_folder("--data", data)
    folder = new_data.find_classifier(model, classifier, main_slug(model))
    fitted = FittedClassifier.load(folder)
    params: dict[str, Any] = {}
    for item in sets or []:
        apply_override(params, item)
    console.print(f"classifier: {folder}", markup=False)
    with shown_log("tscl.runs"):
        facts, loader = fitted.card["preprocessing"], fitted.card.get("loader", {})
        recordings = new_data.load_new(facts, loader, data, kind, params)
        console.print(f"{recordings!r}", markup=False)
        frame = new_data.predict_table(fitted, recordings)
    if recordings.log is not None:
        console.print(recordings.log.summary(), markup=False)
        for line in recordings.log.skipped:
            console.print(f"left out {line.record} [{line.reason}]: {line.detail}", markup=False)
    with atomic_file(out) as work:
        frame.to_csv(work, index=False, float_format="%.6g")
    console.print(f"{len(frame)} lines: {out}", markup=False)
