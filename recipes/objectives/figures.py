"""Figures of a comparison of objectives: mean ranks with intervals, alignment and uniformity."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from recipes.objectives.ranking import Ranking
from tscl.runs.forecasting.figures import COLOURS


def rank_figure(ranking: Ranking, groups: Mapping[str, str]) -> Figure:
    """Mean ranks, best on top, with their intervals; one colour a group.

    Args:
        ranking: of the methods. groups: group of each method.
    """
    n = len(ranking.methods)
    figure = Figure(figsize=(7.0, 0.8 + 0.21 * n))
    axes = figure.subplots()
    colours = _colours(groups)
    for i, name in enumerate(ranking.methods):
        colour = colours[groups[name]]
        axes.plot([ranking.low[i], ranking.high[i]], [i, i], color=colour, lw=1.6, alpha=0.5)
        axes.plot(ranking.mean_rank[i], i, "o", color=colour, ms=5)
    axes.set_yticks(range(n), [f"{name}  {i + 1}" for i, name in enumerate(ranking.methods)])
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.set_ylim(n - 0.4, -0.6)
    axes.set_xlabel(
        f"mean rank over {len(ranking.tasks)} data sets, {ranking.level:.0%} bootstrap interval"
    )
    axes.grid(axis="x", color="#e5e5e5", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.legend(handles=_handles(colours), frameon=False, fontsize=8, loc="lower left")
    return figure


def geometry_figure(frame: pd.DataFrame, ranking: Ranking, groups: Mapping[str, str]) -> Figure:
    """Alignment against uniformity of the embeddings, one panel a data set, numbered by place.

    Args:
        frame: one row a cell with ``task``, ``objective``, ``alignment`` and ``uniformity`` (NaN
            where there is no encoder).
        ranking: gives the places. groups: group of each method.
    """
    n = len(ranking.tasks)
    columns = min(2, n)
    rows = -(-n // columns)
    figure = Figure(figsize=(5.0 * columns, 4.2 * rows + 0.5))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = _colours(groups)
    known = frame.dropna(subset=["alignment", "uniformity"])
    pairs = known.groupby(["task", "objective"])[["alignment", "uniformity"]].mean()
    means = {
        key: tuple(row) for key, row in zip(pairs.index.to_list(), pairs.to_numpy(), strict=True)
    }
    for axes, task in zip(panels, ranking.tasks, strict=False):
        for place, name in enumerate(ranking.methods, start=1):
            if (task, name) not in means:
                continue
            x, y = means[task, name]
            colour = colours[groups[name]]
            axes.plot(x, y, "o", color=colour, ms=11, alpha=0.25)
            axes.text(x, y, str(place), ha="center", va="center", fontsize=7, color=colour)
        axes.set_title(task, loc="left", fontsize=10)
        axes.set_xlabel("alignment (0: views coincide)", fontsize=8)
        axes.set_ylabel("uniformity (low: spread out)", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[n:]:
        axes.set_visible(False)
    shown = {groups[name] for _, name in means}
    handles = _handles({g: c for g, c in colours.items() if g in shown})
    figure.legend(handles=handles, frameon=False, fontsize=8, ncols=4, loc="upper center")
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    return figure


def _colours(groups: Mapping[str, str]) -> dict[str, str]:
    names = sorted(set(groups.values()))
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def _handles(colours: Mapping[str, str]) -> list[Line2D]:
    return [Line2D([], [], marker="o", ls="", color=c, label=g) for g, c in colours.items()]
