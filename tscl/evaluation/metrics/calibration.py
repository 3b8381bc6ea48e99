"""Calibration of class probabilities: reliability bins, expected error, slope and intercept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError


@dataclass(frozen=True)
class ReliabilityBins:
    """Equal-width bins of the top-label confidence, (n_bins,) each.

    Attributes:
        edges: (n_bins + 1,) from 0 to 1; a bin holds ``edges[i] < confidence <= edges[i + 1]``
            (the first one also 0).
        count: samples in each bin.
        confidence: mean confidence of each bin, NaN where empty.
        accuracy: share of right predictions of each bin, NaN where empty.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean over samples of |accuracy - confidence| of the bin."""
        used = self.count > 0
        gap = np.abs(self.accuracy[used] - self.confidence[used])
        return float((gap * self.count[used]).sum() / self.count.sum())


def check_probabilities(
    y_true: ArrayLike, proba: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels (n,) as int64 and probabilities (n, K) as float64, or an error naming the fault.

    Raises:
        InputError: wrong shapes, no samples, a label that is no integer in [0, K), values that
            are not finite or negative, rows whose sum is off 1 by more than 0.001.
    """
    p = np.asarray(proba, dtype=np.float64)
    y = np.asarray(y_true)
    if p.ndim != 2 or p.shape[1] < 2:
        raise InputError("proba", f"shape {p.shape}", "give (n_samples, n_classes >= 2)")
    if y.ndim != 1 or len(y) != len(p):
        raise InputError("y_true", f"shape {y.shape}", f"give one label a row of proba, {len(p)}")
    if len(y) == 0:
        raise InputError("y_true", "no samples", "give at least one")
    if y.dtype.kind not in "iub":
        raise InputError("y_true", f"dtype {y.dtype}", "give integer class codes from 0")
    if y.min() < 0 or y.max() >= p.shape[1]:
        wrong = f"{y.min()}..{y.max()}"
        raise InputError(
            "y_true", wrong, f"give codes 0..{p.shape[1] - 1}; drop unlabelled samples"
        )
    if not np.isfinite(p).all():
        row = int(np.flatnonzero(~np.isfinite(p).all(axis=1))[0])
        raise InputError("proba", f"row {row}: {p[row]}", "give finite probabilities")
    if p.min() < 0:
        row = int(np.flatnonzero((p < 0).any(axis=1))[0])
        raise InputError("proba", f"row {row}: {p[row]}", "probabilities cannot be negative")
    off = np.abs(p.sum(axis=1) - 1)
    if off.max() > 1e-3:
        row = int(off.argmax())
        raise InputError("proba", f"row {row} sums to {p[row].sum():.4g}", "normalise rows to 1")
    return y.astype(np.int64), p


def bin_index(confidence: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    """Bin of each confidence among ``n_bins`` equal-width bins, closed on the right."""
    inner = np.linspace(0.0, 1.0, n_bins + 1)[1:-1]
    return np.searchsorted(inner, confidence, side="left").astype(np.int64)


def reliability_bins(y_true: ArrayLike, proba: ArrayLike, n_bins: int = 15) -> ReliabilityBins:
    """Confidence and accuracy of the predicted (top) label by equal-width bins.

    Guo et al., "On Calibration of Modern Neural Networks" (arXiv 1706.04599), equations 1 to 3.

    Args:
        y_true: (n,) class codes.
        proba: (n, K) class probabilities.
        n_bins: number of bins over [0, 1].

    Raises:
        InputError: see :func:`check_probabilities`; ``n_bins`` below 1.
    """
    y, p = check_probabilities(y_true, proba)
    if n_bins < 1:
        raise InputError("n_bins", n_bins, "give at least 1")
    top = p.max(axis=1)
    right = p.argmax(axis=1) == y
    where = bin_index(top, n_bins)
    count = np.bincount(where, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(where, weights=top, minlength=n_bins) / count
        accuracy = np.bincount(where, weights=right, minlength=n_bins) / count
    return ReliabilityBins(np.linspace(0, 1, n_bins + 1), count, confidence, accuracy)


def expected_calibration_error(y_true: ArrayLike, proba: ArrayLike, n_bins: int = 15) -> float:
    """Expected calibration error of the top label, in [0, 1]; arXiv 1706.04599, equation 3.

    Arguments as :func:`reliability_bins`.
    """
    return reliability_bins(y_true, proba, n_bins).ece


def calibration_line(
    y_true: ArrayLike, p: ArrayLike, weights: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Calibration slope and intercept of a probability, each by maximum likelihood.

    Van Calster et al., "Calibration: the Achilles heel of predictive analytics", BMC Medicine 2019,
    doi 10.1186/s12916-019-1466-7. The slope b is that of ``logit P(y) = a + b logit p`` (1 is
    right, below 1 the predictions are too extreme); the intercept, calibration in the large, is a
    of ``logit P(y) = a + logit p`` (0 is right, above 0 the predictions are too low).

    Args:
        y_true: (n,) 0 or 1.
        p: (n,) probabilities of 1, kept at least 1e-7 from 0 and 1.
        weights: (R, n) weights of the samples, such as how often each was drawn; one of 1 without.

    Returns:
        Slope and intercept (R,); NaN where a fit has no finite maximum (one class only, or classes
        that the probability tells apart without an error).

    Raises:
        InputError: shapes that differ or labels that are not 0 or 1.
    """
    y, known = np.asarray(y_true), np.clip(np.asarray(p, np.float64), 1e-7, 1 - 1e-7)
    if y.shape != known.shape or y.ndim != 1 or not np.isin(y, (0, 1)).all():
        raise InputError("y_true", f"shape {y.shape}", "give 0 or 1 for each probability")
    logit = np.log(known / (1 - known))
    w = np.ones((1, len(y))) if weights is None else np.asarray(weights, np.float64)
    slope = _newton(y, logit, w, free=True)
    return slope, _newton(y, logit, w, free=False)


def _newton(
    y: NDArray[Any], x: NDArray[np.float64], w: NDArray[np.float64], *, free: bool
) -> NDArray[np.float64]:
    """Logistic regression of y on x for every row of weights: the slope where it is free, else
    the intercept beside a slope of 1."""
    a, b = np.zeros(len(w)), np.full(len(w), 0.0 if free else 1.0)
    done = np.zeros(len(w), bool)
    with np.errstate(all="ignore"):
        for _ in range(50):
            mean = 1 / (1 + np.exp(-(a[:, None] + b[:, None] * x)))
            rest, curve = w * (y - mean), w * mean * (1 - mean)
            ga, haa = rest.sum(1), curve.sum(1)
            if free:
                gb, hab, hbb = rest @ x, curve @ x, curve @ (x * x)
                area = haa * hbb - hab * hab
                da, db = (hbb * ga - hab * gb) / area, (haa * gb - hab * ga) / area
            else:
                da, db = ga / haa, np.zeros(len(w))
            a, b = a + da, b + db
            done = (np.abs(da) < 1e-8) & (np.abs(db) < 1e-8)
            if done.all():
                break
    return np.where(done, b if free else a, np.nan)
