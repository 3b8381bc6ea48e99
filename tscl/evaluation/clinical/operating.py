"""What a classifier does at a threshold chosen beforehand, and for whom: points and subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.container.fields import label_kind
from tscl.errors import InputError
from tscl.evaluation.clinical.table import pooled_predictions
from tscl.evaluation.clinical.votes import vote
from tscl.evaluation.metrics.bootstrap import (
    draw_patients,
    mean_over_drawn_seeds,
    percentile_interval,
)
from tscl.evaluation.metrics.labels import label_replicates, label_scores
from tscl.saving.cells import Cell

Floats = NDArray[np.float64]


def threshold_at(y: NDArray[np.int64], score: Floats, specificity: float) -> float:
    """The lowest threshold at which at least this share of the negatives is below it.

    Args:
        y: (n,) 0 or 1, both present.
        score: (n,) of class 1.
        specificity: in (0, 1).

    Raises:
        InputError: a specificity out of range, or labels of one class.
    """
    if not 0 < specificity < 1:
        raise InputError("specificity", specificity, "give a share above 0 and below 1")
    if len(np.unique(y)) < 2:
        raise InputError("y", "one class", "give positives and negatives")
    negatives = np.sort(score[y == 0])
    last = negatives[int(np.ceil(specificity * len(negatives))) - 1]
    return float(np.nextafter(last, np.inf))


def operating_points(
    seeds: Sequence[Sequence[Cell]],
    names: Sequence[str],
    *,
    specificity: float = 0.9,
    level: str = "sample",
    n_replicates: int = 1000,
) -> pd.DataFrame:
    """Sensitivity and specificity in the test part at thresholds chosen in the validation part.

    The threshold is that of :func:`threshold_at`, of every seed and fold on its own. Intervals
    resample patients and seeds.

    Args:
        seeds: all folds of each seed of one row, whose cells hold ``valid_y``, ``valid_proba`` and
            ``valid_patient``.
        names: of the classes, of two only the second has a line, as the other is its mirror; or
            of several labels.
        specificity: wanted in the validation part.
        level: ``sample`` or ``patient``.
        n_replicates: of the bootstrap.

    Returns:
        Columns class, level, sensitivity, specificity (with intervals), threshold (mean),
        positives, negatives. A class that some validation or test part lacks has no line; empty
        where cells hold no validation predictions, or numbers.
    """
    lines = []
    kind = label_kind(seeds[0][0].arrays["y"])
    if kind == "target":
        return pd.DataFrame()
    for code in [1] if len(names) == 2 and kind == "classes" else range(len(names)):
        rates, drawn, thresholds, last = [], [], [], np.empty(0, np.int64)
        for cells in seeds:
            parts = [_decided(cell, code, specificity, level) for cell in cells]
            whole = [part for part in parts if part is not None]
            if len(whole) < len(cells):
                break
            last = np.concatenate([part.y for part in whole])
            hit = np.concatenate([part.hit for part in whole])
            patient = np.concatenate([part.patient for part in whole])
            exact, again = _rates(last, hit, patient, n_replicates)
            thresholds += [part.threshold for part in whole]
            rates.append(exact)
            drawn.append(again)
        if len(rates) < len(seeds) or not np.isfinite(rates).all():
            continue
        line: dict[str, Any] = {"class": names[code], "level": level}
        for place, title in enumerate(("sensitivity", "specificity")):
            values = mean_over_drawn_seeds(np.stack([rates_drawn[place] for rates_drawn in drawn]))
            low, high = percentile_interval(values)
            line[title] = f"{np.mean([r[place] for r in rates]):.3f} [{low:.2f}, {high:.2f}]"
        line["threshold"] = f"{np.mean(thresholds):.3f}"
        line |= {"positives": int(last.sum()), "negatives": int((last == 0).sum())}
        lines.append(line)
    return pd.DataFrame(lines)


class _Decided(NamedTuple):
    """Truth, decision and patient of tested units (n,), and the threshold."""

    y: NDArray[np.int64]
    hit: NDArray[np.bool_]
    patient: NDArray[Any]
    threshold: float


def _decided(cell: Cell, code: int, specificity: float, level: str) -> _Decided | None:
    """The tested units decided by the validation part's threshold; None where it has none."""
    arrays = cell.arrays
    if "valid_proba" not in arrays:
        return None
    held, test = (
        vote(*(arrays[f"{part}{name}"] for name in ("y", "proba", "patient")), level=level).against(
            code
        )
        for part in ("valid_", "")
    )
    if len(np.unique(held.y)) < 2:
        return None
    threshold = threshold_at(held.y, held.proba[:, 1], specificity)
    return _Decided(test.y, test.proba[:, 1] >= threshold, test.patient, threshold)


