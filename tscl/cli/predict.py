"""``tscl predict``: a saved classifier on new recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tscl.cli.console import check_folder, command, console, shown_log

if TYPE_CHECKING:
    from tscl.evaluation.clinical.fitted import FittedClassifier
    from tscl.runs.new_data import Data

ModelOption = Annotated[
    Path, typer.Option("--model", help="Run folder, or one of its classifiers.")
]
ClassifierOption = Annotated[
    str | None, typer.Option(help="Which of the run's, such as comet-fold0-partial-seed0.")
]
KindOption = Annotated[
    str | None, typer.Option(help="What the folder holds, as of `tscl data describe`.")
]
LoaderOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="A loader's argument, such as table=ward.csv."),
]


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


def open_classifier(
    model: Path, classifier: str | None, data: Path
) -> tuple[Path, FittedClassifier]:
    """Folder and content of a classifier, once both folders are there.

    Args:
        model: folder of a run or of a classifier.
        classifier: name of one of the run's; None for the only one, or that of the main row.
        data: folder of the new recordings.
    """
    from tscl.evaluation.clinical.fitted import FittedClassifier
    from tscl.runs.new_data import find_classifier

    check_folder("--model", model)
    check_folder("--data", data)
    folder = find_classifier(model, classifier, main_slug(model))
    return folder, FittedClassifier.load(folder)


def open_recordings(
    fitted: FittedClassifier, data: Path, kind: str | None, sets: list[str] | None
) -> Data:
    """New recordings, prepared as those the classifier was trained on.

    Args:
        fitted: the classifier.
        data: folder of the recordings.
        kind: of the folder; None for that of the training data.
        sets: ``key=value`` arguments of the loader.
    """
    from tscl.runs.config import apply_override
    from tscl.runs.new_data import load_new

    params: dict[str, Any] = {}
    for item in sets or []:
        apply_override(params, item)
    facts, loader = fitted.card["preprocessing"], fitted.card.get("loader", {})
    return load_new(facts, loader, data, kind, params)


@command()
def predict(
    model: ModelOption,
    data: Annotated[Path, typer.Option("--data", help="Folder of new recordings.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV to write.")] = Path(
        "predictions.csv"
    ),
    classifier: ClassifierOption = None,
    kind: KindOption = None,
    sets: LoaderOption = None,
) -> None:
    """Class probabilities of new recordings, through the preprocessing of the training ones."""
    from tscl.disk import atomic_file
    from tscl.runs.new_data import predict_table

    folder, fitted = open_classifier(model, classifier, data)
    console.print(f"classifier: {folder}", markup=False)
    with shown_log("tscl.runs"):
        recordings = open_recordings(fitted, data, kind, sets)
        console.print(f"{recordings!r}", markup=False)
        frame = predict_table(fitted, recordings)
    if recordings.log is not None:
        console.print(recordings.log.summary(), markup=False)
        for line in recordings.log.skipped:
            console.print(f"left out {line.record} [{line.reason}]: {line.detail}", markup=False)
    with atomic_file(out) as work:
        frame.to_csv(work, index=False, float_format="%.6g")
    console.print(f"{len(frame)} lines: {out}", markup=False)
