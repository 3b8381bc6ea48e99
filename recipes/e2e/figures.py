"""Figures of what forecasting networks use and keep: receptive field, retention of factors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tscl.errors import InputError
from tscl.runs.forecasting.figures import COLOURS


def receptive_field_figure(fields: dict[str, ArrayLike], *, unit: str = "steps") -> Figure:
    """Influence of every past step on the forecast, one panel a network.

    Args:
        fields: name to an influence matrix (H, L), rows summing to 1, as
            :func:`tscl.forecasters.receptive_field.receptive_field` gives.
        unit: of the axes.

    Raises:
        InputError: no matrix, or one that is not (H, L).
    """
    if not fields:
        raise InputError("fields", "none", "pass at least one matrix")
    figure = Figure(figsize=(4.4 * len(fields) + 0.6, 3.4), layout="constrained")
    panels = np.atleast_1d(np.asarray(figure.subplots(1, len(fields), sharey=True)))
    arrays = {name: np.asarray(field, dtype=float) for name, field in fields.items()}
    top = max(float(a.max()) for a in arrays.values() if a.ndim == 2)
    for axes, (name, field) in zip(panels, arrays.items(), strict=True):
        if field.ndim != 2:
            raise InputError(f"fields[{name!r}]", field.shape, "pass (horizon, length)")
        steps, length = field.shape
        shown = axes.imshow(
            field,
            aspect="auto",
            origin="lower",
            extent=(-length + 0.5, 0.5, 0.5, steps + 0.5),
            cmap="viridis",
            vmin=0.0,
            vmax=top,
            interpolation="nearest",
        )
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel(f"past step (0 is the last one, {unit})")
    panels[0].set_ylabel(f"forecast step ({unit} ahead)")
    figure.colorbar(shown, ax=list(panels), label="share of influence")
    return figure


def retention_figure(frame: pd.DataFrame) -> Figure:
    """R2 of trend, scale and period by encoder, mean and deviation over draws.

    Args:
        frame: rows (encoder, factor, seed, r2) of
            :func:`tscl.evaluation.probes.retention.retention`.
    """
    encoders = list(dict.fromkeys(frame["encoder"]))
    factors = list(dict.fromkeys(frame["factor"]))
    figure = Figure(figsize=(2.2 * len(factors) + 2.6, 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(encoders)
    for i, encoder in enumerate(encoders):
        groups = frame[frame["encoder"] == encoder].groupby("factor")["r2"]
        mean = groups.mean().reindex(factors).to_numpy()
        spread = groups.std().reindex(factors).fillna(0.0).to_numpy()
        axes.bar(
            np.arange(len(factors)) + (i - (len(encoders) - 1) / 2) * width,
            np.clip(mean, 0.0, 1.0),
            width * 0.92,
            yerr=spread,
            color=COLOURS[i % len(COLOURS)],
            error_kw={"lw": 0.9},
            label=encoder,
        )
    axes.set_xticks(range(len(factors)), factors)
    axes.set_ylim(0.0, 1.05)
    axes.set_ylabel("R2 of a ridge on unseen series\n(below 0 shown as 0)")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure
