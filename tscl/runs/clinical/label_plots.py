"""Figures of a clinical report whose labels are no classes: several a sample, or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data_loaders import MedicalDataset
from tscl.evaluation.clinical.votes import LevelPredictions
from tscl.runs.clinical.figures import calibration_figure, qualitative_colours, roc_pr_figure

BANDS = 5


def label_figures(
    seeds: Sequence[LevelPredictions], names: Sequence[str]
) -> dict[str, tuple[str, Figure, str]]:
    """Curves and calibration, one colour a label: heading, figure and caption by file name.

    Args:
        seeds: predictions of each seed of one row, of several labels.
        names: of the labels.
    """
    curves = {}
    for k, name in enumerate(names):
        both = [seed.against(k) for seed in seeds]
        if len(np.unique(both[0].y)) == 2:
            curves[str(name)] = [(seed.y, seed.proba) for seed in both]
    if not curves:
        return {}
    first = {name: values[0] for name, values in curves.items()}
    return {
        "curves-labels": (
            "ROC and precision-recall of each label",
            roc_pr_figure(curves, names=("no", "yes")),
            "One colour a label. Thin: each seed; thick: their mean.",
        ),
        "calibration": (
            "Calibration of each label",
            calibration_figure(first),
            "First seed. Below the diagonal a label is told more surely than it is right.",
        ),
    }


def number_figure(levels: Mapping[str, LevelPredictions], name: str) -> Figure:
    """Predicted against true numbers, a panel a level, with the diagonal.

    Args:
        levels: title of a panel -> predictions of numbers.
        name: what is predicted.
    """
    figure = Figure(figsize=(5.2 * len(levels), 4.8), layout="constrained")
    panels = figure.subplots(1, len(levels), squeeze=False)[0]
    for axes, (title, rows) in zip(panels, levels.items(), strict=True):
        said = rows.proba[:, 0]
        ends = min(rows.y.min(), said.min()), max(rows.y.max(), said.max())
        axes.plot(ends, ends, color="0.6", lw=1, ls="--")
        axes.scatter(rows.y, said, s=12, alpha=0.5, color=qualitative_colours(1)[0], linewidths=0)
        axes.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted", title=title)
        axes.grid(alpha=0.25)
    return figure


def drawn_groups(
    data: MedicalDataset, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Sequence[str]]:
    """Codes and names that an embedding's points are coloured by: classes, combinations of labels,
    or the fifths of a number."""
    if data.label_kind == "classes":
        return data.label[rows], data.label_names
    values: Any = pd.Series([data.label_text(int(row)) for row in rows])
    if data.label_kind == "target":
        values = pd.qcut(data.label[rows], BANDS, duplicates="drop").astype(str)
    codes, names = pd.factorize(values, sort=True)
    return codes.astype(np.int64), [str(name) for name in names]
