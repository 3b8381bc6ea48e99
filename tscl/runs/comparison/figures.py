"""Figures that set runs side by side: errors, scores, curves, embeddings, masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tscl.runs.forecasting.figures import COLOURS

Array = NDArray[Any]


class ErrorLine(NamedTuple):
    """Errors of one row by horizon; ``shared`` rows are drawn in grey."""

    label: str
    errors: Mapping[int, float]
    colour: str
    shared: bool = False


class Score(NamedTuple):
    """A score with its 95 % interval (NaN where there is none)."""

    label: str
    value: float
    low: float
    high: float
    colour: str


class Curve(NamedTuple):
    """A line of a training or validation curve."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str


def run_colour(number: int) -> str:
    """The colour of run ``number`` in every figure."""
    return COLOURS[number % len(COLOURS)]


def errors_figure(lines: Sequence[ErrorLine], *, metric: str, most: float = 8.0) -> Figure:
    """Error over the smallest of its horizon: runs in colour, shared baselines in grey.

    Args:
        lines: errors by horizon, one line each.
        metric: title of the axis.
        most: parts of lines above so many times the smallest error leave the axes.
    """
    horizons = sorted({h for line in lines for h in line.errors})
    where = {h: i for i, h in enumerate(horizons)}
    best = {h: min(line.errors[h] for line in lines if h in line.errors) for h in horizons}
    figure = Figure(figsize=(8.6, max(3.6, 0.24 * len(lines) + 1.6)), layout="constrained")
    axes = figure.subplots()
    marks = iter("sD^v<>Ph*X" * 8)
    highest = 1.0
    for line in lines:
        known = sorted(line.errors)
        ratios = [line.errors[h] / best[h] if best[h] > 0 else 1.0 for h in known]
        highest = max([highest, *(r for r in ratios if r <= most)])
        beyond = "" if min(ratios) <= most else f" (above {most:g})"
        axes.plot(
            [where[h] for h in known],
            ratios,
            marker=next(marks) if line.shared else "o",
            ms=4,
            lw=1.0 if line.shared else 1.8,
            ls="--" if line.shared else "-",
            color="#8a8f96" if line.shared else line.colour,
            label=line.label + beyond,
        )
    axes.set_xticks(range(len(horizons)), [str(h) for h in horizons])
    axes.set(xlabel="horizon (steps)", ylabel=f"{metric} / smallest", ylim=(0.98, highest * 1.04))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def scores_figure(scores: Sequence[Score], *, metric: str, chance: float | None) -> Figure:
    """One row a score with its interval.

    Args:
        scores: with interval, label and colour.
        metric: title of the axis.
        chance: where a dotted line stands, or None.
    """
    figure = Figure(figsize=(8.6, 0.27 * len(scores) + 1.1), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(scores))[::-1]
    for row, score in zip(rows, scores, strict=True):
        axes.plot([score.low, score.high], [row, row], color=score.colour, lw=1.6, alpha=0.6)
        axes.plot(score.value, row, "o", color=score.colour, ms=5)
    if chance is not None:
        axes.axvline(chance, color="#8a8f96", lw=1, ls=":")
    axes.set_yticks(rows, [score.label for score in scores], fontsize=8)
    axes.set(xlabel=metric, ylim=(-0.7, len(scores) - 0.3))
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def curves_figure(
    panels: Mapping[str, Sequence[Curve]], *, x_label: str, smooth: bool = False
) -> Figure:
    """One panel a name with a line a run.

    Args:
        panels: curves by title.
        x_label: title of the axis below.
        smooth: add a moving mean over a twentieth of the points.
    """
    across = min(3, max(1, len(panels)))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(0.5 + 2.9 * across, 2.4 * down + 0.5), layout="constrained")
    grid = np.atleast_1d(np.asarray(figure.subplots(down, across, squeeze=False))).ravel()
    labels: dict[str, Any] = {}
    for axes, (name, lines) in zip(grid, panels.items(), strict=False):
        for line in lines:
            y = np.asarray(line.y, dtype=float)
            width = max(1, len(y) // 20)
            if smooth and width > 1:
                axes.plot(line.x, y, color=line.colour, lw=0.7, alpha=0.25)
                y = moving_mean(y, width)
            style = "o-" if len(y) < 20 else "-"
            (drawn,) = axes.plot(line.x, y, style, color=line.colour, lw=1.6, ms=3.5)
            labels.setdefault(line.label, drawn)
        axes.set_title(name, loc="left", fontsize=9)
        axes.set_xlabel(x_label, fontsize=8)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    figure.legend(
        list(labels.values()),
        list(labels),
        loc="outside lower center",
        ncols=4,
        fontsize=8,
        frameon=False,
    )
    return figure


def moving_mean(values: Array, width: int) -> Array:
    """Centred mean over ``width`` values, of those there are at the ends."""
    kernel = np.ones(width)
    total = np.convolve(values, kernel, mode="same")
    result: Array = total / np.convolve(np.ones_like(values), kernel, mode="same")
    return result
