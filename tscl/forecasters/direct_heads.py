"""Heads on what a window shows: its lags, its calendar and a network's embedding of it.

A ridge and gradient boosting in the place of a network's own decoder. Both forecast every step of
the horizon directly, and both choose on windows held out from training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import nn

from tscl.evaluation.forecasting.head import TS2VEC_ALPHAS, RidgePath
from tscl.forecasters.intervals import window_embeddings
from tscl.forecasters.linear_head import LinearForecast
from tscl.forecasters.training import window_length
from tscl.forecasters.window_data import (
    Float32,
    Float64,
    Origins,
    WindowData,
    shares,
    thinned,
    weighted_mean,
)
from tscl.forecasters.windows import window_forecasts

ALPHAS = (*TS2VEC_ALPHAS[::2], 1e4, 1e5)
LEVELS = ("last", "none", "mean", "standard", "scaled")
"""What a forecast is relative to: the window's last value, nothing, its mean; its mean or last
value in units of its deviation. Lags are relative to the last value in all but ``none``: so a
strong penalty leaves free where between mean and last value the level is."""
WEIGHTS = (1.0, 0.1)
"""Covariates or embedding are multiplied by one: their penalty is the lags' over its square."""
LEAST_SCALE = 0.05
"""Added to a window's deviation, so that a constant window has a scale."""
RIDGE_POWER, HEAD_POWER = 4.0, 2.0
"""Ridges, and heads, are averaged by their inverse held-out errors to these powers."""
STOPPED = 1.5
"""Times its held-out error a network counts in the mean: it was stopped by the same windows."""
MAX_SEVERAL = 8
"""Of more variables, one ridge is kept in the place of a mean of several."""
MAX_ROWS = 20_000
"""Rows boosting is fitted on, drawn when there are more."""
MAX_WINDOWS = 10_000
"""Windows heads are fitted on; more are thinned out evenly."""
MAX_EMBEDDING = 64
"""Principal components of an embedding that a ridge sees."""
TREE_EMBEDDING = 16
"""The first of them, which trees see."""


class _Embedder:
    """A network's embedding of windows, standardised principal components, (n, F).

    Args:
        data: windows of the series.
        network: with ``represent``; None gives embeddings of no columns.
        origins: of the training windows, by which components and scale are fitted.
    """

    def __init__(self, data: WindowData, network: nn.Module | None, origins: Origins) -> None:
        self._components: PCA | None = None
        if network is not None:
            embeddings = window_embeddings(
                network,
                data.values,
                thinned(origins, 2000),
                window_length(network, data),
                marks=data.marks,
            )
            self._components = _components(embeddings)

    def __call__(self, data: WindowData, network: nn.Module | None, origins: Origins) -> Float64:
        """Embeddings of the windows that end at ``origins``."""
        if self._components is None or network is None:
            return np.zeros((len(origins), 0))
        length = window_length(network, data)
        embeddings = window_embeddings(network, data.values, origins, length, marks=data.marks)
        return np.asarray(self._components.transform(embeddings), np.float64)


class StepEmbedder:
    """Embeddings of single steps, standardised principal components, in the place of a network's.

    Args:
        embeddings: (T, D), each of its past only; rows before the first origin may be NaN.
        origins: steps the components are fitted on.
    """

    def __init__(self, embeddings: Float32, origins: Origins) -> None:
        self.embeddings = embeddings
        self._components = _components(embeddings[thinned(origins, 2000)])

    def __call__(self, data: WindowData, network: nn.Module | None, origins: Origins) -> Float64:
        """Embeddings of the steps ``origins``, (n, F)."""
        return np.asarray(self._components.transform(self.embeddings[origins]), np.float64)


def _components(embeddings: Float32) -> PCA:
    """Principal components of unit variance, without those that are rounding errors."""

    def fit(size: int) -> PCA:
        return PCA(size, whiten=True, svd_solver="covariance_eigh").fit(embeddings)

    every = fit(min(MAX_EMBEDDING, *embeddings.shape))
    varied = int((every.explained_variance_ratio_ > 1e-6).sum())
    return every if varied == every.n_components_ else fit(max(1, varied))


