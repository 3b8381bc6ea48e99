"""Figures of a forecasting run (matplotlib's object interface, no global state)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.dates import AutoDateLocator, num2date
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

Array = NDArray[np.generic]
COLOURS = ("#1f5fa8", "#d1495b", "#3a7d44", "#8d6a9f", "#e09f3e", "#5f6b6d", "#00798c", "#a44a3f")


def forecast_figure(
    times: Sequence[Any] | Array,
    history: Array,
    truth: Array,
    forecasts: Mapping[str, Array],
    *,
    colours: Mapping[str, str],
    unit: str,
    title: str,
) -> Figure:
    """History and truth (1-D) with one forecast line per name.

    Args:
        times: time of each step of history and truth together.
        history: values before the forecast origin.
        truth: values after it; NaN where unknown.
        forecasts: name to values after the origin, of truth's length.
        colours: of each name.
        unit: label of the vertical axis.
        title: title of the figure.
    """
    figure = Figure(figsize=(9, 3.4))
    axes = figure.subplots()
    n = len(history)
    stamps = np.asarray(times)
    axes.plot(stamps[:n], history, color="#444444", lw=1.2)
    joined = np.concatenate((history[-1:], truth))
    axes.plot(stamps[n - 1 :], joined, color="#444444", lw=1.2, label="truth")
    axes.axvline(stamps[n - 1], color="#999999", lw=0.8, ls=":")
    for name, values in forecasts.items():
        axes.plot(stamps[n:], values, color=colours[name], lw=1.6, label=name)
    axes.set_ylabel(unit)
    axes.set_title(title, loc="left", fontsize=10, pad=22)
    axes.legend(frameon=False, fontsize=8, ncols=5, loc="lower left", bbox_to_anchor=(-0.01, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    if np.issubdtype(stamps.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=3, maxticks=9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(FuncFormatter(date_label))
        axes.tick_params(axis="x", labelsize=8)
    return figure


def date_label(days: float, _: int | None = None) -> str:
    """The whole date of a tick, year included, and its time where it is not midnight.

    Example:
        >>> date_label(18627.25)
        '2020-12-31\\n06:00'
    """
    return f"{num2date(days):%Y-%m-%d\n%H:%M}".removesuffix("\n00:00")


def mask_figure(
    times: Sequence[Any] | Array, signal: Array, openness: Array, *, unit: str
) -> Figure:
    """The signal coloured by the probability that the learned mask h keeps each step.

    Args:
        times: (T,) of the steps.
        signal: (T,) values.
        openness: (T,) probability.
        unit: of the signal, for the axis.
    """
    figure = Figure(figsize=(9, 3.6))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    positions = np.arange(len(signal), dtype=float)
    points = np.stack((positions, np.asarray(signal, dtype=float)), axis=1)
    segments = np.stack((points[:-1], points[1:]), axis=1)
    lines = LineCollection(list(segments), cmap="viridis", linewidths=1.8)
    lines.set_array(np.asarray(openness, dtype=float)[1:])
    lines.set_clim(0.0, 1.0)
    top.add_collection(lines)
    top.set_xlim(0, len(signal) - 1)
    low, high = float(np.nanmin(points[:, 1])), float(np.nanmax(points[:, 1]))
    margin = 0.06 * max(high - low, 1e-9)
    top.set_ylim(low - margin, high + margin)
    top.set_ylabel(unit)
    top.set_title("learned mask h(x) over the signal", loc="left", fontsize=10)
    figure.colorbar(lines, ax=(top, bottom), label="probability of keeping", pad=0.01)
    bottom.fill_between(
        positions, 0, np.asarray(openness, dtype=float), color="#1f5fa8", alpha=0.6, lw=0
    )
    bottom.set_ylim(0, 1)
    bottom.set_ylabel("h")
    stamps = np.asarray(times)
    ticks = np.linspace(0, len(signal) - 1, 6).astype(int)
    bottom.set_xticks(ticks, [str(np.datetime_as_string(stamps[i], unit="h")) for i in ticks])
    bottom.tick_params(axis="x", labelsize=8)
    for axes in (top, bottom):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def embedding_figure(panels: Mapping[str, Mapping[str, Any]], *, unit: str) -> Figure:
    """Principal components of embeddings, coloured by the value and by the hour of their step.

    Args:
        panels: title of a row -> ``points`` (n, 2), ``value`` (n,), ``hour`` (n,) and ``shares``
            of the two components.
        unit: of the value.
    """
    hours = any(len(np.unique(row["hour"])) > 1 for row in panels.values())
    marks = [("value", unit, "viridis"), ("hour", "hour of the day", "hsv")][: 1 + hours]
    size = (4.4 * len(marks), 3.3 * len(panels))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(panels), len(marks), squeeze=False)
    for axes_row, (title, row) in zip(grid, panels.items(), strict=True):
        for axes, (mark, text, colours) in zip(axes_row, marks, strict=True):
            style: dict[str, Any] = {"cmap": colours, "lw": 0, "alpha": 0.8}
            dots = axes.scatter(
                *row["points"].T, s=12 if len(row["points"]) < 600 else 6, c=row[mark], **style
            )
            figure.colorbar(dots, ax=axes, label=text, pad=0.01)
            axes.set_title(f"{title}, by {mark}", loc="left", fontsize=9)
            axes.set_xlabel(f"component 1 ({row['shares'][0]:.0%})", fontsize=8)
            axes.set_ylabel(f"component 2 ({row['shares'][1]:.0%})", fontsize=8)
            axes.tick_params(labelsize=8)
            axes.grid(alpha=0.2)
    return figure


def comparison_figure(
    rows: dict[str, dict[int, float]], *, colours: Mapping[str, str], metric: str
) -> Figure:
    """Error by horizon on a log scale, one line a method.

    Args:
        rows: name to {horizon: error}.
        colours: of each name.
        metric: label of the vertical axis.
    """
    figure = Figure(figsize=(6.4, 3.6))
    axes = figure.subplots()
    for i, (name, by_horizon) in enumerate(rows.items()):
        horizons = sorted(by_horizon)
        axes.plot(
            range(len(horizons)),
            [by_horizon[h] for h in horizons],
            marker="o",
            ms=4,
            lw=2.2 if i == 0 else 1.3,
            ls="-" if i < 3 else "--",
            color=colours[name],
            label=name,
        )
        axes.set_xticks(range(len(horizons)), [str(h) for h in horizons])
    axes.set_xlabel("horizon (steps)")
    axes.set_ylabel(f"{metric} (log scale)")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def history_figure(histories: dict[str, list[dict[str, float]]]) -> Figure:
    """Encoder loss by step, one panel a method (their losses are on different scales)."""
    figure = Figure(figsize=(5.6 * max(1, len(histories)), 2.8), layout="constrained")
    panels = np.atleast_1d(np.asarray(figure.subplots(1, max(1, len(histories)))))
    for axes, (name, rows) in zip(panels, histories.items(), strict=False):
        keys = [k for k in rows[0] if k not in ("step", "epoch")] if rows else []
        for colour, key in zip(COLOURS, keys, strict=False):
            steps = [r["step"] for r in rows if key in r]
            axes.plot(steps, [r[key] for r in rows if key in r], lw=1.2, color=colour, label=key)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel("step")
        axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
        axes.spines[["top", "right"]].set_visible(False)
    return figure
