"""Rows of the forecasting tables by heads on lags, calendar and embeddings together.

Unlike the ridge of :mod:`tscl.evaluation.forecasting.protocol`, whose penalty alone is chosen, here
the parts a head sees are chosen, and heads of several pasts and levels averaged, by their errors on
windows held out of everything before the test part, at the end of up to five stretches of it. One
stretch before the test part is one season of the year, and what wins there loses in the next. All
is then fitted on everything before the test part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError
from tscl.evaluation.forecasting.scores import (
    ErrorSums,
    Float64,
    HorizonResult,
    SplitLike,
    check_finite,
    check_matrix,
    check_scale,
    check_split,
    make_result,
    score,
)
from tscl.forecasters.choices import choose_past, head_origins, past_candidates
from tscl.forecasters.direct_heads import Head, StepEmbedder
from tscl.forecasters.window_data import WindowData, thinned

HELD = 1500
"""Held-out windows a head is chosen by, at most."""


@dataclass(frozen=True, eq=False)
class DirectRow:
    """A fitted head, its row of the table, and what was chosen.

    Attributes:
        result: errors; ``valid_mse`` and ``valid_mae`` are those of the held-out windows, NaN where
            the series is too short to hold some out.
        facts: past, head and what it sees, in JSON types; ``errors`` of all heads tried.
        head, data: to forecast with: ``head.forecast(None, data, origins)``.
    """

    result: HorizonResult
    facts: dict[str, Any]
    head: Head
    data: WindowData


def direct_protocol(
    embeddings: ArrayLike | None,
    data: ArrayLike,
    split: SplitLike,
    horizons: Sequence[int],
    *,
    head: str = "auto",
    marks: ArrayLike | None = None,
    seasons: tuple[int, ...] = (),
    past: int | None = None,
    drop: int = 0,
    scale: ArrayLike | None = None,
    seed: int = 0,
) -> list[DirectRow]:
    """Fit and score a head a horizon.

    Args:
        embeddings: (T, D), each of what is known at its step; None for lags alone.
        data: (T, C) targets, scaled by the training part.
        split: slices ``train``, ``valid``, ``test``; the first two are one here.
        horizons: steps ahead.
        head: one of :data:`tscl.forecasters.direct_heads.HEADS` but ``network``.
        marks: (T', K) covariates known ahead, or None; T' is T, or more to forecast beyond it.
        seasons: season lengths in steps, as of :func:`tscl.forecasters.choices.season_lengths`.
        past: steps of the past a head sees; None chooses one.
        drop: steps at the start that are no origins; their embeddings may be NaN.
        scale: (C,) training deviations, for errors in the original unit.
        seed: of the trees.

    Raises:
        InputError: wrong shapes, non-finite values, a horizon or past too long for the parts.
        LeakageError: parts that share a time step.
    """
    values = check_matrix("data", data)
    check_split(split, len(values), tuple(horizons))
    check_finite("data", values, split.train.start)
    known = None if marks is None else check_matrix("marks", marks)
    if known is not None:
        if len(known) < len(values):
            raise InputError("marks", f"{len(known)} steps", f"the series has {len(values)}")
        check_finite("marks", known)
    known_at = None
    if embeddings is not None:
        known_at = check_matrix("embeddings", embeddings, len(values))
        check_finite("embeddings", known_at, split.train.start + drop)
    deviations = check_scale(scale, values.shape[1])
    first, stop = split.train.start, split.valid.stop
    rows = []
    for horizon in horizons:
        tried = [past] if past else past_candidates(seasons, stop - first, horizon)
        window = WindowData(values, known, max(tried), horizon, seasons, (first,))
        facts: dict[str, Any] = {"past": max(tried)}
        if len(tried) > 1 and head != "auto":
            part = WindowData(values[first:stop], None, max(tried), horizon)
            length, _, errors = choose_past(tried, part, [stop - first], 0.2)
            window = replace(window, length=length)
            facts = {"past": length, "ridge on lags": {str(k): v for k, v in errors.items()}}
        pasts = tried if head == "auto" else [window.length]
        train, held = _origins(window, pasts, first, stop, drop)
        embedder = None if known_at is None else StepEmbedder(known_at, train)
        held = thinned(held, HELD)
        fitted, forecasts = Head.choose(
            head, None, window, train, held, seed=seed, embedder=embedder, pasts=pasts
        )
        facts |= fitted.facts() | {"errors": fitted.errors}
        valid = ErrorSums()
        truth = window.future(held).astype(np.float64)
        valid.add(forecasts.astype(np.float64), truth)
        valid.keep(values, held, forecasts - truth)

        def predict(a: int, b: int, fitted: Head = fitted, window: WindowData = window) -> Float64:
            return fitted.forecast(None, window, np.arange(a, b)).astype(np.float64)

        test = score(predict, values, split.test, horizon)
        result = make_result(
            horizon, test, valid if len(held) else test, split, deviations, n_train=len(train)
        )
        if not len(held):
            result = replace(result, valid_mse=math.nan, valid_mae=math.nan)
        rows.append(DirectRow(replace(result, n_valid=len(held)), facts, fitted, window))
    return rows


def _origins(
    window: WindowData, pasts: Sequence[int], first: int, stop: int, drop: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Origins to fit on, with the shortest past and an embedding, and to choose by, with the
    longest."""
    start = first + max(0, drop - window.length + 1)
    if stop - start < window.length + window.horizon + 1:
        remedy = "choose a shorter past or horizon, or drop less"
        raise InputError("past, horizon", (window.length, window.horizon), remedy)
    train, held = head_origins([stop - start], pasts, window.horizon, 0.2)
    train, held = train + start, held + start
    return train[train >= first + drop], held
