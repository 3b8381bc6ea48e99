"""Why a classifier says what it says of one series: maps over time and channel, and a check.

Needs the extra ``explain`` (captum). Occlusion: Zeiler and Fergus, "Visualizing and Understanding
Convolutional Networks", arXiv 1311.2901. Integrated gradients: Sundararajan et al., "Axiomatic
Attribution for Deep Networks", arXiv 1703.01365. The check: Adebayo et al., "Sanity Checks for
Saliency Maps", arXiv 1810.03292.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr
from torch import nn

from tscl.errors import InputError, MissingExtraError, is_whole
from tscl.seeding import seeded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
_BATCH = 16


@dataclass(frozen=True)
class Explanation:
    """What of a series (T, C) made the probability of one class higher or lower.

    Attributes:
        maps: ``occlusion`` and ``integrated gradients``, (T, C) each, in probability: above 0 what
            is there speaks for the class, below 0 against it; 0 where the series is missing.
        target: the class's name.
        probability: of the class.
        sanity: rank correlation of the sizes in each map with those after the encoder's weights
            were drawn anew; a map near 1 shows the signal and not what was learned.
    """

    maps: Mapping[str, Floats]
    target: str
    probability: float
    sanity: Mapping[str, float]

    def figure(
        self,
        values: ArrayLike,
        rate: float,
        *,
        unit: str = "",
        channels: Sequence[str] = (),
        title: str = "",
        most: int = 12,
    ) -> Figure:
        """The maps behind the recording: red speaks for the class, blue against it.

        Args:
            values: (T, C) recording as it is read, such as in mV.
            rate: Hz.
            unit: of ``values``.
            channels: names of the C channels.
            title: put before the class and its probability.
            most: channels drawn; of more, those with the largest sums in the maps.
        """
        drawn = np.asarray(values, np.float64)
        shape = next(iter(self.maps.values())).shape
        if drawn.shape != shape:
            raise InputError("values", drawn.shape, f"give the series explained, {shape}")
        return _draw(self, drawn, rate, unit, list(channels), title, most)


def explain(
    network: nn.Module,
    series: ArrayLike,
    classes: Sequence[str],
    *,
    target: str | int | None = None,
    width: int | None = None,
    steps: int = 64,
    seed: int = 0,
) -> Explanation:
    """Occlusion and integrated gradients of a probability, against a flat line at each mean.

    Args:
        network: series (B, T, C) to probabilities (B, K), such as
            :class:`tscl.evaluation.clinical.fitted.FittedClassifier`; used in evaluation mode.
        series: (T, C) as the network takes it, NaN where missing.
        classes: names of the K classes.
        target: name or number of the class; None takes the most probable one.
        width: steps hidden at once in one channel, moved by half of it; None takes T / 16.
        steps: of the path integral.
        seed: of the weights drawn for the sanity check.

    Raises:
        MissingExtraError: captum is not installed.
        InputError: a series of another shape, a class that is not there, or a network without
            gradients, such as band power.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> network = nn.Sequential(nn.Flatten(), layer, nn.Softmax(1))
        >>> answer = explain(network, np.eye(3)[:, :1], ["well", "ill"], target="ill")
        >>> answer.maps["occlusion"].shape
        (3, 1)
    """
    x = torch.as_tensor(np.asarray(series, np.float32))
    if x.ndim != 2 or not len(x):
        raise InputError("series", tuple(x.shape), "give one series (T, C)")
    if not getattr(network, "is_network", True):
        remedy = "only a network can be explained, not neighbours and plain features"
        raise InputError("network", type(network).__name__, remedy)
    if width is not None and not 1 <= width <= len(x):
        raise InputError("width", width, f"give 1 to {len(x)} steps")
    window = width or max(1, len(x) // 16)
    where = next(network.parameters()).device
    x = x[None].to(where)
    network = network.eval()
    with torch.no_grad():
        proba = network(x)[0]
    code = _code(target, list(classes), int(proba.argmax()))
    maps = _maps(network, x, code, window, steps)
    anew = _maps(_drawn_anew(network, seed), x, code, window, steps)
    sanity = {name: _alike(values, anew[name]) for name, values in maps.items()}
    return Explanation(maps, str(classes[code]), float(proba[code]), sanity)


def _code(target: str | int | None, classes: list[str], best: int) -> int:
    if target is None:
        return best
    if target in classes:
        return classes.index(str(target))
    if not is_whole(target) or not 0 <= int(target) < len(classes):
        raise InputError("target", target, f"choose one of {', '.join(map(str, classes))}")
    return int(target)


def _maps(
    network: nn.Module, x: torch.Tensor, code: int, width: int, steps: int
) -> dict[str, Floats]:
    """Both maps (T, C) of ``x`` (1, T, C)."""
    try:
        from captum.attr import IntegratedGradients, Occlusion
    except ImportError as error:
        raise MissingExtraError("captum", "explain") from error
    level = x.nanmean(dim=1, keepdim=True).nan_to_num(0.0).expand_as(x)
    hidden = Occlusion(network).attribute(
        x,
        sliding_window_shapes=(width, 1),
        strides=(max(1, width // 2), 1),
        baselines=level,
        target=code,
        perturbations_per_eval=_BATCH,
    )
    path = IntegratedGradients(network).attribute(
        x, baselines=level, target=code, n_steps=steps, internal_batch_size=_BATCH
    )
    scores = {"occlusion": hidden, "integrated gradients": path}
    return {
        name: np.nan_to_num(value[0].detach().cpu().double().numpy())
        for name, value in scores.items()
    }


def _drawn_anew(network: nn.Module, seed: int) -> nn.Module:
    """A copy whose encoder (the whole network if it has none) has weights as before training."""
    other = copy.deepcopy(network)
    with seeded(seed, "weights drawn anew"):
        for part in getattr(other, "encoder", other).modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
    return other


def _alike(a: Floats, b: Floats) -> float:
    """Rank correlation of sizes; 0 where one map is the same everywhere."""
    sizes = np.abs(a).ravel(), np.abs(b).ravel()
    if min(np.ptp(size) for size in sizes) == 0:
        return 0.0
    return float(spearmanr(*sizes).statistic)


def _draw(
    answer: Explanation,
    values: Floats,
    rate: float,
    unit: str,
    channels: list[str],
    title: str,
    most: int,
) -> Figure:
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    sizes = [np.abs(attribution).sum(axis=0) for attribution in answer.maps.values()]
    total = sum(size / max(size.sum(), 1e-12) for size in sizes)
    shown = np.sort(np.argsort(-np.asarray(total), kind="stable")[:most])
    names = channels or [f"ch{i}" for i in range(values.shape[1])]
    seconds = np.arange(len(values)) / rate
    size = (10.5, 1.3 + 0.95 * len(shown))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(shown), len(answer.maps), squeeze=False, sharex=True, sharey="row")
    for column, (name, level) in zip(grid.T, answer.maps.items(), strict=True):
        norm = Normalize(-np.abs(level).max() or -1, np.abs(level).max() or 1)
        for axes, channel in zip(column, shown, strict=True):
            own = values[:, channel]
            low, high = (np.nanmin(own), np.nanmax(own)) if np.isfinite(own).any() else (0.0, 1.0)
            room = 0.08 * (high - low) or 1.0
            place = (0.0, len(values) / rate, low - room, high + room)
            image: Any = axes.imshow(
                level[:, channel][None], aspect="auto", extent=place, cmap="RdBu_r", norm=norm
            )
            axes.plot(seconds, own, color="#1d2126", lw=0.8)
            axes.set_ylim(place[2:])
        column[0].set_title(name, fontsize=10)
        column[-1].set_xlabel("seconds")
        figure.colorbar(image, ax=column, label="change of the probability", shrink=0.85)
    for axes, channel in zip(grid[:, 0], shown, strict=True):
        axes.set_ylabel(f"{names[channel]}\n({unit})" if unit else names[channel], fontsize=8)
    left = "" if len(shown) == values.shape[1] else f"; {len(shown)} of {values.shape[1]} channels"
    head = f"{answer.target}: probability {answer.probability:.2f}{left}"
    figure.suptitle(f"{title}, {head}" if title else head, fontsize=11)
    return figure
