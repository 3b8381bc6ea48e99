"""Prediction intervals of a trained forecasting network: conformal, or from its embeddings.

Both give offsets from the point forecast and are calibrated on windows held out from training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tscl.encoders.base import evaluating
from tscl.errors import InputError
from tscl.evaluation.forecasting.coverage import calibrated, tracked_widths
from tscl.seeding import seeded, torch_generator

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


class Intervals(Protocol):
    """Offsets of intervals around point forecasts."""

    def bounds(self, coverage: float, embeddings: Float32) -> tuple[Float64, Float64]:
        """Lower and upper offsets (n, H, C) for n windows with embeddings (n, F)."""
        ...


@dataclass(frozen=True, eq=False)
class ConformalIntervals:
    """Symmetric intervals of one width a step and variable.

    Attributes:
        errors: (n, H, C) truth minus forecast of held-out windows.
    """

    errors: Float32

    def bounds(self, coverage: float, embeddings: Float32) -> tuple[Float64, Float64]:
        """See :class:`Intervals`; the embeddings only say how many windows there are."""
        width = calibrated(np.abs(self.errors), coverage)
        result = np.broadcast_to(width, (len(embeddings), *width.shape))
        return -result, result


@dataclass(frozen=True, eq=False)
class AdaptiveIntervals:
    """Symmetric conformal intervals whose widths follow the errors seen of late.

    See :func:`tscl.evaluation.forecasting.coverage.tracked_widths`. A score is an absolute error
    over the spread of its window.

    Attributes:
        errors: (n, H, C) truth minus forecast of held-out windows.
        spread: (n, C) of their windows, of
            :func:`tscl.evaluation.forecasting.coverage.window_spread`.
        later: scores (m, H, C) of the windows after training, one a step; NaN where not known.
    """

    errors: Float32
    spread: Float64
    later: Float64 | None = None

    def followed_by(self, errors: Float32, spread: Float64) -> AdaptiveIntervals:
        """Intervals that have seen further windows, one a step, NaN where the truth is to come."""
        scores = np.abs(errors) / spread[:, None]
        later = scores if self.later is None else np.concatenate([self.later, scores])
        return replace(self, later=later)

    def bounds(self, coverage: float, embeddings: Float32) -> tuple[Float64, Float64]:
        """See :class:`Intervals`; offsets in units of the spread of the window asked about."""
        width = self.width(coverage)
        result = np.broadcast_to(width, (len(embeddings), *width.shape))
        return -result, result

    def width(self, coverage: float) -> Float64:
        """(H, C) after all windows."""
        held = np.abs(self.errors) / self.spread[:, None]
        later = np.zeros((0, *held.shape[1:])) if self.later is None else self.later
        return np.asarray(tracked_widths(held, later, coverage)[-1])


class QuantileHead(nn.Module):
    """Quantiles of the forecast error, linear in the window's embedding; they never cross.

    Args:
        features: F, width of an embedding.
        horizon: H.
        targets: C.
        levels: increasing, in (0, 1).
    """

    center: Tensor
    scale: Tensor

    def __init__(self, features: int, horizon: int, targets: int, levels: Sequence[float]) -> None:
        super().__init__()
        self.levels = check_levels(levels)
        self.shape = (horizon, targets, len(self.levels))
        self.linear = nn.Linear(features, horizon * targets * len(self.levels))
        self.register_buffer("center", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def start_from(self, embeddings: Tensor, errors: Tensor) -> None:
        """Begin with the quantiles of all errors (n, H, C), whatever the embedding (n, F)."""
        self.center.copy_(embeddings.mean(dim=0))
        self.scale.copy_(embeddings.std(dim=0, correction=0).clamp_min(1e-6))
        points = torch.tensor(self.levels, dtype=errors.dtype)
        values = torch.quantile(errors, points, dim=0).permute(1, 2, 0)
        gaps = values.diff(dim=-1).clamp_min(1e-4)
        inverse = gaps + torch.log(-torch.expm1(-gaps))  # of softplus
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.bias.copy_(torch.cat([values[..., :1], inverse], dim=-1).reshape(-1))

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, F) to (B, H, C, n_levels), increasing along the last axis."""
        raw = self.linear((embeddings - self.center) / self.scale).view(
            len(embeddings), *self.shape
        )
        first, gaps = raw[..., :1], F.softplus(raw[..., 1:])
        return torch.cat([first, first + gaps.cumsum(dim=-1)], dim=-1)


def pinball(errors: Tensor, quantiles: Tensor, levels: Sequence[float]) -> Tensor:
    """Mean pinball loss (Koenker and Bassett 1978).

    Args:
        errors: (B, H, C).
        quantiles: (B, H, C, Q) forecasts of them.
        levels: the Q levels in (0, 1).
    """
    points = torch.tensor(list(levels), dtype=errors.dtype)
    gap = errors.unsqueeze(-1) - quantiles
    return torch.maximum(points * gap, (points - 1.0) * gap).mean()


