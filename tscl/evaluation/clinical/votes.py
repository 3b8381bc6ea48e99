"""From samples to trials to patients: votes over the predictions of a unit's samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError, check_choice
from tscl.evaluation.metrics.labels import check_predictions

LEVELS: tuple[str, ...] = ("sample", "trial", "patient")


@dataclass(frozen=True)
class LevelPredictions:
    """Predictions of one level: one row a sample, a trial or a patient.

    Attributes:
        level: ``sample``, ``trial`` or ``patient``.
        y: (m,) class codes, (m, L) labels, or (m,) numbers.
        proba: (m, K) probabilities; (m, L); (m, 1) predicted numbers.
        patient: (m,) the patient of each row.
        n_mixed: units left out because their samples carry different labels.
    """

    level: str
    y: NDArray[Any]
    proba: NDArray[np.float64]
    patient: NDArray[Any]
    n_mixed: int = 0

    def __len__(self) -> int:
        return len(self.y)

    def against(self, code: int) -> LevelPredictions:
        """One class against the rest, or one of several labels where it is known: ``y`` of 0 and 1
        and ``proba`` (m, 2)."""
        y, score, who = self.y, self.proba[:, code], self.patient
        if y.ndim == 2:
            known = ~np.isnan(y[:, code])
            y, score, who = y[known, code] == 1, score[known], who[known]
        else:
            y = y == code
        proba = np.stack([1 - score, score], axis=1)
        return LevelPredictions(self.level, y.astype(np.int64), proba, who)


def vote(
    y_true: ArrayLike,
    proba: ArrayLike,
    patient: ArrayLike,
    trial: ArrayLike | None = None,
    *,
    level: str = "patient",
) -> LevelPredictions:
    """Aggregate sample predictions to one row a trial or a patient: the mean of its samples.

    A unit whose samples have different labels has none of its own; it is left out and counted in
    ``n_mixed``.

    Args:
        y_true: (n,) class codes, (n, L) labels, or (n,) numbers; see
            :func:`tscl.evaluation.metrics.labels.check_predictions`.
        proba: (n, K) probabilities, (n, L), or (n, 1) predicted numbers.
        patient: (n,) ids.
        trial: (n,) ids; equal trial ids of two patients are two trials.
        level: ``sample`` (returned as it is), ``trial`` or ``patient``.

    Raises:
        InputError: unknown level, lengths that differ, no trial ids for ``trial``.
    """
    y, p = check_predictions(y_true, proba)
    check_choice("level", level, LEVELS)
    who = _ids("patient", patient, len(y))
    if level == "sample":
        return LevelPredictions(level, y, p, who)
    unit = np.unique(who, return_inverse=True)[1]
    if level == "trial":
        if trial is None:
            raise InputError("trial", None, "give trial ids for level 'trial'")
        codes = np.unique(_ids("trial", trial, len(y)), return_inverse=True)[1]
        unit = np.unique(unit * (codes.max() + 1) + codes, return_inverse=True)[1]
    first = np.unique(unit, return_index=True)[1]
    size = np.bincount(unit)
    mean = np.stack([np.bincount(unit, weights=column) for column in p.T], axis=1) / size[:, None]
    own = y[first]
    differs = (y != own[unit]) & ~((y != y) & (own[unit] != own[unit]))  # unknown equals unknown
    pure = np.bincount(unit, weights=differs.reshape(len(y), -1).any(axis=1)) == 0
    return LevelPredictions(level, own[pure], mean[pure], who[first][pure], int((~pure).sum()))


def _ids(name: str, ids: ArrayLike, n: int) -> NDArray[Any]:
    """``ids`` as (n,)."""
    array = np.asarray(ids)
    if array.shape != (n,):
        raise InputError(name, f"shape {array.shape}", f"give one id a sample, {n}")
    missing = int(pd.isna(array).sum())
    if missing:
        raise InputError(name, f"{missing} missing ids", "name every sample's")
    return array