@dataclass(frozen=True)
class RidgeChoice:
    """What a ridge sees: a member of ``LEVELS``, weights of covariates and embedding (0: none), its
    penalty, and steps of the past (0: the whole window)."""

    level: str = "last"
    calendar: float = 0.0
    embedding: float = 0.0
    alpha: float = 1.0
    past: int = 0


@dataclass(eq=False)
class Ridge:
    """One ridge a variable, from the window to all steps ahead, by a choice.

    Attributes:
        choice: what it sees. error: its held-out mean squared error.
    """

    choice: RidgeChoice = field(default_factory=RidgeChoice)
    error: float = float("inf")

    def choose(
        self, data: WindowData, train: Origins, held: Origins, embedded: tuple[Float64, Float64]
    ) -> Ridge:
        """Fit with the best penalty of the lags alone.

        Args:
            data: windows of the series.
            train: origins to fit on.
            held: origins that the penalty is chosen on.
            embedded: (n, F) embeddings of both.
        """
        self._try(data, train, held, embedded, self.choice)
        return self

    def extend(
        self, data: WindowData, train: Origins, held: Origins, embedded: tuple[Float64, Float64]
    ) -> Ridge:
        """Add covariates and embedding, each only where it lowers the held-out error.

        Arguments as :meth:`choose`.
        """
        if data.marks is not None:
            chosen = self.choice
            for weight in WEIGHTS:
                self._try(data, train, held, embedded, replace(chosen, calendar=weight))
        if embedded[0].shape[1]:
            chosen = self.choice
            for weight in WEIGHTS:
                self._try(data, train, held, embedded, replace(chosen, embedding=weight))
        return self

    def fit(self, data: WindowData, origins: Origins, embedding: Float64) -> Ridge:
        """Fit by the choice made, on the origins whose past is known.

        Args:
            data: windows of the series.
            origins: last steps of their past.
            embedding: (n, F) of the windows.
        """
        paths = self._paths(data, origins, embedding, self.choice)
        self._weights = [path.coefficients(self.choice.alpha) for path in paths]
        return self

    def predict(self, data: WindowData, origins: Origins, embedding: Float64) -> Float64:
        """Forecasts (n, H, C).

        Arguments as :meth:`fit`.
        """
        result = np.empty((len(origins), data.horizon, data.values.shape[1]))
        for c, (x, center, scale) in enumerate(_ridge_rows(data, origins, embedding, self.choice)):
            weights, intercept = self._weights[c]
            result[:, :, c] = (x @ weights + intercept) * scale + center
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
        for c, (path, (x, center, scale)) in enumerate(zip(paths, rows, strict=True)):
            for alpha, forecast in path.predict_path(x):
                error = forecast * scale + center - truth[:, :, c]
                errors[alpha] += float(np.square(error).mean())
        alpha = min(errors, key=errors.__getitem__)
        error = errors[alpha] / truth.shape[2]
        if error < self.error:
            self.error, self.choice = error, replace(choice, alpha=alpha)
            self._weights = [path.coefficients(alpha) for path in paths]

    def _paths(
        self, data: WindowData, origins: Origins, embedding: Float64, choice: RidgeChoice
    ) -> list[RidgePath]:
        known = data.room(origins) >= (choice.past or data.length)
        origins, embedding = origins[known], embedding[known]
        truth = data.future(origins)
        return [
            RidgePath(ALPHAS).fit(x, (truth[:, :, c] - center) / scale)
            for c, (x, center, scale) in enumerate(_ridge_rows(data, origins, embedding, choice))
        ]


