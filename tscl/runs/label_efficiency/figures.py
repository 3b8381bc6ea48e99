"""The picture of a label-efficiency run: AUROC against share of labels, one line a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tscl.evaluation.metrics.labels import MAIN
from tscl.runs.label_efficiency.tables import share_name

COLOURS = ("#1b6ca8", "#c2410c", "#2f7d32", "#8e44ad", "#b8860b", "#00838f")
"""Of rows that pretrain or learn from labels; plain baselines are grey."""
GREYS = ("#5a5a5a", "#7a7a7a", "#8f8f8f", "#a0a0a0")
DASHES = ("-", "--", ":", "-.")


def label_efficiency_figure(
    table: pd.DataFrame,
    titles: Mapping[str, str],
    plain: set[str],
    tasks: Mapping[str, tuple[str, str]],
) -> Figure:
    """AUROC, or R2 of numbers, with 95 % intervals against the share of labels, a panel a task.

    Args:
        table: of :func:`tscl.runs.label_efficiency.tables.score_table`.
        titles: of rows by name, in order.
        plain: rows drawn in grey: those without a trained network.
        tasks: title and kind of label by name.
    """
    shares = sorted(table["share"].unique())
    figure = Figure(figsize=(6.6 * len(tasks), 5.2), layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    styles = row_styles(titles, plain)
    for axes, (task, (title, kind)) in zip(panels, tasks.items(), strict=True):
        ends = {}
        own = table[(table["task"] == task) & (table["metric"] == MAIN[kind])]
        for order, row in enumerate(titles):
            line = own[own["row"] == row].sort_values("share")
            if line.empty:
                continue
            colour, dash, width = styles[row]
            nudge = 1 + 0.02 * (order - len(titles) / 2)  # intervals side by side, not on another
            x = line["share"].to_numpy() * nudge
            value = line["value"].to_numpy()
            reach = np.abs(line[["ci_low", "ci_high"]].to_numpy() - value[:, None]).T
            axes.errorbar(
                x, value, reach, color=colour, ls=dash, lw=width, marker="o", ms=3.5, elinewidth=1
            )
            ends[row] = (float(x[0]), float(value[0]), colour)
        _dress(axes, title, shares, MAIN[kind].upper())
        _name_lines(axes, ends, titles, shares)
    return figure


def row_styles(names: Iterable[str], plain: set[str]) -> dict[str, tuple[str, str, float]]:
    """Colour, dash and width of every row, the same in every figure of a report."""
    styles, colours, greys = {}, 0, 0
    for row in names:
        if row in plain:
            styles[row] = (GREYS[greys % len(GREYS)], DASHES[1 + greys % 3], 1.3)
            greys += 1
        else:
            again, place = divmod(colours, len(COLOURS))
            styles[row] = (COLOURS[place], DASHES[again % 4], 1.6 if colours else 2.0)
            colours += 1
    return styles


def _dress(axes: Axes, title: str, shares: list[float], score: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(shares, [share_name(share) for share in shares])
    axes.minorticks_off()
    axes.set_xlabel("share of the training labels")
    axes.set_ylabel(f"{score} on recordings never seen")
    axes.set_title(title, fontsize=11)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _name_lines(
    axes: Axes,
    ends: Mapping[str, tuple[float, float, str]],
    titles: Mapping[str, str],
    shares: list[float],
) -> None:
    """Name every line at its left end, names moved apart where lines are close."""
    span = np.log10(max(shares) / min(shares)) if len(shares) > 1 else 1.0
    # room for the longest name: about .08 inch a letter, on axes of 5.6 inches
    longest = min(0.6, max(len(titles[row]) for row in ends) * 0.08 / 5.6)
    left = min(shares) * 10 ** (-span * (0.12 + 1.2 * longest / (1 - longest)))
    axes.set_xlim(left, max(shares) * 10 ** (0.08 * span))
    low, high = axes.get_ylim()
    rows = sorted(ends, key=lambda row: ends[row][1])
    places = spread(np.array([ends[row][1] for row in rows]), 0.047 * (high - low))
    axes.set_ylim(min(low, places.min() - 0.03 * (high - low)), max(high, places.max()))
    text_end = min(shares) * 10 ** (-0.12 * span)
    for row, place in zip(rows, places.tolist(), strict=True):
        x, y, colour = ends[row]
        axes.plot([text_end * 1.02, x * 0.96], [place, y], color=colour, lw=0.7, alpha=0.7)
        axes.text(text_end, place, titles[row], color=colour, ha="right", va="center", fontsize=9)


def spread(wanted: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """Places in rising order, at least ``gap`` apart, as near to ``wanted`` (rising) as they can.

    Least squares: runs of places that touch are set around their mean (pool adjacent violators).
    """
    steps = np.arange(len(wanted)) * gap
    blocks: list[list[float]] = []
    for value in (wanted - steps).tolist():
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            value, count = blocks.pop()
            mean, held = blocks[-1]
            blocks[-1] = [(mean * held + value * count) / (held + count), held + count]
    levels = [value for value, count in blocks for _ in range(int(count))]
    placed: NDArray[np.float64] = np.asarray(levels) + steps
    return placed
