"""From evaluation cells to one tidy table: mean and spread over seeds, interval over patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tscl.errors import InputError
from tscl.evaluation.clinical.votes import LEVELS, LevelPredictions, vote
from tscl.evaluation.metrics.bootstrap import mean_over_drawn_seeds, percentile_interval
from tscl.evaluation.metrics.labels import label_replicates, label_scores
from tscl.saving.cells import Cell

GROUP: tuple[str, ...] = ("data", "method", "protocol", "fraction", "by")


def pooled_predictions(cells: Sequence[Cell], *, level: str = "sample") -> LevelPredictions:
    """Test predictions of one seed at one level, all folds one below the other.

    Raises:
        InputError: no cells, or two of the same fold.
    """
    if not cells:
        raise InputError("cells", "none", "give at least one")
    folds = [cell.key.get("fold", 0) for cell in cells]
    if len(set(map(str, folds))) < len(folds):
        raise InputError("cells", f"folds {folds}", "give one cell a fold, of one digest")
    stacked = {
        name: np.concatenate([cell.arrays[name] for cell in cells])
        for name in ("y", "proba", "patient", "trial")
    }
    return vote(stacked["y"], stacked["proba"], stacked["patient"], stacked["trial"], level=level)


def summarise(cells: Iterable[Cell], *, n_replicates: int = 1000) -> pd.DataFrame:
    """One row a method, protocol, fraction, level and metric.

    Columns: ``data, method, protocol, fraction, by, level, metric``; ``mean`` and ``std`` (n - 1)
    over seeds, of the predictions of all folds; ``ci_low, ci_high``: 95 % bootstrap interval of
    the mean over seeds, patients (the same for every seed) and seeds, which draw the labels,
    resampled; metrics are those of
    :func:`tscl.evaluation.metrics.labels.label_scores` for the kind of label; ``n_seeds, n_folds,
    n_test`` (rows of the level), ``n_test_patients``; ``n_mixed`` (units of several
    labels, left out at that level);
    ``n_skipped`` (replicates without two classes); ``n_train_samples, n_train_patients`` (means
    over seeds and folds). A level at which every unit is mixed has no rows.

    Args:
        cells: results of :func:`tscl.evaluation.clinical.evaluate.evaluate_cells`.
        n_replicates: bootstrap replicates; 0 leaves the interval out.

    Raises:
        InputError: two cells of one configuration, seed and fold.
    """
    groups: dict[tuple[Any, ...], dict[Any, list[Cell]]] = {}
    for cell in cells:
        name = tuple(cell.key.get(part) for part in GROUP)
        groups.setdefault(name, {}).setdefault(cell.key.get("seed"), []).append(cell)
    rows: list[dict[str, Any]] = []
    for name, by_seed in groups.items():
        own = [cell for group in by_seed.values() for cell in group]
        for level in LEVELS:
            units = [pooled_predictions(group, level=level) for group in _checked(by_seed)]
            if all(map(len, units)):
                head = dict(zip(GROUP, name, strict=True)) | {"level": level}
                rows += _level_rows(head, units, own, n_replicates)
    return pd.DataFrame(rows)


def _checked(by_seed: dict[Any, list[Cell]]) -> list[list[Cell]]:
    for seed, cells in by_seed.items():
        folds = [str(cell.key.get("fold", 0)) for cell in cells]
        if len(set(folds)) < len(folds):
            value = f"{len(cells)} cells for seed {seed}, folds {folds}"
            raise InputError("cells", value, "give one cell a seed and fold, of one digest")
    return list(by_seed.values())


def _level_rows(
    head: dict[str, Any],
    units: list[LevelPredictions],
    cells: list[Cell],
    n_replicates: int,
) -> list[dict[str, Any]]:
    """Rows of one configuration and level; ``units`` by seed."""
    names: list[str] = list(cells[0].facts.get("labels", []))
    by_seed = [label_scores(rows.y, rows.proba, names) for rows in units]
    scores = {name: np.array([figures[name] for figures in by_seed]) for name in by_seed[0]}
    drawn: list[dict[str, NDArray[np.float64]]] = []
    if n_replicates:
        drawn = [_replicates(rows, names, n_replicates) for rows in units]
    first = units[0]
    rows = []
    for metric in scores:
        low = high = float("nan")
        skipped = 0
        if drawn:
            mean = mean_over_drawn_seeds(np.stack([replicates[metric] for replicates in drawn]))
            low, high = percentile_interval(mean)
            skipped = int(np.isnan(mean).sum())
        rows.append(
            {
                **head,
                "metric": metric,
                "mean": float(scores[metric].mean()),
                "std": float(scores[metric].std(ddof=1)) if len(units) > 1 else float("nan"),
                "ci_low": low,
                "ci_high": high,
                "n_seeds": len(units),
                "n_folds": len({str(cell.key.get("fold", 0)) for cell in cells}),
                "n_test": len(first),
                "n_test_patients": len(np.unique(first.patient)),
                "n_mixed": first.n_mixed,
                "n_skipped": skipped,
                "n_train_samples": _mean_fact(cells, "n_train_samples"),
                "n_train_patients": _mean_fact(cells, "n_train_patients"),
            }
        )
    return rows


def _replicates(
    level: LevelPredictions, names: list[str], n_replicates: int
) -> dict[str, NDArray[np.float64]]:
    rows = np.argsort(level.patient, kind="stable")  # all levels and orders of folds draw alike
    y, proba, patient = level.y[rows], level.proba[rows], level.patient[rows]
    return label_replicates(y, proba, patient, names=names, n_replicates=n_replicates, seed=0)


def _mean_fact(cells: list[Cell], name: str) -> float:
    values = [float(cell.facts.get(name, np.nan)) for cell in cells]
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
