"""Differences between two rows of a clinical table, patients resampled for both at once.

Intervals of two rows may overlap although the same patients are harder for both; the interval of
their difference over the same draws of patients is the one that says whether they differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.container.fields import label_kind
from tscl.errors import InputError, check_choice
from tscl.evaluation.clinical.table import pooled_predictions
from tscl.evaluation.metrics.bootstrap import mean_over_drawn_seeds, percentile_interval
from tscl.evaluation.metrics.labels import MAIN, SCORES, label_replicates, label_scores
from tscl.saving.cells import Cell

Group = tuple[str, str, float, str]
_KEYS = ("data", "protocol", "fraction", "by")


def paired_differences(
    cells: Iterable[Cell],
    reference: str | Sequence[str],
    *,
    metric: str | None = None,
    n_replicates: int = 1000,
) -> pd.DataFrame:
    """Every other row minus ``reference`` at the same data, share of labels and seeds.

    By sample and by patient, with 95 % intervals.

    A row is compared with the reference under its own protocol, or, where the reference has not
    run that, under the reference's first one. Folds are pooled. Of seeds both have, the difference
    of each seed is averaged; all see the same draws of patients, and seeds are resampled too.

    Args:
        cells: results of :func:`tscl.evaluation.clinical.evaluate.evaluate_cells` of several
            methods.
        reference: ``method`` of the row to subtract; of several, one after the other.
        metric: one of :data:`tscl.evaluation.metrics.labels.SCORES` for the kind of label; None:
            AUROC, or R2 of numbers.
        n_replicates: bootstrap replicates.

    Returns:
        Columns ``data, method, protocol, fraction, by, level, metric, reference,
        reference_protocol, difference, ci_low, ci_high, n_seeds, n_test_patients``.

    Raises:
        InputError: no cells, an unknown reference or metric, or two rows that were not tested on
            the same samples.
    """
    every_cell = list(cells)
    methods = list(dict.fromkeys(str(cell.key["method"]) for cell in every_cell))
    references = [reference] if isinstance(reference, str) else list(reference)
    for reference in references:
        check_choice("reference", reference, methods)
    kind = label_kind(every_cell[0].arrays["y"]) if every_cell else "classes"
    metric = MAIN[kind] if metric is None else metric
    check_choice("metric", metric, SCORES[kind])
    rows: dict[str, dict[Group, dict[Any, list[Cell]]]] = {}
    for cell in every_cell:
        key = cell.key
        group: Group = key["data"], key["protocol"], key["fraction"], key["by"]
        seeds = rows.setdefault(str(key["method"]), {}).setdefault(group, {})
        seeds.setdefault(key["seed"], []).append(cell)
    kept: dict[tuple[Any, ...], _Scored] = {}

    def scored(method: str, group: Group, seed: Any, level: str) -> _Scored:
        spot = method, group, seed, level
        if spot not in kept:
            kept[spot] = _Scored.of(rows[method][group][seed], level, metric, n_replicates)
        return kept[spot]

    table: list[dict[str, Any]] = []
    every = [(name, group) for name, groups in rows.items() for group in groups]
    for base, (method, group), level in product(references, every, ("sample", "patient")):
        other = _counterpart(rows[base], group)
        if method == base or other is None:
            continue
        pairs = [
            (scored(method, group, seed, level), scored(base, other, seed, level))
            for seed in rows[method][group]
            if seed in rows[base][other]
        ]
        if not pairs or not all(len(cell.patient) for cell, _ in pairs):
            continue
        differences = np.stack([cell.minus(two) for cell, two in pairs])
        values = mean_over_drawn_seeds(differences)
        low, high = percentile_interval(values)
        table.append(
            {
                "method": method,
                **dict(zip(_KEYS, group, strict=True)),
                "level": level,
                "metric": metric,
                "reference": base,
                "reference_protocol": other[1],
                "difference": float(np.mean([cell.exact - two.exact for cell, two in pairs])),
                "ci_low": low,
                "ci_high": high,
                "n_seeds": len(pairs),
                "n_test_patients": len(np.unique(pairs[0][0].patient)),
            }
        )
    return pd.DataFrame(table)


@dataclass(frozen=True)
class _Scored:
    """One row's metric, as it is and in each replicate, and the tested units behind it."""

    y: NDArray[Any]
    patient: NDArray[Any]
    exact: float
    drawn: NDArray[np.float64]

    @classmethod
    def of(cls, cells: Sequence[Cell], level: str, metric: str, n_replicates: int) -> _Scored:
        """Units are sorted by patient, so folds may come in any order."""
        rows = pooled_predictions(cells, level=level)
        if not len(rows):
            return cls(rows.y, rows.patient, float("nan"), np.full(n_replicates, np.nan))
        order = np.argsort(rows.patient, kind="stable")
        y, proba, patient = rows.y[order], rows.proba[order], rows.patient[order]
        exact = label_scores(y, proba)[metric]
        drawn = label_replicates(y, proba, patient, n_replicates=n_replicates)
        return cls(y, patient, exact, drawn[metric])

    def minus(self, other: _Scored) -> NDArray[np.float64]:
        """Difference in each replicate."""
        same = np.array_equal(self.y, other.y, equal_nan=True)
        same &= np.array_equal(self.patient, other.patient)
        if not same:
            value = f"{len(self.y)} and {len(other.y)} rows that are not the same"
            raise InputError("cells", value, "compare rows tested on the same samples")
        return self.drawn - other.drawn


def _counterpart(base: dict[Group, Any], group: Group) -> Group | None:
    """The reference's cells to subtract: the same protocol, else its first one."""
    if group in base:
        return group
    data, _, fraction, by = group
    same = [key for key in base if (key[0], key[2], key[3]) == (data, fraction, by)]
    return same[0] if same else None