@dataclass(eq=False)
class RidgeForecast:
    """The mean of ridges that differ in past and level, weighted by their held-out errors.

    What one of them wins by on some stretches it loses on the next; their mean does not.

    Attributes:
        ridges: the best first. weights: of each in the mean.
    """

    ridges: list[Ridge] = field(default_factory=lambda: [Ridge()])
    weights: list[float] = field(default_factory=lambda: [1.0])

    @property
    def choice(self) -> RidgeChoice:
        """Of the best ridge."""
        return self.ridges[0].choice

    def choose(
        self,
        data: WindowData,
        train: Origins,
        held: Origins,
        embedded: tuple[Float64, Float64],
        pasts: Sequence[int] = (0,),
        *,
        several: bool = False,
    ) -> RidgeForecast:
        """Fit on ``train`` a ridge of every past and level, and keep all or the best.

        Args:
            data: series.
            train: origins to fit on; a ridge leaves out those that lack its past.
            held: origins to choose by.
            embedded: embeddings of both.
            pasts: lengths of the past; 0 is the whole window.
            several: keep all.
        """
        choices = [RidgeChoice(level, past=past) for past in pasts for level in LEVELS]
        tried = [Ridge(choice).choose(data, train, held, embedded) for choice in choices]
        if not several:
            tried = [min(tried, key=lambda ridge: ridge.error)]
        tried = [ridge.extend(data, train, held, embedded) for ridge in tried]
        self.ridges = sorted(tried, key=lambda ridge: ridge.error)
        self.weights = shares([ridge.error for ridge in self.ridges], RIDGE_POWER)
        return self

    def fit(self, data: WindowData, origins: Origins, embedding: Float64) -> RidgeForecast:
        """Fit by the choices made.

        Arguments as :meth:`Ridge.fit`.
        """
        for ridge in self.ridges:
            ridge.fit(data, origins, embedding)
        return self

    def predict(self, data: WindowData, origins: Origins, embedding: Float64) -> Float64:
        """Forecasts (n, H, C).

        Arguments as :meth:`Ridge.fit`.
        """
        return weighted_mean(
            (ridge.predict(data, origins, embedding) for ridge in self.ridges), self.weights
        )


def _ridge_rows(
    data: WindowData, origins: Origins, embedding: Float64, choice: RidgeChoice
) -> Iterator[tuple[Float64, Float64, Float64]]:
    """Features (n, F), centre (n, 1) and scale (n, 1) of each variable."""
    shared = [choice.embedding * embedding] if choice.embedding else []
    if choice.calendar:
        shared.append(choice.calendar * data.ahead(origins).astype(np.float64))
    past = data.past(origins, choice.past).astype(np.float64)
    for c in range(past.shape[2]):
        lags = past[:, :, c]
        center, scale = _level(lags, choice.level)
        origin = center if choice.level == "none" else lags[:, -1:]
        yield np.concatenate([(lags - origin) / scale, *shared], axis=1), center, scale


def _level(lags: Float64, kind: str) -> tuple[Float64, Float64]:
    """Centre and scale of windows (n, L), (n, 1) each."""
    ones = np.ones((len(lags), 1))
    center = {"last": lags[:, -1:], "scaled": lags[:, -1:], "none": 0 * ones}.get(kind)
    if center is None:
        center = lags.mean(axis=1, keepdims=True)
    if kind in ("standard", "scaled"):
        return center, lags.std(axis=1, keepdims=True) + LEAST_SCALE
    return center, ones


