"""Scores of the cells of a label-efficiency run, their intervals and paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from data_loaders.container.fields import label_kind
from data_loaders.container.recordings import Recordings
from tscl.errors import InputError
from tscl.evaluation.metrics.bootstrap import mean_over_drawn_seeds, percentile_interval
from tscl.evaluation.metrics.labels import label_replicates, label_scores
from tscl.runs.label_efficiency.data import Index, Task
from tscl.runs.new_data import further_columns, probability_columns
from tscl.saving.cells import Cell
from tscl.seeding import derive_seed

METRICS = ("auroc", "f1", "auprc_macro")
"""Scores of classes; of several labels and numbers all of
:data:`tscl.evaluation.metrics.labels.SCORES`, and the AUROC of each label."""
Spot = tuple[str, str, float]


@dataclass(frozen=True)
class Scores:
    """One row at one share of labels of one task.

    Attributes:
        exact: metric to its value in each draw and fold, (D, F).
        drawn: metric to its value in each bootstrap replicate, (R,), mean over draws and folds.
        n_labels: drawn labels, mean over draws and folds. n_test: tested recordings of all folds.
    """

    exact: dict[str, NDArray[np.float64]]
    drawn: dict[str, NDArray[np.float64]]
    n_labels: float
    n_test: int


def by_patient(cells: Sequence[Cell], group: Index) -> list[Cell]:
    """Cells of patients, of all folds as one: their label and mean probability.

    Args:
        cells: of recordings; every draw in every fold.
        group: (n,) patient of each recording.

    Returns:
        Cells whose ``rows`` are each patient's first tested recording.

    Raises:
        InputError: a patient with recordings of several classes.
    """
    together: dict[tuple[str, str, float, int], list[Cell]] = {}
    for cell in cells:
        key = cell.key
        spot = (str(key["row"]), str(key["task"]), float(key["share"]), int(key["draw"]))
        together.setdefault(spot, []).append(cell)
    result = []
    for parts in together.values():
        rows, y, proba = (
            np.concatenate([cell.arrays[name] for cell in parts]) for name in ("rows", "y", "proba")
        )
        _, first, patient = np.unique(group[rows], return_index=True, return_inverse=True)
        other = y[first][patient]
        if ((y != other) & ((y == y) | (other == other))).any():
            remedy = "score by recording: a patient has recordings of several classes"
            raise InputError("by", "patient", remedy)
        total = np.stack([np.bincount(patient, p) for p in proba.T], axis=1)
        mean = total / np.bincount(patient)[:, None]
        facts = dict(parts[0].facts)
        facts["n_labels"] = float(np.mean([cell.facts["n_labels"] for cell in parts]))
        result.append(
            Cell(
                {**parts[0].key, "fold": 0},
                {**facts, "n_test": len(first)},
                {"rows": rows[first], "y": y[first], "proba": mean},
            )
        )
    return result


def score_cells(
    cells: Sequence[Cell], group: Index, *, n_replicates: int, seed: int = 0
) -> dict[Spot, Scores]:
    """Scores by row, task and share.

    Replicate r draws patients with replacement within the test part of every fold, and draws of
    labels with replacement; all rows see the same of both, so their replicates may be subtracted.

    Args:
        cells: of whole rows: every draw in every fold.
        group: (n,) patient of each recording.
        n_replicates: R.
        seed: of the replicates.
    """
    spots: dict[Spot, dict[tuple[int, int], Cell]] = {}
    for cell in cells:
        key = cell.key
        spot = (str(key["row"]), str(key["task"]), float(key["share"]))
        spots.setdefault(spot, {})[int(key["draw"]), int(key["fold"])] = cell
    scores = {}
    for spot, by_place in spots.items():
        draws, folds = (sorted({place[i] for place in by_place}) for i in (0, 1))
        exact: dict[str, NDArray[np.float64]] = {}
        drawn: dict[str, NDArray[np.float64]] = {}
        for i, draw in enumerate(draws):
            for j, fold in enumerate(folds):
                cell = by_place[draw, fold]
                arrays, names = cell.arrays, tuple(cell.facts.get("labels", ()))
                y, proba, patient = arrays["y"], arrays["proba"], group[arrays["rows"]]
                values = label_scores(y, proba, names)
                again = label_replicates(
                    y,
                    proba,
                    patient,
                    names=names,
                    n_replicates=n_replicates,
                    seed=derive_seed(seed, "fold", fold) % 2**31,
                )
                for name in METRICS if label_kind(y) == "classes" else values:
                    exact.setdefault(name, np.zeros((len(draws), len(folds))))[i, j] = values[name]
                    sums = drawn.setdefault(name, np.zeros((len(draws), n_replicates)))
                    sums[i] += again[name] / len(folds)
        labels = [cell.facts["n_labels"] for cell in by_place.values()]
        tested = [cell.facts["n_test"] for (draw, _), cell in by_place.items() if draw == draws[0]]
        scores[spot] = Scores(
            exact,
            {name: mean_over_drawn_seeds(values, seed) for name, values in drawn.items()},
            float(np.mean(labels)),
            int(np.sum(tested)),
        )
    return scores


def score_table(scores: dict[Spot, Scores]) -> pd.DataFrame:
    """One line a row, task, share and metric: value, interval, spread over draws, counts."""
    lines = []
    for (row, task, share), score in scores.items():
        for metric, exact in score.exact.items():
            low, high = percentile_interval(score.drawn[metric])
            lines.append(
                {
                    "row": row,
                    "task": task,
                    "share": share,
                    "metric": metric,
                    "value": float(exact.mean()),
                    "ci_low": low,
                    "ci_high": high,
                    "sd_over_draws": float(exact.mean(axis=1).std()),
                    "n_labels": score.n_labels,
                    "n_test": score.n_test,
                    "n_draws": exact.shape[0],
                    "n_folds": exact.shape[1],
                }
            )
    return pd.DataFrame(lines)


def difference_table(scores: dict[Spot, Scores], main: str) -> pd.DataFrame:
    """The row ``main`` minus every other, at the same task and share, with paired intervals."""
    lines = []
    for (row, task, share), score in scores.items():
        base = scores.get((main, task, share))
        if row == main or base is None:
            continue
        for metric in score.exact:
            low, high = percentile_interval(base.drawn[metric] - score.drawn[metric])
            lines.append(
                {
                    "row": row,
                    "task": task,
                    "share": share,
                    "metric": metric,
                    "difference": float(base.exact[metric].mean() - score.exact[metric].mean()),
                    "ci_low": low,
                    "ci_high": high,
                }
            )
    columns = ["row", "task", "share", "metric", "difference", "ci_low", "ci_high"]
    return pd.DataFrame(lines, columns=columns)


def class_table(cells: Sequence[Cell], task: Task, share: float) -> pd.DataFrame:
    """F1 of every class at one share, mean over draws and folds, one line a row.

    Args:
        cells: all that were predicted.
        task: of classes.
        share: of the labels.
    """
    values: dict[str, list[NDArray[np.float64]]] = {}
    for cell in cells:
        if cell.key["task"] == task.name and cell.key["share"] == share:
            f1 = f1_score(
                cell.arrays["y"],
                cell.arrays["proba"].argmax(axis=1),
                labels=np.arange(len(task.classes)),
                average=None,
                zero_division=0,
            )
            values.setdefault(str(cell.key["row"]), []).append(f1)
    means = {row: np.mean(scores, axis=0) for row, scores in values.items()}
    return pd.DataFrame(means, index=list(task.classes)).T


def prediction_table(
    cells: Sequence[Cell], tasks: Sequence[Task], data: Recordings
) -> pd.DataFrame:
    """One line a tested recording of every cell: record, patient, cell, label, the probability of
    every class, and what the recordings' own table says of it.

    Args:
        cells: all that were predicted.
        tasks: of the job.
        data: all recordings.
    """
    by_name = {task.name: task for task in tasks}
    names = pd.DataFrame({"record": data.record, "trial": data.trial, "patient": data.patient})
    facts = ("row", "task", "fold", "share", "draw")
    classes = {f"p_{name}" for task in tasks for name in task.classes}
    further = further_columns(data, [*names.columns, *facts, "label", *classes])
    parts = []
    for cell in cells:
        task, rows = by_name[str(cell.key["task"])], cell.arrays["rows"]
        part = names.iloc[rows].assign(
            **{name: cell.key[name] for name in facts},
            **_prediction_columns(cell.arrays["y"], cell.arrays["proba"], task),
        )
        parts.append(pd.concat([part, further.iloc[rows]], axis=1))
    return pd.concat(parts, ignore_index=True)


def _prediction_columns(y: NDArray[Any], proba: NDArray[np.float64], task: Task) -> dict[str, Any]:
    """Label and predictions as columns."""
    if task.kind == "target":
        return {"label": y, "predicted": proba[:, 0]}
    names = np.asarray(task.classes)
    label = names[y] if task.kind == "classes" else [";".join(names[labels == 1]) for labels in y]
    return {"label": label, **probability_columns(proba, task.classes)}


def shown(
    table: pd.DataFrame, value: str, titles: dict[str, str], sign: bool = False
) -> pd.DataFrame:
    """``value [low, high]`` with a line a row and a column a share, rows as in ``titles``.

    Args:
        table: lines of one task and metric.
        value: its column of values.
        titles: of the rows by name, in order.
        sign: write the sign of values.
    """
    form = "{:+.3f} [{:+.3f}, {:+.3f}]" if sign else "{:.3f} [{:.3f}, {:.3f}]"
    lines = []
    for row, title in titles.items():
        own = table[table["row"] == row]
        if own.empty:
            continue
        line = {"row": title}
        for share in sorted(table["share"].unique(), reverse=True):
            at = own[own["share"] == share]
            text = "" if at.empty else form.format(*at[[value, "ci_low", "ci_high"]].iloc[0])
            line[share_name(float(share))] = text
        lines.append(line)
    return pd.DataFrame(lines)


def share_name(share: float) -> str:
    """A share of labels in per cent."""
    return f"{100 * share:g} %"
