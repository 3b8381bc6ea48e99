"""Heads on what a window shows: its lags, its calendar and a network's embedding of it.

A ridge and gradient boosting in the place of a network's own decoder. Both forecast every step of
the horizon directly, and both choose on windows held out from training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import nn

from tscl.evaluation.forecasting.head import TS2VEC_ALPHAS, RidgePath
from tscl.forecasters.intervals import window_embeddings
from tscl.forecasters.windows import window_forecasts

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Origins = NDArray[np.int64]
ALPHAS = (*TS2VEC_ALPHAS[::2], 1e4, 1e5)
LEVELS = ("last", "none", "mean")
"""What is subtracted from a window and added to its forecast: last value, nothing, mean."""
MAX_ROWS = 50_000
"""Rows boosting is fitted on, drawn when there are more."""
MAX_WINDOWS = 10_000
"""Windows heads are fitted on; more are thinned out evenly."""
MAX_EMBEDDING = 16
"""Principal components of an embedding that a head sees."""


@dataclass(frozen=True, eq=False)
class WindowData:
    """A series (or several joined) and what heads read of its windows.

    Attributes:
        values: (T, C) float32, scaled.
        marks: (T', K) covariates known ahead, T' >= T + horizon where forecasts start, or None.
        length, horizon: steps of past and future.
        seasons: season lengths in steps, which name the lags boosting sees.
    """

    values: Float32
    marks: Float32 | None
    length: int
    horizon: int
    seasons: tuple[int, ...] = ()

    def future(self, origins: Origins) -> Float32:
        """The truth (n, H, C) after each origin."""
        return np.asarray(self.values[origins[:, None] + np.arange(1, self.horizon + 1)])

    def past(self, origins: Origins) -> Float32:
        """The window (n, L, C) up to each origin."""
        return np.asarray(self.values[origins[:, None] + np.arange(1 - self.length, 1)])

    def ahead(self, origins: Origins) -> Float32:
        """Covariates (n, H, K) of the steps forecast; K is 0 without any."""
        if self.marks is None:
            return np.zeros((len(origins), self.horizon, 0), np.float32)
        return np.asarray(self.marks[origins[:, None] + np.arange(1, self.horizon + 1)])


class Embedder:
    """A network's embedding of windows, standardised principal components, (n, F).

    Args:
        network: with ``represent``; None gives embeddings of no columns.
    """

    def __init__(self, data: WindowData, network: nn.Module | None, origins: Origins) -> None:
        self._components: PCA | None = None
        if network is not None:
            embeddings = window_embeddings(
                network, data.values, thinned(origins, 2000), data.length, marks=data.marks
            )
            size = min(MAX_EMBEDDING, *embeddings.shape)
            self._components = PCA(size, whiten=True, svd_solver="covariance_eigh").fit(embeddings)

    def __call__(self, data: WindowData, network: nn.Module, origins: Origins) -> Float64:
        """Embeddings of the windows that end at ``origins``."""
        if self._components is None:
            return np.zeros((len(origins), 0))
        embeddings = window_embeddings(network, data.values, origins, data.length, marks=data.marks)
        return np.asarray(self._components.transform(embeddings), np.float64)


@dataclass(frozen=True)
class RidgeChoice:
    """What a ridge sees: a member of ``LEVELS``, covariates, embeddings; and its penalty."""

    level: str = "last"
    calendar: bool = False
    embedding: bool = False
    alpha: float = 1.0


@dataclass(eq=False)
class RidgeForecast:
    """One ridge a variable, from the window to all steps ahead.

    Level, covariates, embedding and penalty are those with the least error on the held-out
    windows, in that order: a part that does not lower it is left out.

    Attributes:
        choice: what was chosen. error: its held-out mean squared error.
    """

    choice: RidgeChoice = field(default_factory=RidgeChoice)
    error: float = float("inf")

    def choose(
        self, data: WindowData, train: Origins, held: Origins, embedded: tuple[Float64, Float64]
    ) -> RidgeForecast:
        """Fit on ``train`` by every choice; ``embedded`` are the embeddings of both parts."""
        for level in LEVELS:
            self._try(data, train, held, embedded, RidgeChoice(level))
        if data.marks is not None:
            chosen = RidgeChoice(self.choice.level, True, self.choice.embedding)
            self._try(data, train, held, embedded, chosen)
        if embedded[0].shape[1]:
            chosen = RidgeChoice(self.choice.level, self.choice.calendar, True)
            self._try(data, train, held, embedded, chosen)
        return self.fit(data, train, embedded[0])

    def fit(self, data: WindowData, origins: Origins, embedding: Float64) -> RidgeForecast:
        """Fit by the choice made."""
        paths = self._paths(data, origins, embedding, self.choice)
        self._weights = [path.coefficients(self.choice.alpha) for path in paths]
        return self

    def predict(self, data: WindowData, origins: Origins, embedding: Float64) -> Float64:
        """Forecasts (n, H, C)."""
        result = np.empty((len(origins), data.horizon, data.values.shape[1]))
        for c, (x, level) in enumerate(_ridge_rows(data, origins, embedding, self.choice)):
            weights, intercept = self._weights[c]
            result[:, :, c] = x @ weights + intercept + level
        return result

    def _try(
        self,
        data: WindowData,
        train: Origins,
        held: Origins,
        embedded: tuple[Float64, Float64],
        choice: RidgeChoice,
    ) -> None:
        errors = dict.fromkeys(ALPHAS, 0.0)
        truth = data.future(held)
        paths = self._paths(data, train, embedded[0], choice)
        rows = _ridge_rows(data, held, embedded[1], choice)
        for c, (path, (x, level)) in enumerate(zip(paths, rows, strict=True)):
            for alpha, forecast in path.predict_path(x):
                errors[alpha] += float(np.square(forecast + level - truth[:, :, c]).mean())
        alpha = min(errors, key=errors.__getitem__)
        error = errors[alpha] / truth.shape[2]
        if error < self.error:
            self.error = error
            self.choice = RidgeChoice(choice.level, choice.calendar, choice.embedding, alpha)

    def _paths(
        self, data: WindowData, origins: Origins, embedding: Float64, choice: RidgeChoice
    ) -> list[RidgePath]:
        truth = data.future(origins)
        rows = _ridge_rows(data, origins, embedding, choice)
        return [
            RidgePath(ALPHAS).fit(x, truth[:, :, c] - level) for c, (x, level) in enumerate(rows)
        ]


def _ridge_rows(
    data: WindowData, origins: Origins, embedding: Float64, choice: RidgeChoice
) -> Iterator[tuple[Float64, Float64]]:
    """Features (n, F) and level (n, 1) of each variable."""
    shared = [embedding] if choice.embedding else []
    if choice.calendar:
        shared.append(data.ahead(origins).reshape(len(origins), -1).astype(np.float64))
    past = data.past(origins).astype(np.float64)
    for c in range(past.shape[2]):
        lags = past[:, :, c]
        level = _level(lags, choice.level)
        yield np.concatenate([lags - level, *shared], axis=1), level


def _level(lags: Float64, kind: str) -> Float64:
    if kind == "last":
        return lags[:, -1:]
    return lags.mean(axis=1, keepdims=True) if kind == "mean" else np.zeros((len(lags), 1))


@dataclass(eq=False)
class BoostedForecast:
    """Gradient boosting of what the ridge leaves over, one model for all steps and variables.

    A row is a step ahead of a window: which step it is, its covariates, the window's last values,
    the values whole seasons before the step, means over seasons (all without the window's last
    value), the ridge's forecast and the embedding. Trees cannot go beyond the values they have
    seen; the ridge under them can.

    Attributes:
        ridge: fitted. seed: of the trees and of the rows they are fitted on.
        n_trees: chosen by the held-out error. error: that error.
    """

    ridge: RidgeForecast
    seed: int = 0
    n_trees: int = 200
    error: float = float("inf")

    def choose(
        self, data: WindowData, train: Origins, held: Origins, embedded: tuple[Float64, Float64]
    ) -> Float64:
        """Fit on ``train``; as many trees as the held-out windows want, and their forecasts."""
        self.fit(data, train, embedded[0])
        base = self.ridge.predict(data, held, embedded[1])
        truth = data.future(held)
        stages = self._model.staged_predict(self._rows(data, held, embedded[1], base))
        best: Float64 = base
        for i, more in enumerate(stages):
            forecast = np.asarray(base + more.reshape(base.shape), np.float64)
            error = float(np.square(forecast - truth).mean())
            if error < self.error:
                self.error, self.n_trees, best = error, i + 1, forecast
        return best

    def fit(self, data: WindowData, origins: Origins, embedding: Float64) -> BoostedForecast:
        """Fit by the choice made, under the ridge as it is."""
        base = self.ridge.predict(data, origins, embedding)
        n_pairs = len(origins) * data.horizon
        wanted = min(n_pairs, MAX_ROWS // data.values.shape[1])
        pairs = np.random.default_rng(self.seed).permutation(n_pairs)[:wanted]
        at = np.divmod(pairs, data.horizon)
        left = (data.future(origins) - base)[at]
        self._model = HistGradientBoostingRegressor(
            max_iter=self.n_trees, early_stopping=False, random_state=self.seed
        )
        self._model.fit(self._rows(data, origins, embedding, base, at), left.reshape(-1))
        return self

    def predict(self, data: WindowData, origins: Origins, embedding: Float64) -> Float64:
        """Forecasts (n, H, C)."""
        base = self.ridge.predict(data, origins, embedding)
        more = self._model.predict(self._rows(data, origins, embedding, base))
        return np.asarray(base + more.reshape(base.shape), np.float64)

    @staticmethod
    def _rows(
        data: WindowData,
        origins: Origins,
        embedding: Float64,
        base: Float64,
        at: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> Float32:
        """A row for every pair ``at`` of a window and a step (all when None) and variable."""
        horizon, values = data.horizon, data.values
        if at is None:
            at = np.divmod(np.arange(len(origins) * horizon), horizon)
        window, step = at
        now = origins[window]
        last = values[now]  # (pairs, C)
        columns: list[NDArray[np.floating]] = [
            np.broadcast_to(step[:, None], last.shape),
            np.broadcast_to(np.arange(last.shape[1]), last.shape),
            last,
            base[window, step] - last,
        ]
        columns += [values[now - lag] - last for lag in range(1, min(data.length, 8))]
        total = np.concatenate([np.zeros((1, last.shape[1])), values.cumsum(0, dtype=np.float64)])
        for season in (s for s in data.seasons if s <= data.length):
            before = (step + 1) - ((step // season) + 1) * season  # of the step, to the past
            for back in range(0, min(3 * season, data.length), season):
                lag = before - back
                inside = (lag > -data.length)[:, None]
                columns.append(
                    np.where(inside, values[now + np.maximum(lag, 1 - data.length)] - last, 0)
                )
            columns.append((total[now + 1] - total[now + 1 - season]) / season - last)
        shared = [embedding[window]]
        if data.marks is not None:
            shared.append(data.marks[now + step + 1])
        table = np.stack(columns, axis=-1).astype(np.float32)
        more = np.concatenate(shared, axis=1).astype(np.float32)[:, None]
        more = np.broadcast_to(more, (*last.shape, more.shape[-1]))
        return np.concatenate([table, more], axis=-1).reshape(last.size, -1)


HEADS = ("auto", "network", "ridge", "boosting")


@dataclass(eq=False)
class Head:
    """What turns a window into a forecast: the network's decoder, a ridge, boosting, their mean.

    Attributes:
        kind: ``network``, ``ridge``, ``boosting`` or ``mean``.
        errors: held-out mean squared error of each that was tried.
    """

    kind: str = "network"
    errors: dict[str, float] = field(default_factory=dict)
    ridge: RidgeForecast | None = None
    boosted: BoostedForecast | None = None
    embedder: Embedder | None = None

    @classmethod
    def choose(
        cls,
        wanted: str,
        network: nn.Module,
        data: WindowData,
        train: Origins,
        held: Origins,
        *,
        seed: int = 0,
    ) -> tuple[Head, Float32]:
        """The head ``wanted``, or with ``auto`` the one with the least held-out error.

        Errors come from fits on ``train`` alone; what was chosen is then fitted again on both
        parts (a network's own decoder is not).

        Returns:
            The head, and its forecasts (n, H, C) of the held-out windows before that second fit.
        """
        own = window_forecasts(network, data.values, held, data.length, marks=data.marks)
        truth = data.future(held)
        if wanted == "network" or (wanted == "auto" and not len(held)):
            errors = {"network": float(np.square(own - truth).mean())} if len(held) else {}
            return cls("network", errors), own
        train = thinned(train, MAX_WINDOWS)
        embedder = Embedder(data, network, train)
        if not len(held):
            embedding = embedder(data, network, train)
            ridge = RidgeForecast().fit(data, train, embedding)
            boosted = BoostedForecast(ridge, seed, 50) if wanted == "boosting" else None
            if boosted is not None:
                boosted.fit(data, train, embedding)
            return cls(wanted, {}, ridge, boosted, embedder), own
        embedded = embedder(data, network, train), embedder(data, network, held)
        ridge = RidgeForecast().choose(data, train, held, embedded)
        forecasts: dict[str, NDArray[np.floating]] = {"network": own}
        forecasts["ridge"] = ridge.predict(data, held, embedded[1])
        boosted = None
        if wanted in ("auto", "boosting"):
            boosted = BoostedForecast(ridge, seed)
            forecasts["boosting"] = boosted.choose(data, train, held, embedded)
            forecasts["mean"] = np.mean(list(forecasts.values()), axis=0)
        errors = {k: float(np.square(v - truth).mean()) for k, v in forecasts.items()}
        kind = min(errors, key=errors.__getitem__) if wanted == "auto" else wanted
        head = cls(kind, errors, ridge, boosted, embedder)
        if kind != "network":
            both = thinned(np.sort(np.concatenate([train, held])), MAX_WINDOWS)
            embedding = embedder(data, network, both)
            ridge.fit(data, both, embedding)
            if boosted is not None and kind != "ridge":
                boosted.fit(data, both, embedding)
        return head, forecasts[kind].astype(np.float32)

    def forecast(self, network: nn.Module, data: WindowData, origins: Origins) -> Float32:
        """Forecasts (n, H, C) from ``origins``."""
        forecasts: list[NDArray[np.floating]] = []
        if self.kind in ("network", "mean"):
            forecasts.append(
                window_forecasts(network, data.values, origins, data.length, marks=data.marks)
            )
        if self.kind != "network":
            assert self.embedder is not None
            assert self.ridge is not None
            embedding = self.embedder(data, network, origins)
            if self.kind in ("ridge", "mean"):
                forecasts.append(self.ridge.predict(data, origins, embedding))
            if self.kind in ("boosting", "mean"):
                assert self.boosted is not None
                forecasts.append(self.boosted.predict(data, origins, embedding))
        return np.asarray(np.mean(forecasts, axis=0, dtype=np.float64), np.float32)


def thinned(origins: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most ``most`` of the origins, evenly spaced, the last one among them."""
    stride = -(-len(origins) // most) if len(origins) else 1
    return origins[::-1][::stride][::-1]
