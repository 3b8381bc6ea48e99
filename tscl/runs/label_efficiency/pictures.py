"""Pictures of a pretrained encoder: where recordings lie, and what of one the encoder looks at."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import nn

from data_loaders.container.recordings import Recordings
from tscl.evaluation.recordings import embed_recordings

COLOURS = ("#1b6ca8", "#c2410c", "#2f7d32", "#8e44ad", "#b8860b", "#00838f")
Array = NDArray[np.float64]


def embedding_figure(z: NDArray[np.float32], label: NDArray[np.int64], names: list[str]) -> Figure:
    """The first two principal components of standardised embeddings, coloured by class.

    Args:
        z: (n, D) embeddings of recordings that were not trained on.
        label: (n,) codes, -1 where unknown.
        names: of the codes.
    """
    spread = z.std(axis=0)
    points = PCA(2, random_state=0).fit_transform(
        (z - z.mean(axis=0)) / np.where(spread, spread, 1)
    )
    figure = Figure(figsize=(6.6, 4.6), layout="constrained")
    axes = figure.subplots()
    for code, name in enumerate(names):
        rows = label == code
        colour = COLOURS[code % len(COLOURS)]
        axes.scatter(
            points[rows, 0],
            points[rows, 1],
            s=14,
            color=colour,
            alpha=0.75,
            lw=0,
            label=f"{name} ({rows.sum()})",
        )
    axes.set(xlabel="principal component 1", ylabel="principal component 2")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure


def occlusion(
    encoder: nn.Module, signal: Array, rate: float, *, pooling: str, width: float = 0.2
) -> Array:
    """How far the embedding moves when a stretch of the recording is hidden, (T,) from 0 to 1.

    Each stretch of ``width`` seconds, moved by half of it, is replaced by the straight line
    between its ends (M. Zeiler, R. Fergus 2014, arXiv 1311.2901, over time).

    Args:
        encoder: of steps or of pooled embeddings.
        signal: (T, C) of one recording, as the encoder was trained on.
        rate: Hz.
        pooling: see :func:`tscl.evaluation.recordings.embed_recordings`.
        width: seconds hidden at once.
    """
    long = max(2, round(width * rate))
    starts = np.arange(0, max(1, len(signal) - long), max(1, long // 2))
    copies = [signal]
    for start in starts.tolist():
        copy = signal.copy()
        stop = min(start + long, len(signal) - 1)
        line = np.linspace(0, 1, stop - start + 1)[:, None]
        copy[start : stop + 1] = signal[start] + line * (signal[stop] - signal[start])
        copies.append(copy)
    data = Recordings.from_arrays(copies, rate, store="float32")
    steps = len(signal)
    z = embed_recordings(encoder, data, pooling=pooling, whole=steps, window=steps)
    moved = np.linalg.norm(z[1:] - z[0], axis=1)
    total, count = np.zeros(len(signal)), np.zeros(len(signal))
    for start, far in zip(starts.tolist(), moved, strict=True):
        total[start : start + long] += far
        count[start : start + long] += 1
    level = total / np.maximum(count, 1)
    shown: Array = level / max(float(level.max()), 1e-12)
    return shown


def occlusion_figure(
    signals: list[tuple[str, Array, Array]], rate: float, unit: str = "standardised"
) -> Figure:
    """Recordings, darker where hiding a stretch moves the embedding more.

    Args:
        signals: title, (T,) values and (T,) attention from 0 to 1 of each.
        rate: Hz.
        unit: of the values.
    """
    figure = Figure(figsize=(8.6, 1.75 * len(signals) + 0.4), layout="constrained")
    panels = figure.subplots(len(signals), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (title, values, level) in zip(panels, signals, strict=True):
        time = np.arange(len(values)) / rate
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        axes.fill_between(time, low, low + level * (high - low), color="#f0a35e", alpha=0.55, lw=0)
        axes.plot(time, values, color="#1d2126", lw=0.9)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylabel(unit, fontsize=8)
        axes.margins(x=0.01)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("seconds")
    return figure
