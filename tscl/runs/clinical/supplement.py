"""What a paper's supplement needs of a clinical run: participants, missing values, calibration,
the items of TRIPOD+AI as far as the run can fill them, and the papers to cite.

Collins et al., "TRIPOD+AI statement: updated guidance for reporting clinical prediction models that
use regression or machine learning methods", BMJ 2024, doi 10.1136/bmj-2023-078378.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders import MedicalDataset
from data_loaders.container.fields import known_labels, label_kind
from data_loaders.container.recordings import Recordings
from tscl.evaluation.clinical.table import pooled_predictions
from tscl.evaluation.metrics.bootstrap import (
    draw_patients,
    mean_over_drawn_seeds,
    percentile_interval,
)
from tscl.evaluation.metrics.calibration import calibration_line
from tscl.evaluation.metrics.labels import MAIN
from tscl.methods import METHODS
from tscl.reporting.references import Reference, read_references, references_of
from tscl.runs.clinical.run import ClinicalRun, class_names
from tscl.runs.clinical.tables import figure_text
from tscl.runs.external import SIDE
from tscl.saving.cells import Cell
from tscl.seeding import seeded

TODO = "**to be written by the authors**"


def participants(run: ClinicalRun) -> pd.DataFrame:
    """Patients, trials and samples of every part of every fold, whole and by subgroup and side.

    A class's column counts samples and, in brackets, patients who have one.
    """
    folds = {fold.number: {**fold.parts, "unlabelled": fold.unlabelled} for fold in run.folds}
    data, columns = run.data, run.config.evaluate.subgroups
    return counted(data, folds, data.label, data.label_names, columns)


def counted(
    data: MedicalDataset | Recordings,
    folds: Mapping[Any, Mapping[str, NDArray[np.int64]]],
    labels: NDArray[Any],
    names: Sequence[str],
    columns: Sequence[str] = (),
) -> pd.DataFrame:
    """The lines of :func:`participants`.

    Args:
        data: samples or whole recordings.
        folds: rows of each part of each fold.
        labels: of all samples, of any kind.
        names: of its classes or labels.
        columns: subgroups; the side of an external validation is added.
    """
    columns = [*([SIDE] if SIDE in data.columns else []), *columns]
    kind = label_kind(labels)
    lines: list[dict[str, Any]] = []
    for number, parts in folds.items():
        for part, rows in ((name, rows) for name, rows in parts.items() if len(rows)):
            groups = {"all": rows}
            for column in columns:
                values = data.columns[column].to_numpy()[rows]
                known = pd.unique(pd.Series(values).dropna())
                if len(known) <= 12:  # sites and sexes, not ages
                    groups |= {f"{column}: {value}": rows[values == value] for value in known}
            for group, own in groups.items():
                label, patient = labels[own], data.patient[own]
                line: dict[str, Any] = {"fold": number, "part": part, "group": group}
                line |= {"patients": len(np.unique(patient))}
                line |= {"trials": len(np.unique(data.trial_codes[own])), "samples": len(own)}
                for code, name in enumerate(names if kind != "target" else ()):
                    mine = _having(label, code)
                    line[name] = f"{mine.sum()} ({len(np.unique(patient[mine]))})"
                lines.append(line)
    frame = pd.DataFrame(lines)
    return frame if len(folds) > 1 else frame.drop(columns="fold")


def missing_values(run: ClinicalRun) -> pd.DataFrame:
    """Shares of missing values in every part of the first fold, and samples that lack some."""
    data, fold = run.data, run.folds[0]
    lines = []
    for part, rows in fold.parts.items():
        empty = np.concatenate(
            [
                np.isnan(np.asarray(data.X[some])).mean(axis=1)
                for some in np.array_split(rows, max(1, len(rows) // 4096))
            ]
        )
        worst = int(empty.mean(axis=0).argmax())
        line: dict[str, Any] = {"part": part, "samples": len(rows)}
        line["values missing"] = f"{empty.mean():.2%}"
        line["samples with some missing"] = int(empty.any(axis=1).sum())
        line["samples without a whole channel"] = int((empty == 1).any(axis=1).sum())
        line["most in a channel"] = (
            f"{data.channel_names[worst]}: {empty[:, worst].mean():.2%}" if empty.any() else "-"
        )
        lines.append(line)
    return pd.DataFrame(lines)


def calibration_table(
    seeds: Sequence[Sequence[Cell]], names: Sequence[str], n_replicates: int = 200
) -> pd.DataFrame:
    """Calibration slope and intercept of each class, by sample and by patient, with intervals.

    Means over seeds; intervals resample patients and seeds, in at most 200 replicates.

    Args:
        seeds: all folds of each seed of one row.
        names: of the classes, of two only the second has a line; or of several labels.
        n_replicates: of the bootstrap.
    """
    lines = []
    for level in ("sample", "patient"):
        pooled = [pooled_predictions(cells, level=level) for cells in seeds]
        code, who = pd.factorize(pooled[0].patient)
        if len(pooled[0]) == 0:
            continue
        drawn = draw_patients(len(who), min(n_replicates, 200), 0)[:, code]
        counts = np.concatenate([np.ones((1, len(code))), drawn])
        several = pooled[0].y.ndim == 2
        for k in [1] if len(names) == 2 and not several else range(len(names)):
            known = ~np.isnan(pooled[0].y[:, k]) if several else np.ones(len(code), bool)
            y = _having(pooled[0].y, k)[known].astype(np.int64)
            fits = [_in_parts(y, seed.proba[known, k], counts[:, known]) for seed in pooled]
            line: dict[str, Any] = {"class": names[k], "level": level, "n": len(y)}
            for place, title in enumerate(("calibration slope", "calibration intercept")):
                values = np.stack([fit[place] for fit in fits])
                line[title] = _with_interval(values)
            lines.append(line)
    return pd.DataFrame(lines)


def _in_parts(
    y: NDArray[np.int64], p: NDArray[np.float64], counts: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """The fits of some replicates at a time, so that long data do not fill the memory."""
    parts = np.array_split(counts, max(1, counts.size // 2_000_000))
    fits = [calibration_line(y, p, part) for part in parts]
    return [np.concatenate([fit[place] for fit in fits]) for place in (0, 1)]


def _with_interval(values: NDArray[np.float64]) -> str:
    """Of (seeds, 1 + replicates), the first as it is: mean and interval, or why there is none."""
    exact = values[:, 0].mean()
    if not np.isfinite(exact):
        return "not finite: too few errors or one class"
    low, high = percentile_interval(mean_over_drawn_seeds(values[:, 1:]))
    return f"{exact:.2f} [{low:.2f}, {high:.2f}]"


def papers(run: ClinicalRun) -> list[Reference]:
    """Papers of the data, of every pretrained row's method and losses, and of the encoder."""
    parts = [run.data.source, *run.data.source.get("parts", [])]
    cited = [paper for part in parts for paper in read_references(part.get("cite"))]
    objects: list[object] = []
    for row in run.rows:
        if row.baseline is None:
            with seeded(0, "references"):
                method = METHODS.build(row.method, encoder=run.fresh_encoder(), **row.params)
            objects += list(method.modules())
    guide = [
        paper for text in (__doc__, calibration_line.__doc__) for paper in read_references(text)
    ]
    return list(dict.fromkeys([*cited, *references_of(objects), *guide]))


