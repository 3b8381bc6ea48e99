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
from tscl.seeding import seeded, torch_generator

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


class Intervals(Protocol):
    """Offsets of intervals around point forecasts."""

    def bounds(self, coverage: float, embeddings: Float32) -> tuple[Float64, Float64]:
        """Lower and upper offsets (n, H, C) for n windows with embeddings (n, F)."""
        ...


def calibrated(scores: NDArray[np.floating], coverage: float) -> Float64:
    """The ceil((n + 1) coverage)-th smallest score of n along the first axis (1st to n-th).

    Split conformal prediction (Vovk et al. 2005; Lei et al. 2018, arXiv 1604.04173, algorithm 2).
    """
    n = len(scores)
    rank = min(n, max(1, int(np.ceil((n + 1) * coverage - 1e-9))))
    result: Float64 = np.sort(scores, axis=0)[rank - 1].astype(np.float64)
    return result


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


def window_spread(past: NDArray[np.floating]) -> Float64:
    """Deviation of every variable within its window (n, L, C), (n, C), none near zero."""
    spread = past.std(axis=1, dtype=np.float64)
    return np.asarray(np.maximum(spread, 0.1 * np.median(spread, axis=0) + 1e-6))


@dataclass(frozen=True, eq=False)
class AdaptiveIntervals:
    """Symmetric conformal intervals whose level follows the errors seen of late.

    A score is an absolute error over the spread of its window. Going through the held-out windows
    in time, the level that is asked for moves by

        alpha' = alpha + gamma (miscoverage - err),    err = 1 when the truth was outside

    (adaptive conformal inference, Gibbs and Candes 2021, arXiv 2106.00170, eq. 2, with gamma .005
    there), and the width is the (1 - alpha)-quantile of the last scores. An error counts once the
    whole horizon of its window is past. Two things differ: alpha never rises above the one asked
    for, so that a quiet stretch does not narrow the intervals before the next season; and where the
    method asks for an infinite interval (alpha below 0) the largest score is widened by
    ``1 - 20 alpha``.

    Attributes:
        errors: (n, H, C) truth minus forecast of held-out windows, in their order of time.
        spread: (n, C) of their windows, of :func:`window_spread`.
        origins: (n,) steps at which they end.
        gamma: step of the level. memory: scores a quantile is taken of, at most.
    """

    errors: Float32
    spread: Float64
    origins: NDArray[np.int64]
    gamma: float = 0.01
    memory: int = 300

    def followed_by(
        self, errors: Float32, spread: Float64, origins: NDArray[np.int64]
    ) -> AdaptiveIntervals:
        """Intervals that have seen further windows, the arguments being theirs."""
        return replace(
            self,
            errors=np.concatenate([self.errors, errors]),
            spread=np.concatenate([self.spread, spread]),
            origins=np.concatenate([self.origins, origins]),
        )

    def bounds(self, coverage: float, embeddings: Float32) -> tuple[Float64, Float64]:
        """See :class:`Intervals`; offsets in units of the spread of the window asked about."""
        width = self.width(coverage)
        result = np.broadcast_to(width, (len(embeddings), *width.shape))
        return -result, result

    def width(self, coverage: float) -> Float64:
        """(H, C) after all windows."""
        scores = np.abs(self.errors) / self.spread[:, None]
        n, horizon = scores.shape[:2]
        alpha = np.full(scores.shape[1:], 1.0 - coverage)
        # the windows whose whole future was known at the origin of each
        known = np.searchsorted(self.origins, self.origins - horizon, side="right")
        known = np.minimum(np.maximum.accumulate(known), np.arange(n))
        first = max(0, n - self.memory)
        for i in range(first, n):
            if known[i] >= 10:
                past = scores[max(0, known[i] - self.memory) : known[i]]
                outside = scores[i] > _quantile(past, alpha)
                alpha = alpha + self.gamma * (1.0 - coverage - outside)
                alpha = np.minimum(alpha, 1.0 - coverage)
        return _quantile(scores[-self.memory :], alpha)


def _quantile(scores: NDArray[np.floating], alpha: Float64) -> Float64:
    """The ceil((n + 1)(1 - alpha))-th smallest of n scores (n, H, C), by level (H, C)."""
    n = len(scores)
    rank = np.ceil((n + 1) * (1.0 - alpha) - 1e-9).astype(np.int64)
    ordered = np.sort(scores, axis=0)
    at = np.clip(rank, 1, n)[None] - 1
    chosen = np.take_along_axis(ordered, at, axis=0)[0]
    return np.asarray(chosen * np.where(alpha < 0, 1.0 - 20.0 * alpha, 1.0), np.float64)


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
    """Mean pinball loss (Koenker and Bassett 1978): quantiles (B, H, C, Q), errors (B, H, C)."""
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
    """Fit a head on embeddings (n, F) and errors (n, H, C) of training windows by the pinball loss.

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
    """Code of the last token of the window that ends at every origin, (n, F).

    Independent channels stand side by side.
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
