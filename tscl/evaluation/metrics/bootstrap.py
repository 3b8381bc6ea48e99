"""Confidence intervals by resampling patients.

Samples of one patient are not independent, so the unit drawn with replacement is the patient.
The metrics of :mod:`tscl.evaluation.metrics.classification` are computed for many replicates at
once from the number of times each patient was drawn; any other metric goes through
:func:`bootstrap_metric`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError
from tscl.evaluation.metrics.calibration import bin_index, check_probabilities
from tscl.evaluation.metrics.classification import METRICS
from tscl.seeding import numpy_generator

Array = NDArray[np.float64]
_N_BINS = 15
_CHUNK = 4_000_000


def percentile_interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """Percentile limits of the finite ``values``; NaN where there are none."""
    if not 0 < level < 1:
        raise InputError("level", level, "choose a level in (0, 1), such as 0.95")
    finite = values[np.isfinite(values)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def draw_patients(n_patients: int, n_replicates: int, seed: int) -> NDArray[np.int64]:
    """How often each patient is drawn in each replicate, (n_replicates, n_patients).

    Args:
        n_patients: patients to draw from.
        n_replicates: samples of as many patients, >= 1.
        seed: of the draws.
    """
    if n_replicates < 1:
        raise InputError("n_replicates", n_replicates, "draw at least 1")
    generator = numpy_generator(seed, "patient bootstrap")
    return generator.multinomial(n_patients, np.full(n_patients, 1 / n_patients), n_replicates)


def mean_over_drawn_seeds(values: Array, seed: int = 0) -> Array:
    """Mean over seeds drawn with replacement anew in each replicate, (R,).

    A seed draws the labels; so the interval holds their chance beside that of the patients. Two
    rows of as many seeds see the same draws. ``values`` are (S, R), of every seed in every
    replicate of patients.
    """
    count, replicates = values.shape
    picks = numpy_generator(seed, "label draws").integers(count, size=(count, replicates))
    mean: Array = values[picks, np.arange(replicates)].mean(axis=0)
    return mean


def bootstrap_replicates(
    y_true: ArrayLike,
    proba: ArrayLike,
    patient: ArrayLike,
    *,
    n_replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Array]:
    """Every metric in every replicate, (n_replicates,) each.

    A value equals :func:`tscl.evaluation.metrics.classification.classification_metrics` of the
    drawn rows. Replicates with fewer than two classes are NaN in every metric. Two sets of
    predictions for the same patients and seed see the same draws, so their replicates may be
    subtracted.

    Args:
        y_true: (n,) class codes.
        proba: (n, K) probabilities.
        patient: (n,) ids.
        n_replicates: number of replicates R.
        seed: seed of the draws.
    """
    y, p = check_probabilities(y_true, proba)
    code, n_patients = patient_codes(patient, len(y))
    counts = draw_patients(n_patients, n_replicates, seed).astype(np.float64)
    out = _from_sums(y, p, code, counts)
    out.update(_from_ranks(y, p, code, counts))
    classes = np.unique(y)
    has = np.stack([counts @ (np.bincount(code[y == k], minlength=n_patients)) for k in classes])
    skip = (has > 0).sum(axis=0) < 2
    return {name: np.where(skip, np.nan, out[name]) for name in METRICS}


def patient_codes(patient: ArrayLike, n: int) -> tuple[NDArray[np.int64], int]:
    """Codes (n,) of the patients and how many there are.

    Patients are numbered as they first appear, so that the spelling of ids changes no draw.
    """
    ids = np.asarray(patient)
    if ids.shape != (n,):
        raise InputError("patient", f"shape {ids.shape}", f"give one id a row, {n}")
    code, names = pd.factorize(ids)
    if (code < 0).any():
        raise InputError("patient", f"{int((code < 0).sum())} missing ids", "name every row's")
    return code.astype(np.int64), len(names)


def _from_sums(
    y: NDArray[np.int64], p: Array, code: NDArray[np.int64], counts: Array
) -> dict[str, Array]:
    """Metrics that are functions of per-patient sums: one matrix product a sum."""
    n_patients, k = counts.shape[1], p.shape[1]
    predicted, top = p.argmax(axis=1), p.max(axis=1)
    cells = np.zeros((n_patients, k * k))
    np.add.at(cells, (code, y * k + predicted), 1.0)
    confusion = (counts @ cells).reshape(-1, k, k)
    hit = np.einsum("rkk->rk", confusion)
    true, called = confusion.sum(axis=2), confusion.sum(axis=1)
    total = np.maximum(true.sum(axis=1), 1)
    seen = (true + called) > 0
    classes = np.maximum(seen.sum(axis=1), 1)
    bins = np.zeros((n_patients, _N_BINS))
    np.add.at(bins, (code, bin_index(top, _N_BINS)), (predicted == y) - top)
    return {
        "accuracy": hit.sum(axis=1) / total,
        "precision": (hit / np.maximum(called, 1)).sum(axis=1) / classes,
        "recall": (hit / np.maximum(true, 1)).sum(axis=1) / classes,
        "f1": (2 * hit / np.maximum(true + called, 1)).sum(axis=1) / classes,
        "ece": np.abs(counts @ bins).sum(axis=1) / total,
    }


def _from_ranks(
    y: NDArray[np.int64], p: Array, code: NDArray[np.int64], counts: Array
) -> dict[str, Array]:
    """AUROC and average precision from weighted cumulative counts over sorted scores."""
    k = p.shape[1]
    areas = np.full((2, k, len(counts)), np.nan)
    for c in [1, 0] if k == 2 else range(k):
        areas[:, c] = weighted_areas(y == c, p[:, c], code, counts)
    present = np.isfinite(areas[0]).sum(axis=0)
    total = np.maximum(present, 1)
    macro = np.where(present > 0, np.nansum(areas, axis=1) / total, np.nan)
    if k == 2:
        return {"auroc": areas[0, 1], "auprc": areas[1, 1], "auprc_macro": macro[1]}
    return {"auroc": macro[0], "auprc": macro[1], "auprc_macro": macro[1]}


def weighted_areas(
    positive: NDArray[np.bool_], score: Array, code: NDArray[np.int64], counts: Array
) -> Array:
    """AUROC and average precision in every replicate, (2, R); NaN without both classes.

    Args:
        positive: (n,) True for the class.
        score: (n,) of the class.
        code: (n,) patient of each row.
        counts: (R, patients) how often each is drawn, see :func:`draw_patients`.
    """
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    who, positive = code[order], positive[order]
    step = max(1, _CHUNK // len(score))
    parts = [
        _areas(counts[start : start + step][:, who], positive, last)
        for start in range(0, len(counts), step)
    ]
    return np.concatenate(parts, axis=1)


def _areas(weights: Array, positive: NDArray[np.bool_], last: NDArray[np.int64]) -> Array:
    """AUROC and average precision of weighted samples sorted by falling score.

    Args:
        weights: (R, n) weight of each sample in each replicate.
        positive: (n,) True for the class.
        last: index of the last sample of each distinct score.

    Returns:
        (2, R); NaN where a replicate holds no positive or no negative.
    """
    tp = np.cumsum(weights * positive, axis=1)[:, last]
    both = np.cumsum(weights, axis=1)[:, last]
    fp = both - tp
    n_pos, n_neg = tp[:, -1], fp[:, -1]
    new_tp = np.diff(tp, axis=1, prepend=0.0)
    new_fp = np.diff(fp, axis=1, prepend=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = (new_fp * (tp - new_tp / 2)).sum(axis=1) / (n_pos * n_neg)
        average = (new_tp * tp / np.maximum(both, 1)).sum(axis=1) / n_pos
    return np.where((n_pos > 0) & (n_neg > 0), np.stack([auroc, average]), np.nan)