@dataclass(eq=False)
class BoostedForecast:
    """Gradient boosting, one model for all steps and variables: of what the ridge leaves over, or
    without a ridge of the difference to the window's level.

    A row is a step ahead of a window: which step it is, its covariates, the window's last values,
    the values whole seasons before the step, means over seasons (all without the window's last
    value), the forecast under it and the embedding. Trees cannot go beyond the values they have
    seen; the ridge under them can.

    Attributes:
        ridge: fitted, or None. seed: of the trees and of the rows they are fitted on.
        past: steps the lags reach back; 0 is the whole window.
        n_trees, level, embedding: chosen by the held-out error; with a ridge the level is the
            ridge's. error: that error.
    """

    ridge: RidgeForecast | None
    seed: int = 0
    past: int = 0
    n_trees: int = 100
    level: str = "last"
    embedding: bool = True
    error: float = float("inf")
    _model: HistGradientBoostingRegressor = field(init=False, repr=False)

    def choose(
        self, data: WindowData, train: Origins, held: Origins, embedded: tuple[Float64, Float64]
    ) -> Float64:
        """Fit on ``train``; what the held-out windows want, and their forecasts.

        Arguments as :meth:`Ridge.choose`.
        """
        some = thinned(np.arange(len(held)), max(100, MAX_ROWS // _size(data)))
        part = held[some], embedded[1][some]
        truth = data.future(part[0])
        levels = ("last", "scaled") if self.ridge is None else (self.ridge.choice.level,)
        tried = [(level, False) for level in levels]
        if embedded[0].shape[1] and self.ridge is not None:
            tried.append((levels[0], True))
        best: tuple[str, bool, int, HistGradientBoostingRegressor] | None = None
        n_trees = self.n_trees
        for self.level, self.embedding in tried:
            self.n_trees = n_trees
            self.fit(data, train, embedded[0])
            base, scale = self._under(data, *part)
            rows = self._rows(data, part[0], part[1], base, scale)
            for i, more in enumerate(self._model.staged_predict(rows)):
                forecast = base + more.reshape(base.shape) * scale[:, None]
                error = float(np.square(forecast - truth).mean())
                if error < self.error:
                    self.error, best = error, (self.level, self.embedding, i + 1, self._model)
        assert best is not None
        self.level, self.embedding, self.n_trees, self._model = best
        return self.predict(data, held, embedded[1], stages=self.n_trees)

    def fit(self, data: WindowData, origins: Origins, embedding: Float64) -> BoostedForecast:
        """Fit by the choice made, over the ridge as it is, on the origins whose past is known.

        Arguments as :meth:`Ridge.fit`.
        """
        known = data.room(origins) >= max(self._past(data), self._ridge_past(data))
        origins, embedding = origins[known], embedding[known]
        base, scale = self._under(data, origins, embedding)
        n_pairs = len(origins) * data.horizon
        wanted = min(n_pairs, MAX_ROWS // data.values.shape[1])
        pairs = np.random.default_rng(self.seed).permutation(n_pairs)[:wanted]
        at = np.divmod(pairs, data.horizon)
        left = ((data.future(origins) - base) / scale[:, None])[at]
        self._model = HistGradientBoostingRegressor(
            max_iter=self.n_trees,
            learning_rate=0.15,
            # rows of one window are alike, so a leaf of few rows is a single window
            min_samples_leaf=int(np.clip(left.size // 50, 20, 200)),
            early_stopping=False,
            random_state=self.seed,
        )
        self._model.fit(self._rows(data, origins, embedding, base, scale, at), left.reshape(-1))
        return self

    def predict(
        self, data: WindowData, origins: Origins, embedding: Float64, stages: int | None = None
    ) -> Float64:
        """Forecasts (n, H, C) of the first ``stages`` trees, or of all.

        Arguments as :meth:`Ridge.fit`; ``stages`` is the number of trees.
        """
        blocks = np.array_split(np.arange(len(origins)), -(-len(origins) * _size(data) // 200_000))
        parts = []
        for block in blocks:
            base, scale = self._under(data, origins[block], embedding[block])
            rows = self._rows(data, origins[block], embedding[block], base, scale)
            if stages is None:
                more = self._model.predict(rows)
            else:
                more = next(islice(self._model.staged_predict(rows), stages - 1, None))
            parts.append(base + more.reshape(base.shape) * scale[:, None])
        return np.concatenate(parts) if parts else np.zeros((0, data.horizon, 1))

    def _past(self, data: WindowData) -> int:
        return self.past or data.length

    def _ridge_past(self, data: WindowData) -> int:
        """The longest past of the ridges under the trees."""
        ridges = [] if self.ridge is None else self.ridge.ridges
        return max((ridge.choice.past or data.length for ridge in ridges), default=0)

    def _under(
        self, data: WindowData, origins: Origins, embedding: Float64
    ) -> tuple[Float64, Float64]:
        """The forecast (n, H, C) that trees add to, and the scale (n, C) of what they add."""
        past = data.past(origins, self._past(data)).astype(np.float64)
        level = self.level if self.ridge is None else self.ridge.choice.level
        each = [_level(past[:, :, c], level) for c in range(past.shape[2])]
        scale = np.concatenate([part for _, part in each], axis=1)
        if self.ridge is not None:
            return self.ridge.predict(data, origins, embedding), scale
        center = np.concatenate([part for part, _ in each], axis=1)
        return np.repeat(center[:, None], data.horizon, axis=1), scale

    def _rows(
        self,
        data: WindowData,
        origins: Origins,
        embedding: Float64,
        base: Float64,
        scale: Float64,
        at: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    ) -> Float32:
        """A row for every pair ``at`` of a window and a step (all when None) and variable."""
        horizon, values, length = data.horizon, data.values, self._past(data)
        if at is None:
            at = np.divmod(np.arange(len(origins) * horizon), horizon)
        window, step = at
        now = origins[window]
        last = values[now]  # (pairs, C)
        columns: list[NDArray[np.floating]] = [base[window, step] - last]
        columns += [values[now - lag] - last for lag in range(1, min(length, 8))]
        total = np.concatenate([np.zeros((1, last.shape[1])), values.cumsum(0, dtype=np.float64)])
        for season in (s for s in data.seasons if s <= length):
            before = (step + 1) - ((step // season) + 1) * season  # of the step, to the past
            for back in range(0, min(3 * season, length), season):
                lag = before - back
                inside = (lag > -length)[:, None]
                columns.append(
                    np.where(inside, values[now + np.maximum(lag, 1 - length)] - last, 0)
                )
            columns.append((total[now + 1] - total[now + 1 - season]) / season - last)
        columns = [column / scale[window] for column in columns]
        columns += [
            last,
            np.broadcast_to(step[:, None], last.shape),
            np.broadcast_to(np.arange(last.shape[1]), last.shape),
        ]
        shared = [embedding[window, :TREE_EMBEDDING]] if self.embedding else []
        if data.marks is not None:
            shared.append(data.marks[now + step + 1])
        table = np.stack(columns, axis=-1).astype(np.float32)
        if shared:
            more = np.concatenate(shared, axis=1).astype(np.float32)[:, None]
            more = np.broadcast_to(more, (*last.shape, more.shape[-1]))
            table = np.concatenate([table, more], axis=-1)
        return table.reshape(last.size, -1)


def _size(data: WindowData) -> int:
    """Forecast values of a window."""
    return data.horizon * int(data.values.shape[1])


def naive_forecast(data: WindowData, origins: Origins, season: int) -> Float32:
    """The value whole seasons before every step, (n, H, C); with a season of 1 the last one.

    Args:
        data: windows of the series.
        origins: last steps of their past.
        season: steps.
    """
    ahead = np.arange(1, data.horizon + 1)
    return np.asarray(data.values[origins[:, None] + ahead - season * -(-ahead // season)])


HEADS = ("auto", "network", "ridge", "boosting", "trees")
"""Values of ``head``: boosting stands on the ridge, trees on the window's level."""


@dataclass(eq=False)
class Head:
    """What turns a window into a forecast: the network's decoder, a ridge, boosting, or their mean.

    Attributes:
        members: of :data:`HEADS`, ``naive`` or ``linear``, and their weights in the mean.
        errors: held-out mean squared error of each that was tried.
    """

    members: dict[str, float] = field(default_factory=lambda: {"network": 1.0})
    errors: dict[str, float] = field(default_factory=dict)
    ridge: RidgeForecast | None = None
    boosted: dict[str, BoostedForecast] = field(default_factory=dict)
    linear: LinearForecast | None = None
    embedder: _Embedder | StepEmbedder | None = None
    season: int = 1

    @property
    def kind(self) -> str:
        """The members in words, as in ``errors``: ``ridge``, or ``mean of boosting, ridge``."""
        names = sorted(self.members)
        return names[0] if len(names) == 1 else f"mean of {', '.join(names)}"

    @classmethod
    def choose(
        cls,
        wanted: str,
        network: nn.Module | None,
        data: WindowData,
        train: Origins,
        held: Origins,
        *,
        seed: int = 0,
        embedder: StepEmbedder | None = None,
        pasts: Sequence[int] = (0,),
    ) -> tuple[Head, Float32]:
        """The head ``wanted``, or with ``auto`` the mean of all, weighted by held-out errors.

        Errors come from fits on ``train`` alone; what was chosen is then fitted again on both
        parts and what lies between them (a network's own decoder is not).

        Args:
            wanted: one of :data:`HEADS`.
            network: with a decoder and ``represent``; None for heads on lags alone.
            data: series.
            train: origins to fit on; heads with a longer past leave some out.
            held: origins to choose by; without any, ``auto`` is the network or else the ridge.
            seed: of the trees.
            embedder: takes the place of the network's embedding.
            pasts: lengths of the past that ``auto`` has ridges of; 0 is the whole window.

        Returns:
            The head, and its forecasts (n, H, C) of the held-out windows before that second fit.
        """
        own = np.zeros((len(held), data.horizon, data.values.shape[1]), np.float32)
        if network is not None:
            length = window_length(network, data)
            own = window_forecasts(network, data.values, held, length, marks=data.marks)
        if wanted == "auto" and not len(held):
            wanted = "ridge" if network is None else "network"
        if wanted == "network":
            errors = {wanted: float(np.square(own - data.future(held)).mean())} if len(held) else {}
            return cls({wanted: 1.0}, errors), own
        train = thinned(train, MAX_WINDOWS)
        head = cls({wanted: 1.0}, embedder=embedder or _Embedder(data, network, train))
        if not len(held):
            head.ridge = RidgeForecast()
            if wanted != "ridge":
                under = head.ridge if wanted == "boosting" else None
                head.boosted[wanted] = BoostedForecast(under, seed, n_trees=50)
            head._fit(network, data, train)
            return head, own
        forecasts = head._try(wanted, network, data, train, held, seed, pasts)
        if wanted == "auto":
            head._add_naive(forecasts, data, held)
            head.linear = LinearForecast()
            forecasts["linear"] = head.linear.choose(data, train, held, pasts, seed)
            if network is not None:
                forecasts["network"] = own
        result = head._weigh(forecasts, data.future(held))
        every = data.between(np.concatenate([train, held]))
        head._fit(network, data, thinned(every, MAX_WINDOWS))
        return head, result.astype(np.float32)

    def _try(
        self,
        wanted: str,
        network: nn.Module | None,
        data: WindowData,
        train: Origins,
        held: Origins,
        seed: int,
        pasts: Sequence[int],
    ) -> dict[str, NDArray[np.floating]]:
        """Fit on ``train`` what may be needed, choose by ``held``, and its forecasts there."""
        assert self.embedder is not None
        n_variables = data.values.shape[1]
        train = thinned(train, max(1000, MAX_WINDOWS // n_variables))
        embedded = self.embedder(data, network, train), self.embedder(data, network, held)
        forecasts: dict[str, NDArray[np.floating]] = {}
        past = 0
        if wanted != "trees":
            several = wanted == "auto" and n_variables <= MAX_SEVERAL
            self.ridge = RidgeForecast()
            self.ridge.choose(data, train, held, embedded, pasts, several=several)
            forecasts["ridge"] = self.ridge.predict(data, held, embedded[1])
            past = self.ridge.choice.past
        for name, under in (("boosting", self.ridge), ("trees", None)):
            if wanted in ("auto", name):
                self.boosted[name] = BoostedForecast(under, seed, past)
                forecasts[name] = self.boosted[name].choose(data, train, held, embedded)
        return forecasts if wanted == "auto" else {wanted: forecasts[wanted]}

    def _add_naive(
        self, forecasts: dict[str, NDArray[np.floating]], data: WindowData, held: Origins
    ) -> None:
        """The last value, or that of the season with the least error."""
        errors, truth = {}, data.future(held)
        for season in (1, *(s for s in data.seasons if s <= data.length)):
            errors[season] = float(np.square(naive_forecast(data, held, season) - truth).mean())
        self.season = min(errors, key=errors.__getitem__)
        forecasts["naive"] = naive_forecast(data, held, self.season)

    def _weigh(
        self, forecasts: Mapping[str, NDArray[np.floating]], truth: Float32
    ) -> NDArray[np.floating]:
        """Set members and errors; the mean of the forecasts by their weights."""
        self.errors = {n: float(np.square(f - truth).mean()) for n, f in forecasts.items()}
        known = [e * (STOPPED if n == "network" else 1) for n, e in self.errors.items()]
        weights = shares(known, HEAD_POWER) if len(known) > 1 else [1.0]
        self.members = {n: w for n, w in zip(forecasts, weights, strict=True) if w > 0}
        result = weighted_mean((forecasts[n] for n in self.members), list(self.members.values()))
        self.errors[self.kind] = float(np.square(result - truth).mean())
        return result

    def _fit(self, network: nn.Module | None, data: WindowData, origins: Origins) -> None:
        """Fit heads again by the choices made."""
        assert self.embedder is not None
        embedding = self.embedder(data, network, origins)
        if self.ridge is not None:
            self.ridge.fit(data, origins, embedding)
        for boosted in self.boosted.values():
            boosted.fit(data, origins, embedding)

    def forecast(self, network: nn.Module | None, data: WindowData, origins: Origins) -> Float32:
        """Forecasts (n, H, C).

        Args:
            network: the one the head was chosen with, or None.
            data: windows of the series.
            origins: last steps of their past.
        """
        embedding = np.zeros((len(origins), 0))
        if self.embedder is not None:
            embedding = self.embedder(data, network, origins)

        def forecast(member: str) -> NDArray[np.floating]:
            if member == "network":
                assert network is not None
                length = window_length(network, data)
                return window_forecasts(network, data.values, origins, length, marks=data.marks)
            if member == "naive":
                return naive_forecast(data, origins, self.season)
            if member == "linear":
                assert self.linear is not None
                return self.linear.predict(data, origins)
            if member == "ridge":
                assert self.ridge is not None
                return self.ridge.predict(data, origins, embedding)
            return self.boosted[member].predict(data, origins, embedding)

        forecasts = (forecast(member) for member in self.members)
        return weighted_mean(forecasts, list(self.members.values())).astype(np.float32)

    def facts(self) -> dict[str, Any]:
        """What was chosen, for reports: the members and their weights, and what each sees."""
        result: dict[str, Any] = {"head": self.kind}
        if len(self.members) > 1:
            result["weights"] = {name: round(share, 3) for name, share in self.members.items()}
        if "naive" in self.members:
            result["season"] = self.season
        if self.ridge is not None:
            result["ridge"] = asdict(self.ridge.choice)
            if len(self.ridge.ridges) > 1:
                result["ridges"] = len(self.ridge.ridges)
        if self.linear is not None:
            result["linear"] = {"pasts": sorted({int(w.shape[1]) for w in self.linear.maps})}
        for name, boosted in self.boosted.items():
            seen = {"n_trees": boosted.n_trees, "embedding": boosted.embedding}
            result[name] = seen | ({"level": boosted.level} if boosted.ridge is None else {})
        return result
