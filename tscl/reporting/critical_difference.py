"""Critical-difference diagrams: mean ranks of methods over data sets and who cannot be told apart.

Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, sections
3.1.3 and 3.2: Friedman's test on the ranks first, then pairs by Nemenyi's critical difference, or
by Wilcoxon's signed ranks with Holm's correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from tscl.errors import ConfigError, InputError, check_choice

PairTest = Literal["wilcoxon_holm", "nemenyi"]


@dataclass(frozen=True, eq=False)
class CriticalDifference:
    """Ranks of methods over data sets.

    Attributes:
        ranks: mean rank of each method, 1 the best, best first; ties share the mean of their ranks.
        groups: largest sets of neighbouring methods without a difference, two methods or more each.
        p_value: of Friedman's test that all methods are alike (of Wilcoxon's with two methods).
        pairs: adjusted p-values of all pairs, symmetric, in the order of ``ranks``.
        difference: Nemenyi's critical difference of mean ranks, None for ``wilcoxon_holm``.
        least_p: the smallest adjusted p-value any pair could have with so few data sets (0 for
            ``nemenyi``); when it is not below ``alpha`` no difference can be found at all.
        test, alpha, n_datasets: how the pairs were tested.
    """

    ranks: pd.Series
    groups: tuple[tuple[str, ...], ...]
    p_value: float
    pairs: pd.DataFrame
    difference: float | None
    least_p: float
    test: PairTest
    alpha: float
    n_datasets: int

    def sentence(self) -> str:
        """The result in words, for a caption."""
        name = {"nemenyi": "Nemenyi", "wilcoxon_holm": "Wilcoxon, Holm-corrected"}[self.test]
        overall = "Friedman" if len(self.ranks) > 2 else "Wilcoxon"
        text = (
            f"Mean ranks over {self.n_datasets} data sets, 1 is best ({overall} p = "
            f"{self.p_value:.2g}). Bars join methods without a difference ({name}, "
            f"level {self.alpha:g})."
        )
        if self.p_value >= self.alpha:
            text += " The methods as a whole do not differ, so no pair is said to."
        if self.least_p >= self.alpha:
            text += " So few data sets cannot show a difference of any pair."
        return text

    def table(self) -> pd.DataFrame:
        """Methods, mean ranks, and the p-value against the best."""
        best = self.pairs.iloc[0]
        return pd.DataFrame(
            {
                "method": list(self.ranks.index),
                "mean rank": [f"{r:.2f}" for r in self.ranks],
                "p against the best": ["", *[f"{p:.3g}" for p in best.iloc[1:]]],
            }
        )

    def figure(self) -> Figure:
        """The diagram; see :func:`critical_difference_figure`."""
        return critical_difference_figure(self)


def critical_difference(
    scores: pd.DataFrame,
    *,
    lower_is_better: bool = True,
    test: PairTest = "wilcoxon_holm",
    alpha: float = 0.05,
) -> CriticalDifference:
    """Rank methods over data sets and find the groups that do not differ.

    Args:
        scores: one row a data set, one column a method, every cell filled. Average over seeds
            first: repeated runs on one data set are not independent data sets.
        lower_is_better: True for errors, False for accuracies.
        test: of the pairs. ``nemenyi`` compares mean ranks, so its verdict on two methods depends
            on the others; ``wilcoxon_holm`` compares the two methods' scores alone.
        alpha: level of all tests.

    Where the test over all methods does not reject, all of them form one group.

    Raises:
        InputError: fewer than two methods or data sets, or an empty cell (which is named).
        ConfigError: unknown ``test``.
    """
    check_choice("test", test, get_args(PairTest), error=ConfigError)
    if not 0.0 < alpha < 1.0:
        raise InputError("alpha", alpha, "choose a level in (0, 1)")
    values = _checked(scores)
    signed = values if lower_is_better else -values
    n, k = values.shape
    names = [str(c) for c in scores.columns]
    ranks = pd.Series(stats.rankdata(signed, axis=1).mean(axis=0), index=names)
    p_value = _overall(signed)
    if test == "nemenyi":
        quantile = float(stats.studentized_range.ppf(1.0 - alpha, k, np.inf))
        difference = quantile / np.sqrt(2.0) * np.sqrt(k * (k + 1) / (6.0 * n))
        pairs, least_p = _nemenyi(ranks.to_numpy(), n), 0.0
    else:
        difference = None
        pairs = _wilcoxon_holm(signed)
        least_p = min(1.0, 2.0 ** (1 - n) * k * (k - 1) / 2)
    order = np.argsort(ranks.to_numpy(), kind="stable")
    same = pairs >= alpha
    if p_value >= alpha:
        same[:] = True
    groups = _groups(same[np.ix_(order, order)])
    ordered = ranks.iloc[order]
    return CriticalDifference(
        ranks=ordered,
        groups=tuple(tuple(ordered.index[a : b + 1]) for a, b in groups),
        p_value=p_value,
        pairs=pd.DataFrame(pairs, names, names).iloc[order, order],
        difference=difference,
        least_p=least_p,
        test=test,
        alpha=alpha,
        n_datasets=n,
    )


def critical_difference_figure(result: CriticalDifference) -> Figure:
    """Methods at their mean ranks on a line, thick bars over the groups.

    The better half is labelled on the left, the other half on the right, as is usual.
    """
    ranks, k = result.ranks, len(result.ranks)
    half = -(-k // 2)
    top = 0.55 + 0.28 * len(result.groups)
    height = top + 0.32 * half + (0.6 if result.difference is not None else 0.3)
    figure = Figure(figsize=(8.0, max(1.6, height)))
    axes = figure.subplots()
    low, high = 1, max(k, 2)
    axes.set_ylim(top + 0.32 * half, -0.75 if result.difference is not None else -0.45)
    margin = 0.42 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.axis("off")
    axes.plot([low, high], [0, 0], color="#222222", lw=1.2)
    for tick in range(low, high + 1, -(-high // 16)):
        axes.plot([tick, tick], [0, -0.12], color="#222222", lw=1.0)
        axes.text(tick, -0.17, str(tick), ha="center", va="bottom", fontsize=9)
    for i, (name, rank) in enumerate(ranks.items()):
        left = i < half
        row = i if left else k - 1 - i
        y = top + 0.32 * row
        end = low - 0.03 * (high - low) if left else high + 0.03 * (high - low)
        axes.plot([rank, rank, end], [0, y, y], color="#555555", lw=0.9)
        side = "right" if left else "left"
        shift = -0.01 if left else 0.01
        label = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        axes.text(end + shift * (high - low), y, label, ha=side, va="center", fontsize=9)
    for i, group in enumerate(result.groups):
        y = 0.28 + 0.28 * i
        first, last = ranks[group[0]], ranks[group[-1]]
        pad = 0.012 * (high - low)
        axes.plot([first - pad, last + pad], [y, y], color="#1f5fa8", lw=4, solid_capstyle="butt")
    if result.difference is not None:
        stop = low + result.difference
        axes.plot([low, stop], [-0.5, -0.5], color="#d1495b", lw=2)
        axes.text((low + stop) / 2, -0.53, f"CD {result.difference:.2f}", ha="center", fontsize=8)
    return figure


def _checked(scores: pd.DataFrame) -> np.ndarray:
    if scores.shape[1] < 2 or scores.shape[0] < 2:
        shape = f"{scores.shape[0]} data sets x {scores.shape[1]} methods"
        raise InputError("scores", shape, "ranks need at least two of each")
    if len(set(map(str, scores.columns))) != scores.shape[1]:
        raise InputError("scores", list(scores.columns), "name each method once")
    values = scores.to_numpy(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        place = f"no figure of {scores.columns[column]} on {scores.index[row]}"
        raise InputError("scores", place, "run it, or leave out the method or the data set")
    return values


def _overall(values: np.ndarray) -> float:
    """p-value of Friedman's test; of Wilcoxon's signed ranks for two methods."""
    if values.shape[1] == 2:
        return _wilcoxon(values[:, 0], values[:, 1])
    if (values == values[:, :1]).all():
        return 1.0
    return float(stats.friedmanchisquare(*values.T).pvalue)


def _wilcoxon(a: np.ndarray, b: np.ndarray) -> float:
    if (a == b).all():
        return 1.0
    return float(stats.wilcoxon(a, b).pvalue)


def _wilcoxon_holm(values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values of all pairs, (k, k), ones on the diagonal."""
    k = values.shape[1]
    places = list(combinations(range(k), 2))
    raw = np.array([_wilcoxon(values[:, i], values[:, j]) for i, j in places])
    order = np.argsort(raw, kind="stable")
    steps = np.maximum.accumulate(raw[order] * (len(raw) - np.arange(len(raw))))
    result = np.ones((k, k))
    for place, p in zip(order, np.minimum(1.0, steps), strict=True):
        i, j = places[place]
        result[i, j] = result[j, i] = p
    return result


def _nemenyi(ranks: np.ndarray, n: int) -> np.ndarray:
    k = len(ranks)
    first, second = np.triu_indices(k, 1)
    distance = np.abs(ranks[first] - ranks[second]) / np.sqrt(k * (k + 1) / (12.0 * n))
    result = np.ones((k, k))
    result[first, second] = result[second, first] = stats.studentized_range.sf(distance, k, np.inf)
    return result


def _groups(same: np.ndarray) -> list[tuple[int, int]]:
    """Longest runs (first, last) of neighbours in which no pair differs."""
    k = len(same)
    runs: list[tuple[int, int]] = []
    for first in range(k):
        last = first
        while last + 1 < k and same[first : last + 2, first : last + 2].all():
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