def _rates(
    y: NDArray[np.int64],
    hit: NDArray[np.bool_],
    patient: NDArray[Any],
    n_replicates: int,
) -> tuple[tuple[float, float], tuple[Floats, Floats]]:
    """Sensitivity and specificity, and both in every replicate of patients."""
    code, who = pd.factorize(patient, sort=True)
    counts = draw_patients(len(who), n_replicates, 0).astype(np.float64)
    exact, drawn = [], []
    for true, right in ((y == 1, hit), (y == 0, ~hit)):
        good = np.bincount(code, weights=true & right, minlength=len(who))
        every = np.bincount(code, weights=true, minlength=len(who))
        with np.errstate(invalid="ignore", divide="ignore"):
            exact.append(float(good.sum() / every.sum()))
            drawn.append((counts @ good) / (counts @ every))
    return (exact[0], exact[1]), (drawn[0], drawn[1])


def subgroup_table(
    seeds: Sequence[Sequence[Cell]],
    columns: Mapping[Any, pd.DataFrame],
    *,
    n_replicates: int = 1000,
) -> pd.DataFrame:
    """AUROC and macro F1, or R2 and mean absolute error of a number, of every subgroup of the
    test part, by sample, side by side.

    Args:
        seeds: all folds of each seed of one row.
        columns: by fold, what is known of its test samples, in their order; one frame column a
            kind of subgroup. Numbers of more than six values are cut into three bands of one size.
        n_replicates: of the bootstrap over patients and seeds.

    Returns:
        Columns subgroup, value, samples, patients, AUROC and macro F1 with intervals, ``-`` where
        a subgroup holds one class only.
    """
    pooled = [pooled_predictions(cells) for cells in seeds]
    known = pd.concat([columns[cell.key["fold"]] for cell in seeds[0]], ignore_index=True)
    first, lines = pooled[0], []
    titles = {"auroc": "AUROC", "f1": "macro F1"}
    if label_kind(first.y) == "target":
        titles = {"r2": "R2", "mae": "mean absolute error"}
    for name in known:
        values = _banded(known[name])
        for value in sorted(values.dropna().unique(), key=str):
            rows = (values == value).to_numpy()
            y, patient = first.y[rows], first.patient[rows]
            line: dict[str, Any] = {"subgroup": str(name), "value": str(value)}
            line |= {"samples": int(rows.sum()), "patients": len(np.unique(patient))}
            line |= dict.fromkeys(titles.values(), "-")
            if len(np.unique(y)) > 1:
                kept = [seed.proba[rows] for seed in pooled]
                drawn = [label_replicates(y, p, patient, n_replicates=n_replicates) for p in kept]
                exact = [label_scores(y, p) for p in kept]
                for metric, title in titles.items():
                    again = mean_over_drawn_seeds(np.stack([d[metric] for d in drawn]))
                    low, high = percentile_interval(again)
                    mean = np.mean([scores[metric] for scores in exact])
                    line[title] = f"{mean:.3f} [{low:.2f}, {high:.2f}]"
            lines.append(line)
    return pd.DataFrame(lines)


def _banded(values: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers of many values as bands of about equal counts, such as ``41 to 60``; else as is."""
    if values.dtype.kind not in "iuf" or values.nunique() <= 6:
        return values.where(values.astype(str).str.strip() != "")
    cut = pd.qcut(values, 3, duplicates="drop")
    text: pd.Series[Any] = cut.map(
        lambda third: f"above {third.left:g} to {third.right:g}", na_action="ignore"
    )
    return text.astype(object)