@dataclass(frozen=True, eq=False)
class QuantileIntervals:
    """Intervals of a quantile head, widened or narrowed until they cover the held-out windows.

    Conformalised quantile regression (Romano et al. 2019, arXiv 1905.03222, algorithm 1), one
    correction a step and variable. Levels between those of the head are interpolated; for levels
    beyond them the outermost one is corrected.

    Attributes:
        head: fitted. errors: (n, H, C) of held-out windows. quantiles: (n, H, C, Q) the head
            gives for them.
    """

    head: QuantileHead
    errors: Float32
    quantiles: Float32

    @classmethod
    def calibrate(
        cls, head: QuantileHead, embeddings: Float32, errors: Float32
    ) -> QuantileIntervals:
        """Intervals from a fitted head and held-out windows.

        Args:
            head: fitted on training windows.
            embeddings: (n, F) of held-out windows.
            errors: (n, H, C) of their forecasts.
        """
        with torch.no_grad():
            return cls(head, errors, head(torch.from_numpy(embeddings)).numpy())

    def bounds(self, coverage: float, embeddings: Float32) -> tuple[Float64, Float64]:
        """See :class:`Intervals`."""
        low, high = self._pair(self.quantiles, coverage)
        more = calibrated(np.maximum(low - self.errors, self.errors - high), coverage)
        with torch.no_grad():
            low, high = self._pair(self.head(torch.from_numpy(embeddings)).numpy(), coverage)
        lower, upper = low - more, high + more
        middle = 0.5 * (lower + upper)  # a correction inwards may pass the middle
        return np.minimum(lower, middle), np.maximum(upper, middle)

    def _pair(self, quantiles: Float32, coverage: float) -> tuple[Float64, Float64]:
        result = []
        for level in ((1.0 - coverage) / 2, (1.0 + coverage) / 2):
            place = np.interp(level, self.head.levels, np.arange(len(self.head.levels)))
            left = int(place)
            right = min(left + 1, len(self.head.levels) - 1)
            share = place - left
            result.append((1 - share) * quantiles[..., left] + share * quantiles[..., right])
        return result[0].astype(np.float64), result[1].astype(np.float64)


def fit_quantile_head(
    embeddings: Float32,
    errors: Float32,
    levels: Sequence[float] = LEVELS,
    *,
    epochs: int = 30,
    lr: float = 1e-2,
    batch_size: int = 128,
    seed: int = 0,
) -> QuantileHead:
    """Fit a head on training windows by the pinball loss.

    Args:
        embeddings: (n, F) of the windows.
        errors: (n, H, C) of the windows' forecasts.
        levels: of the quantiles, ascending in (0, 1).
        epochs: passes over the windows.
        lr: learning rate.
        batch_size: windows a step.
        seed: of initial weights and order.

    Raises:
        InputError: shapes that do not fit, or levels out of order.
    """
    if (
        embeddings.ndim != 2
        or errors.ndim != 3
        or len(embeddings) != len(errors)
        or not len(embeddings)
    ):
        raise InputError(
            "embeddings, errors", (embeddings.shape, errors.shape), "pass (n, F) and (n, H, C)"
        )
    z, e = torch.from_numpy(embeddings), torch.from_numpy(errors)
    with seeded(seed, "quantile head"):
        head = QuantileHead(z.shape[1], e.shape[1], e.shape[2], levels)
    head.start_from(z, e)
    optimiser = torch.optim.Adam(head.parameters(), lr=lr, weight_decay=1e-4)
    for epoch in range(epochs):
        order = torch.randperm(len(z), generator=torch_generator(seed, "quantile head", epoch))
        for rows in order.split(batch_size):
            optimiser.zero_grad()
            pinball(e[rows], head(z[rows]), head.levels).backward()
            optimiser.step()
    return head.eval()


def window_embeddings(
    network: nn.Module,
    values: NDArray[np.floating],
    origins: NDArray[np.int64],
    length: int,
    *,
    marks: NDArray[np.floating] | None = None,
    batch_size: int = 256,
) -> Float32:
    """Embedding of the last token of each window, (n, F); independent channels stand side by side.

    Args:
        network: with ``represent``.
        values: (T, C) series.
        origins: (n,) last steps of the windows.
        length: steps of a window.
        marks: (T, K) covariates.
        batch_size: windows at a time.
    """
    represent: Any = network.represent
    past = np.arange(1 - length, 1)
    result = []
    with torch.no_grad(), evaluating(network):
        for start in range(0, len(origins), batch_size):
            at = origins[start : start + batch_size, None] + past
            x = torch.from_numpy(np.ascontiguousarray(values[at], dtype=np.float32))
            known = None
            if marks is not None:
                known = torch.from_numpy(np.ascontiguousarray(marks[at], dtype=np.float32))
            result.append(represent(x, known)[:, -1].reshape(len(at), -1).numpy())
    return np.concatenate(result)


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """``levels`` when they increase inside (0, 1) and there are two or more; else InputError."""
    result = tuple(float(v) for v in levels)
    inside = all(0.0 < v < 1.0 for v in result)
    if len(result) < 2 or not inside or any(b <= a for a, b in pairwise(result)):
        raise InputError("levels", result, "give two or more, increasing, between 0 and 1")
    return result
