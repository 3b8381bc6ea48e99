"""From evaluation cells to one tidy table: mean and spread over seeds, interval over patients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tscl.errors import InputError, check_choice
from tscl.evaluation.clinical.votes import LEVELS, LevelPredictions, Vote, vote
from tscl.evaluation.metrics.bootstrap import mean_over_drawn_seeds, percentile_interval
from tscl.evaluation.metrics.labels import label_replicates, label_scores
from tscl.saving.cells import Cell

GROUP: tuple[str, ...] = ("data", "method", "protocol", "fraction", "by")


def pooled_predictions(
    cells: Sequence[Cell], *, level: str = "sample", how: Vote = "mean"
) -> LevelPredictions:
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
    return vote(
        stacked["y"], stacked["proba"], stacked["patient"], stacked["trial"], level=level, how=how
    )


def summarise(
    cells: Iterable[Cell],
    *,
    how: Vote = "mean",
    folds: Literal["pool", "mean"] = "pool",
    levels: Sequence[str] = LEVELS,
    n_replicates: int = 1000,
    confidence: float = 0.95,
    bootstrap_seed: int = 0,
) -> pd.DataFrame:
    """One row a method, protocol, fraction, level and metric.

    Columns: ``data, method, protocol, fraction, by, level, metric``; ``mean`` and ``std`` (n - 1)
    over seeds; ``ci_low, ci_high``: bootstrap interval of the mean over seeds, patients
    (the same for every seed) and seeds, which draw the labels, resampled; metrics are those of
    :func:`tscl.evaluation.metrics.labels.label_scores` for the kind of label; ``n_seeds, n_folds,
    n_test`` (rows of the level), ``n_test_patients``; ``n_mixed`` (units of several
    labels, left out at that level);
    ``n_skipped`` (replicates without two classes); ``n_train_samples, n_train_patients`` (means
    over seeds and folds). A level at which every unit is mixed has no rows.

    Args:
        cells: results of :func:`tscl.evaluation.clinical.evaluate.evaluate_cells`.
        how: the vote from samples to trials and patients.
        folds: ``pool`` computes a metric once over the predictions of all folds; ``mean``
            averages the metrics of the folds, leaving out folds where it is not defined.
        levels: of ``sample``, ``trial`` and ``patient``.
        n_replicates: bootstrap replicates; 0 leaves the interval out.
        confidence: of the interval.
        bootstrap_seed: seed of the draws.

    Raises:
        InputError: two cells of one configuration, seed and fold.
    """
    check_choice("folds", folds, ("pool", "mean"))
    groups: dict[tuple[Any, ...], dict[Any, list[Cell]]] = {}
    for cell in cells:
        name = tuple(cell.key.get(part) for part in GROUP)
        groups.setdefault(name, {}).setdefault(cell.key.get("seed"), []).append(cell)
    rows: list[dict[str, Any]] = []
    for name, by_seed in groups.items():
        for level in levels:
            units = [
                [pooled_predictions([cell], level=level, how=how) for cell in group]
                if folds == "mean"
                else [pooled_predictions(group, level=level, how=how)]
                for group in _checked(by_seed)
            ]
            if not all(len(fold) for seed in units for fold in seed):
                continue
            rows += _level_rows(
                dict(zip(GROUP, name, strict=True)) | {"level": level},
                units,
                [cell for group in by_seed.values() for cell in group],
                (n_replicates, confidence, bootstrap_seed),
            )
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
    units: list[list[LevelPredictions]],
    cells: list[Cell],
    bootstrap: tuple[int, float, int],
) -> list[dict[str, Any]]:
    """Rows of one configuration and level; ``units`` by seed, then by fold."""
    n_replicates, confidence, seed = bootstrap
    names: list[str] = list(cells[0].facts.get("labels", []))
    by_seed = [_score(folds, names) for folds in units]
    scores = {name: np.array([figures[name] for figures in by_seed]) for name in by_seed[0]}
    drawn: list[dict[str, NDArray[np.float64]]] = []
    if n_replicates:
        drawn = [_replicates(folds, names, n_replicates, seed) for folds in units]
    first = units[0]
    patients = np.unique(np.concatenate([rows.patient for rows in first]))
    rows = []
    for metric in scores:
        low = high = float("nan")
        skipped = 0
        if drawn:
            mean = mean_over_drawn_seeds(np.stack([one[metric] for one in drawn]), seed)
            low, high = percentile_interval(mean, confidence)
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
                "n_test": sum(len(rows) for rows in first),
                "n_test_patients": len(patients),
                "n_mixed": sum(rows.n_mixed for rows in first),
                "n_skipped": skipped,
                "n_train_samples": _mean_fact(cells, "n_train_samples"),
                "n_train_patients": _mean_fact(cells, "n_train_patients"),
            }
        )
    return rows


def _score(folds: list[LevelPredictions], names: list[str]) -> dict[str, float]:
    """Metrics of one seed: of its pooled predictions, or averaged over folds."""
    metrics = [label_scores(fold.y, fold.proba, names) for fold in folds]
    return {name: _nanmean([figures[name] for figures in metrics]) for name in metrics[0]}


def _replicates(
    folds: list[LevelPredictions], names: list[str], n_replicates: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    drawn = []
    for number, fold in enumerate(folds):  # by patient: all levels and orders of folds draw alike
        rows = np.argsort(fold.patient, kind="stable")
        y, proba, patient = fold.y[rows], fold.proba[rows], fold.patient[rows]
        own = seed + number
        draws: dict[str, Any] = {"n_replicates": n_replicates, "seed": own}
        drawn.append(label_replicates(y, proba, patient, names=names, **draws))
    if len(drawn) == 1:
        return drawn[0]
    return {
        name: np.array(
            [
                _nanmean(column)
                for column in zip(*(replicates[name] for replicates in drawn), strict=True)
            ]
        )
        for name in drawn[0]
    }


def _nanmean(values: Iterable[float]) -> float:
    finite = [value for value in values if np.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def _mean_fact(cells: list[Cell], name: str) -> float:
    return _nanmean([float(cell.facts.get(name, np.nan)) for cell in cells])
