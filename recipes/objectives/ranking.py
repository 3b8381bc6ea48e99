"""Ranks of methods over data sets and seeds, with bootstrap intervals over both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from tscl.errors import InputError
from tscl.evaluation.metrics.bootstrap import percentile_interval
from tscl.seeding import numpy_generator

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods ordered by their mean rank over data sets.

    Attributes:
        methods: best first.
        tasks: data sets. seeds: those every cell of which was there.
        errors: (tasks, seeds, methods), lower is better; NaN where a method does not fit a data
            set.
        ranks: (tasks, methods) ranks of the means over seeds among the methods of the data set.
        mean_rank: (methods,) over the data sets a method fits. low, high: its interval.
        level: of all intervals.
    """

    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    errors: Array
    ranks: Array
    mean_rank: Array
    low: Array
    high: Array
    level: float

    def task_interval(self, task: str, method: str) -> tuple[float, float, float]:
        """Mean error over seeds and its bootstrap limits."""
        values = self.errors[self.tasks.index(task), :, self.methods.index(method)]
        return _mean_interval(values, self.level)

    def against(self, method: str, reference: str) -> dict[str, int]:
        """On how many data sets ``method`` is ``better``, ``worse`` or ``open``.

        Decided by the bootstrap interval over seeds of the paired difference to ``reference``:
        a data set is open when it contains zero.
        """
        a, b = (self.errors[:, :, self.methods.index(m)] for m in (method, reference))
        counts = {"better": 0, "worse": 0, "open": 0}
        for apart in a - b:
            if np.isnan(apart).any():
                continue
            _, low, high = _mean_interval(apart, self.level)
            counts["better" if high < 0 else "worse" if low > 0 else "open"] += 1
        return counts

    def complete(self) -> pd.DataFrame:
        """Mean errors of the methods that fit every data set, one row a data set."""
        frame = pd.DataFrame(self.errors.mean(axis=1), self.tasks, self.methods)
        return frame.dropna(axis=1)


def rank_methods(
    frame: pd.DataFrame,
    *,
    task: str = "task",
    method: str = "objective",
    seed: str = "seed",
    error: str = "error",
    level: float = 0.95,
    n_replicates: int = 2000,
) -> Ranking:
    """Rank methods within each data set by their mean error over seeds, and average the ranks.

    Intervals come from a bootstrap with two stages, data sets and seeds within each, both drawn
    with replacement and the same for all methods. With few of either they are rough.

    Args:
        frame: one row a cell, with the columns named by the next four arguments. Seeds without
            all cells are left out; a method without any row on a data set does not fit it.
        level: of the percentile intervals. n_replicates: replicates drawn.

    Raises:
        InputError: no seed with all cells, an error that is not finite, or a cell given twice.
    """
    errors, tasks, seeds, methods = _cube(frame, task, method, seed, error)
    ranks = _ranks(errors.mean(axis=1))
    mean_rank = np.nanmean(ranks, axis=0)
    rng = numpy_generator(0, "ranks of methods")
    n_tasks, n_seeds = errors.shape[:2]
    chosen = rng.integers(n_tasks, size=(n_replicates, n_tasks))
    which = rng.integers(n_seeds, size=(n_replicates, n_tasks, n_seeds))
    means = errors[chosen[:, :, None], which].mean(axis=2)
    drawn = np.full((n_replicates, len(methods)), np.nan)
    replicate_ranks, known = _ranks(means), np.isfinite(means)
    count = known.sum(axis=1)
    np.divide(np.where(known, replicate_ranks, 0.0).sum(axis=1), count, out=drawn, where=count > 0)
    limits = np.array([percentile_interval(column, level) for column in drawn.T])
    order = np.argsort(mean_rank, kind="stable")
    return Ranking(
        methods=tuple(methods[i] for i in order),
        tasks=tasks,
        seeds=seeds,
        errors=errors[:, :, order],
        ranks=ranks[:, order],
        mean_rank=mean_rank[order],
        low=limits[order, 0],
        high=limits[order, 1],
        level=level,
    )


def _cube(
    frame: pd.DataFrame, task: str, method: str, seed: str, error: str
) -> tuple[Array, tuple[str, ...], tuple[int, ...], list[str]]:
    if frame.empty:
        raise InputError("frame", "no rows", "run some cells first")
    if frame.duplicated([task, method, seed]).any():
        row = frame[frame.duplicated([task, method, seed])].iloc[0]
        raise InputError("frame", f"{row[method]} on {row[task]} twice", "keep one row a cell")
    bad = frame[~np.isfinite(frame[error].to_numpy(np.float64))]
    if len(bad):
        row = bad.iloc[0]
        where = f"{row[method]} on {row[task]}, seed {row[seed]}"
        raise InputError(error, where, "its figure is not finite; look into that cell")
    pairs = frame[[task, method]].drop_duplicates()
    counts = frame[seed].value_counts().sort_index()
    seeds = tuple(int(s) for s in counts.index[counts == len(pairs)])
    if not seeds:
        raise InputError("seeds", dict(counts), f"no seed has all {len(pairs)} cells yet")
    tasks, methods = list(dict.fromkeys(frame[task])), list(dict.fromkeys(frame[method]))
    table = frame.set_index([task, seed, method])[error].to_dict()
    cube = np.array(
        [[[table.get((t, s, m), np.nan) for m in methods] for s in seeds] for t in tasks]
    )
    return cube, tuple(map(str, tasks)), seeds, list(map(str, methods))


def _ranks(means: Array) -> Array:
    """Ranks along the last axis, ties share; NaN stays."""
    return np.asarray(rankdata(means, axis=-1, nan_policy="omit"), dtype=np.float64)


def _mean_interval(values: Array, level: float) -> tuple[float, float, float]:
    """Mean and percentile limits over all or many resamples of few values."""
    n = len(values)
    draws = numpy_generator(0, "mean over seeds").integers(n, size=(2000, n))
    low, high = percentile_interval(values[draws].mean(axis=1), level)
    return float(values.mean()), low, high


def format_interval(values: Sequence[float], digits: int = 3) -> str:
    """``mean [low, high]``, without the zero before the point."""

    def number(value: float) -> str:
        text = f"{value:.{digits}f}"
        return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text

    mean, low, high = (number(v) for v in values)
    return f"{mean} [{low}, {high}]"
