"""Precision, recall and F1 of alarms in time, with the delay protocol of anomaly detection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_fscore_support

from tscl.errors import InputError

Flags = NDArray[np.int64]


def adjust_by_delay(y_true: ArrayLike, y_pred: ArrayLike, delay: int) -> Flags:
    """Alarms counted by segment: TS2Vec's protocol (arXiv 2106.10466, section 4.3).

    A true segment (a run of 1) counts as found, at all its steps, when an alarm falls on one of
    its first ``delay + 1`` steps, and as missed at all its steps otherwise. Alarms outside true
    segments stay as they are.

    Args:
        y_true: (T,) 1 where there is an anomaly, else 0.
        y_pred: (T,) 1 for an alarm.
        delay: most steps between the start of a segment and its first alarm; the paper takes 7
            for data by the minute and 3 for data by the hour.

    Returns:
        (T,) int64.

    Raises:
        InputError: other values than 0 and 1, lengths that differ, a negative delay.
    """
    truth, alarm = _flags("y_true", y_true), _flags("y_pred", y_pred)
    if truth.shape != alarm.shape:
        raise InputError("y_pred", alarm.shape, f"give one a step, {truth.shape}")
    if delay < 0:
        raise InputError("delay", delay, "give 0 or more steps")
    out = alarm.copy()
    edges = np.diff(np.concatenate([[0], truth, [0]]))
    for start, stop in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        out[start:stop] = alarm[start : min(stop, start + delay + 1)].any()
    return out


def on_grid(times: ArrayLike, flags: ArrayLike) -> Flags:
    """Flags at uneven times on the even grid of their smallest step; a missing step is 0.

    TS2Vec's code scores on it: a step that is missing inside an anomaly parts it in two.

    Args:
        times: (T,) whole numbers, each once. flags: (T,) of 0 and 1.

    Raises:
        InputError: other times, or not one a flag.

    Example:
        >>> on_grid([60, 120, 240], [1, 1, 1])
        array([1, 1, 0, 1])
    """
    values, stamps = _flags("flags", flags), np.asarray(times)
    if stamps.shape != values.shape or stamps.dtype.kind not in "iu":
        raise InputError("times", f"{stamps.dtype} {stamps.shape}", f"{values.shape} whole numbers")
    order = np.argsort(stamps)
    since = (stamps[order] - stamps.min()).astype(np.int64)
    step = np.diff(since).min(initial=since[-1]) if len(since) > 1 else 1
    if step < 1:
        raise InputError("times", "one that stands twice", "keep one flag a time")
    out = np.zeros(since[-1] // step + 1, np.int64)
    out[since // step] = values[order]
    return out


def delay_scores(
    y_true: Sequence[Any] | NDArray[Any],
    y_pred: Sequence[Any] | NDArray[Any],
    delay: int,
    times: Sequence[Any] | NDArray[Any] | None = None,
) -> dict[str, float]:
    """``precision``, ``recall`` and ``f1`` of alarms after :func:`adjust_by_delay`.

    Args:
        y_true: (T,) of one series, or a list of them: steps of all series are counted together, and
            no segment spans two.
        y_pred: likewise.
        delay: see :func:`adjust_by_delay`.
        times: likewise, of series with missing steps, which are counted as 0 (:func:`on_grid`).

    A score whose denominator is empty is 0.
    """
    if not len(y_true):
        raise InputError("y_true", "nothing", "give one series or more")
    single = np.ndim(y_true[0]) == 0
    truths, alarms = ([y_true], [y_pred]) if single else (list(y_true), list(y_pred))
    if len(truths) != len(alarms):
        raise InputError("y_pred", f"{len(alarms)} series", f"give {len(truths)}, as in y_true")
    if times is not None:
        stamps = [times] if single else list(times)
        truths = [on_grid(t, y) for t, y in zip(stamps, truths, strict=True)]
        alarms = [on_grid(t, y) for t, y in zip(stamps, alarms, strict=True)]
    adjusted = [adjust_by_delay(t, p, delay) for t, p in zip(truths, alarms, strict=True)]
    precision, recall, f1, _ = precision_recall_fscore_support(
        np.concatenate([_flags("y_true", t) for t in truths]),
        np.concatenate(adjusted),
        average="binary",
        zero_division=0,
    )
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1)}


def _flags(field: str, values: ArrayLike) -> Flags:
    array = np.asarray(values)
    if array.ndim != 1 or not np.isin(array, (0, 1)).all():
        raise InputError(field, f"shape {array.shape}", "give (T,) of 0 and 1")
    return array.astype(np.int64)