def checklist(run: ClinicalRun, table: pd.DataFrame) -> pd.DataFrame:
    """The items of TRIPOD+AI by number, each with what the run says of it or who must write it.

    Args:
        run: the finished run.
        table: of :func:`tscl.evaluation.clinical.table.summarise`.
    """
    middle = [*_data_items(run), *_analysis_items(run)]
    return framed(middle, _result_items(run, table), run.config.licence, run.config.seed)


Item = tuple[str, str, str]


def framed(
    middle: Sequence[Item], results: Sequence[Item], licence: str | None, seed: int
) -> pd.DataFrame:
    """The checklist: items 5 to 16 and 20 to 24 among those that are alike in every run.

    Args:
        middle: items 5 to 16: number, topic, and what the run says.
        results: items 20 to 24, likewise.
        licence: of the weights.
        seed: of the run.
    """
    known = f"licence of the model: {licence}; " if licence else ""
    items = [
        ("1-4", "Title, abstract, background, objectives", TODO),
        *middle,
        ("17", "Ethics approval and consent", TODO),
        ("18", "Funding, conflicts, protocol, registration", TODO),
        (
            "18e, 18f",
            "Data and code",
            f"{known}every setting and the seed "
            f"{seed} in config.yaml, versions in run.json, each prediction in "
            "predictions.csv; whether data and code are shared: " + TODO,
        ),
        ("19", "Patient and public involvement", TODO),
        *results,
        ("25-27", "Interpretation, limitations, use in care", TODO),
    ]
    return pd.DataFrame(items, columns=["item", "topic", "in this run"])


def _having(label: NDArray[Any], k: int) -> NDArray[np.bool_]:
    """Samples of class ``k``, or with the label ``k`` where a sample may have several."""
    return np.asarray(label[:, k] == 1 if label.ndim == 2 else label == k)


def origin_items(data: MedicalDataset | Recordings, kind: str) -> list[Item]:
    """Items 5 and 6: where the data are from (``kind`` of loader), and what was read."""
    log = "no record log" if data.log is None else data.log.summary()
    source = data.source.get("database", data.source.get("format", kind))
    return [
        ("5", "Data", f"{data.name} ({source}); dates of recording: {TODO}"),
        ("6", "Participants", f"records: {log}; setting, eligibility, treatments: {TODO}"),
    ]


