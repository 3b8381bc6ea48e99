"""Figures of a clinical evaluation: curves, calibration, confusion, embedding.

Every function returns a ``matplotlib.figure.Figure`` of its own; nothing touches pyplot's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve
from sklearn.preprocessing import StandardScaler

from tscl.errors import InputError, MissingExtraError
from tscl.evaluation.metrics.calibration import check_probabilities, reliability_bins
from tscl.evaluation.metrics.classification import classification_metrics
from tscl.seeding import numpy_generator, same_threads

Predictions = Mapping[str, tuple[ArrayLike, ArrayLike]]
Styles = Mapping[str, tuple[str, str]]
Curves = Mapping[str, Sequence[tuple[NDArray[Any], NDArray[Any]]]]
GRID = np.linspace(0.0, 1.0, 401)
MOST_POINTS = 3000
"""Of more embeddings a random choice is drawn."""


def roc_pr_figure(
    curves: Curves, *, names: Sequence[str] = (), styles: Styles | None = None
) -> Figure:
    """ROC and precision-recall curves, one colour a method, side by side.

    Thin: each seed. Thick: their mean over a grid. Two classes: curves of class 1. More: the mean
    over classes of one against the rest, whose areas are those of the tables. A method whose
    labels hold one class only is named in the legend without a curve.

    Args:
        curves: name -> (y (n,), proba (n, K)) of every seed.
        names: name of each class.
        styles: name -> colour and dash; by default a colour each.
    """
    if not curves:
        raise InputError("curves", "none", "give at least one method")
    below = len(curves) > 4
    height = 4.8 + (0.22 * len(curves) if below else 0)
    figure = Figure(figsize=(10.5, height), layout="constrained")
    roc_axes, pr_axes = panels = figure.subplots(1, 2)
    several, chance = False, None
    styles = styles or _own_styles(curves)
    for name, seeds in curves.items():
        colour, dash = styles[name]
        checked = [check_probabilities(y, p) for y, p in seeds]
        several = checked[0][1].shape[1] > 2
        drawn = [_curve_pair(y, p) for y, p in checked if len(np.unique(y)) > 1]
        if not drawn:
            for axes in panels:
                axes.plot([], [], color=colour, ls=dash, label=f"{name} (one class only)")
            continue
        metrics = [classification_metrics(y, p) for y, p in checked if len(np.unique(y)) > 1]
        if chance is None:
            chance = drawn[0][2]
        areas = (
            f"area {np.mean([scores.auroc for scores in metrics]):.3f}",
            f"average precision {np.mean([scores.auprc for scores in metrics]):.3f}",
        )
        for axes, place, area in zip(panels, (0, 1), areas, strict=True):
            values = np.stack([curve[place] for curve in drawn])
            if len(values) > 1 and np.ptp(values, axis=0).max() > 0:
                axes.plot(GRID, values.T, color=colour, lw=0.6, alpha=0.35)
            line: dict[str, Any] = {"color": colour, "ls": dash, "lw": 1.7}
            axes.plot(GRID, values.mean(axis=0), label=f"{name} ({area})", **line)
    roc_axes.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", label="chance")
    if chance is not None:
        pr_axes.axhline(chance, color="0.6", lw=1, ls="--", label="chance")
    kind = "mean over classes" if several else (names[1] if len(names) > 1 else "class 1")
    labels = [("false positive rate", "true positive rate"), ("recall", "precision")]
    for axes, (x_label, y_label) in zip(panels, labels, strict=True):
        axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.03))
        axes.grid(alpha=0.25)
        where: dict[str, Any] = {"loc": "lower right" if axes is roc_axes else "lower left"}
        if below:
            where = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "frameon": False}
        axes.legend(fontsize=8, **where)
    roc_axes.set_title(f"ROC, {kind}", fontsize=10)
    pr_axes.set_title(f"precision and recall, {kind}", fontsize=10)
    return figure


def _curve_pair(
    y: NDArray[np.int64], p: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """True positive rate and precision on :data:`GRID`, and the precision of chance."""
    present = [k for k in range(p.shape[1]) if 0 < (y == k).sum() < len(y)]
    ranked = [1] if p.shape[1] == 2 else present
    rates, precisions = [], []
    for k in ranked:
        false, true, _ = roc_curve(y == k, p[:, k])
        rates.append(np.interp(GRID, false, true))
        precision, recall, _ = precision_recall_curve(y == k, p[:, k])
        at = np.searchsorted(recall[::-1], GRID)  # a step holds from the recall below it
        precisions.append(precision[::-1][np.minimum(at, len(recall) - 1)])
    chance = float(np.mean([(y == k).mean() for k in ranked]))
    return np.mean(rates, axis=0), np.mean(precisions, axis=0), chance


def calibration_figure(predictions: Predictions, styles: Styles | None = None) -> Figure:
    """Accuracy against confidence of the top label, and how many samples a bin holds.

    Args:
        predictions: name -> (y (n,), proba (n, K)).
        styles: as of :func:`roc_pr_figure`.
    """
    if not predictions:
        raise InputError("predictions", "none", "give at least one method")
    figure = Figure(figsize=(8.6, 6.0), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", label="perfect calibration")
    low = 1.0
    styles = styles or _own_styles(predictions)
    for name, (y_true, proba) in predictions.items():
        bins = reliability_bins(y_true, proba)
        used = bins.count > 0
        colour, dash = styles[name]
        label = f"{name} (ECE {bins.ece:.3f})"
        style: dict[str, Any] = {"color": colour, "ls": dash, "lw": 1.4, "marker": "o", "ms": 4}
        top.plot(bins.confidence[used], bins.accuracy[used], label=label, **style)
        share = bins.count / bins.count.sum()
        bottom.stairs(share, bins.edges, color=colour, ls=dash, lw=1.4)
        low = min(low, 1 / np.shape(proba)[1], float(bins.edges[:-1][used].min()))
    top.set(ylabel="accuracy", ylim=(-0.02, 1.02), xlim=(max(0.0, low - 0.02), 1.01))
    bottom.set(xlabel="confidence (probability of the predicted class)", ylabel="share of samples")
    for axes in (top, bottom):
        axes.grid(alpha=0.25)
    top.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    return figure


def _own_styles(names: Iterable[str]) -> dict[str, tuple[Any, str]]:
    """A colour for each name, all lines drawn through."""
    every = list(names)
    return {n: (c, "-") for n, c in zip(every, qualitative_colours(len(every)), strict=True)}


def confusion_figure(predictions: Predictions, *, names: Sequence[str] = ()) -> Figure:
    """Confusion matrices side by side: counts, coloured by the share of the true class.

    Args:
        predictions: name of a panel, such as a level -> (y (n,), proba (n, K)).
        names: name of each class.
    """
    if not predictions:
        raise InputError("predictions", "none", "give at least one level")
    checked = {name: check_probabilities(y, p) for name, (y, p) in predictions.items()}
    k = max(p.shape[1] for _, p in checked.values())
    labels = [names[i] if i < len(names) else str(i) for i in range(k)]
    size = (1.2 + (1.6 + 0.8 * k) * len(checked), 2.4 + 0.7 * k)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(checked), squeeze=False)[0]
    for number, (axes, (name, (y, p))) in enumerate(zip(panels, checked.items(), strict=True)):
        counts = confusion_matrix(y, p.argmax(axis=1), labels=np.arange(k))
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i in range(k):
            for j in range(k):
                colour = "white" if share[i, j] > 0.55 else "black"
                text = f"{counts[i, j]}\n{share[i, j]:.0%}"
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=9)
        long = max(map(len, labels)) > 6
        axes.set_xticks(
            np.arange(k), labels, rotation=30 if long else 0, ha="right" if long else "center"
        )
        axes.set_yticks(np.arange(k), labels if number == 0 else [""] * k)
        axes.set(xlabel="predicted", ylabel="true" if number == 0 else "")
        axes.set_title(name, fontsize=10)
    figure.colorbar(image, ax=panels[-1], label="share of the true class", shrink=0.85)
    return figure


def embedding_figure(
    embeddings: ArrayLike,
    label: ArrayLike,
    patient: ArrayLike,
    *,
    names: Sequence[str] = (),
    umap: bool | None = None,
) -> Figure:
    """Two dimensions of the embeddings, coloured by label and by patient.

    The upper row is PCA of standardised embeddings; a lower row is UMAP. Embeddings that gather by
    patient rather than by label are the sign of an embedding that tells people apart.

    Args:
        embeddings: (n, D), D >= 2.
        label: (n,) class codes.
        patient: (n,) ids.
        names: name of each class.
        umap: True needs umap-learn, None draws UMAP when it is installed, False leaves it out.

    Raises:
        InputError: shapes that do not fit, embeddings that are not finite.
        MissingExtraError: ``umap=True`` without umap-learn.
    """
    z, y, who = np.asarray(embeddings, dtype=np.float64), np.asarray(label), np.asarray(patient)
    if z.ndim != 2 or z.shape[1] < 2 or len(z) < 3 or not np.isfinite(z).all():
        raise InputError(
            "embeddings", f"shape {z.shape}", "give 3 or more finite embeddings (n, D >= 2)"
        )
    if y.shape != (len(z),) or who.shape != (len(z),):
        raise InputError("label, patient", (y.shape, who.shape), f"give one an embedding, {len(z)}")
    if len(z) > MOST_POINTS:
        some = numpy_generator(0, "embedding").choice(len(z), MOST_POINTS, replace=False)
        z, y, who = z[some], y[some], who[some]
    z = StandardScaler().fit_transform(z)
    pca = PCA(2, random_state=0).fit(z)
    shares = pca.explained_variance_ratio_
    rows = [("PCA", pca.transform(z), [f"component {i + 1} ({shares[i]:.0%})" for i in (0, 1)])]
    mapped = _umap(z, umap)
    if mapped is not None:
        rows.append(("UMAP", mapped, ["dimension 1", "dimension 2"]))
    figure = Figure(figsize=(11.5, 4.6 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 2, squeeze=False)
    order = numpy_generator(0, "drawing order").permutation(len(z))
    texts = {k: names[k] if 0 <= k < len(names) else str(k) for k in np.unique(y).tolist()}
    for (kind, points, axis_labels), axes in zip(rows, grid, strict=True):
        _scatter(axes[0], points, y, order, [texts[k] for k in np.unique(y).tolist()])
        patients = np.unique(who)
        shown = [str(patient_name) for patient_name in patients] if len(patients) <= 12 else None
        _scatter(axes[1], points, who, order, shown)
        axes[0].set_title(f"{kind} by label", fontsize=10)
        axes[1].set_title(f"{kind} by patient ({len(patients)})", fontsize=10)
        for panel in axes:
            panel.set(xlabel=axis_labels[0], ylabel=axis_labels[1])
    return figure


def _scatter(
    axes: Any,
    points: NDArray[Any],
    groups: NDArray[Any],
    order: NDArray[Any],
    texts: Sequence[str] | None,
) -> None:
    """Points in a random order, so that no group hides another, with a legend if ``texts``."""
    unique, code = np.unique(groups, return_inverse=True)
    colours = np.asarray(qualitative_colours(len(unique)))
    size = 14 if len(points) < 1000 else 7
    axes.scatter(*points[order].T, c=colours[code[order]], s=size, alpha=0.7, linewidths=0)
    axes.grid(alpha=0.2)
    if texts is not None:
        for colour, text in zip(colours, texts, strict=True):
            axes.scatter([], [], color=colour, s=22, label=text)
        axes.legend(fontsize=8, loc="best", framealpha=0.8)


def _umap(z: NDArray[Any], wanted: bool | None) -> NDArray[Any] | None:
    """UMAP of ``z`` where it is wanted and installed (or the few points allow it)."""
    if wanted is False or (wanted is None and len(z) < 15):
        return None
    try:
        from umap import UMAP
    except ImportError as error:
        if wanted:
            raise MissingExtraError("umap-learn", "umap") from error
        return None
    neighbours = min(15, len(z) - 1)
    mapper = UMAP(n_neighbors=neighbours, random_state=0, n_jobs=1)
    with same_threads():
        mapped: NDArray[Any] = mapper.fit_transform(z)
    return mapped


def qualitative_colours(n: int) -> list[tuple[float, float, float, float]]:
    """``n`` colours: a qualitative set while it lasts, then a hue circle."""
    if n <= 10:
        return [tuple(matplotlib.colormaps["tab10"](i)) for i in range(n)]  # type: ignore[misc]
    return [tuple(matplotlib.colormaps["turbo"](i / (n - 1))) for i in range(n)]  # type: ignore[misc]