def _data_items(run: ClinicalRun) -> list[Item]:
    config, data = run.config, run.data
    facts = run.input_facts(run.folds[0], "none")
    classes = ", ".join(
        f"{name} {_having(data.label, k).sum()}" for k, name in enumerate(class_names(data))
    )
    known = int(known_labels(data.label).sum())
    channels = ", ".join(facts["channels"])
    rate = facts["sampling_rate"]
    return [
        *origin_items(data, config.data.kind),
        (
            "7, 9",
            "Predictors and their preparation",
            f"{facts['window']} steps at {rate:g} Hz of {channels}; unit "
            f"{facts['unit'] or 'not named'}; band {facts['band'] or 'none'}; standardised by "
            f"`{config.data.standardize}`; table 'Missing values' for gaps",
        ),
        (
            "8",
            "Outcome",
            f"samples: {classes}; {len(data) - known} without a label. How it was assessed: {TODO}",
        ),
        (
            "10",
            "Sample size",
            f"{len(np.unique(data.patient))} patients, {known} labelled samples: all there were; "
            f"justification: {TODO}",
        ),
        (
            "11",
            "Missing data",
            "a channel that is missing at a step is masked there, alone; nothing is imputed; "
            "see 'Missing values'",
        ),
    ]


def _analysis_items(run: ClinicalRun) -> list[Item]:
    config = run.config
    e, train = config.evaluate, config.train
    with seeded(0, "parameters"):
        count = sum(p.numel() for p in run.fresh_encoder().parameters())
    side = "patients of another hospital are tested" if config.data.external else "by patient"
    target = run.data.label_kind == "target"
    measures = (
        "R2, mean absolute error, rank correlation"
        if target
        else "AUROC, average precision, accuracy, F1, sensitivity and specificity, calibration "
        "error, slope and intercept"
    )
    output = (
        "a number in the unit of the outcome"
        if target
        else f"a probability for each class; thresholds set at a specificity of {e.specificity:g} "
        "in the validation part"
    )
    groups = ", ".join(e.subgroups) or "none named (`evaluate.subgroups`)"
    return [
        (
            "12a, 16",
            "Use of the data",
            f"split {config.split.kind}, {side}, {len(run.folds)} folds; no patient, trial or "
            "recording on two sides (checked); validation chooses, the test part is used once",
        ),
        (
            "12c",
            "Model",
            f"{run.rows[0].label} pretraining of `{config.encoder.name}` ({count} parameters), "
            f"{train.max_epochs} epochs; then {', '.join(e.protocols)}; compared with "
            f"{', '.join(row.label for row in run.rows[1:]) or 'nothing'}",
        ),
        (
            "12d, 23b",
            "Heterogeneity",
            f"folds {len(run.folds)}, seeds {e.seeds}, pretrainings {train.repeats}; by site: see "
            "'Participants' and 'Subgroups'",
        ),
        (
            "12e",
            "Measures",
            f"{measures}; 95 % intervals from {e.n_replicates} resamplings of patients and seeds",
        ),
        (
            "13",
            "Class imbalance",
            "splits and labelled shares are stratified by class; no samples are added or left out",
        ),
        ("14", "Fairness", f"subgroups: {groups}"),
        ("15", "Output", output),
    ]


def _result_items(run: ClinicalRun, table: pd.DataFrame) -> list[Item]:
    main = run.rows[0].label
    own = table[(table["method"] == main) & (table["fraction"] == table["fraction"].max())]
    metric = MAIN[run.data.label_kind]
    rows = own[(own["metric"] == metric) & own["level"].isin(["sample", "patient"])]
    scores = "; ".join(
        f"{row['protocol']} by {row['level']}: {metric.upper()} {figure_text(row)} "
        f"(n = {row['n_test']}, {row['n_test_patients']} patients)"
        for row in rows.to_dict("records")
    )
    events = []
    for part, where in run.folds[0].parts.items():
        label, patient = run.data.label[where], run.data.patient[where]
        counts = [
            f"{name} {len(np.unique(patient[_having(label, k)]))}"
            for k, name in enumerate(run.data.label_names)
        ]
        events.append(f"{part} {len(np.unique(patient))} patients ({', '.join(counts)})")
    return [
        ("20", "Participants", "table 'Participants' by part, fold and site"),
        ("21", "Events in each analysis", "; ".join(events) + " in the first fold"),
        (
            "22",
            "Model specification",
            "weights in models/ and classifiers/ (safetensors) with a card; "
            "`tscl predict --model` applies them",
        ),
        ("23a", "Performance", f"{main}: {scores}; calibration: table 'Calibration slope'"),
        ("24", "Model updating", "none"),
    ]
