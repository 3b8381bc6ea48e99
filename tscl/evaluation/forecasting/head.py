"""Ridge regression for many penalties and many targets from one decomposition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError, NotFittedError
from tscl.evaluation.forecasting.scores import (
    ErrorSums,
    SplitLike,
    future,
    row_blocks,
)


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Features of each step, built block by block from parts known at that step.

    Attributes:
        data: (T, C) scaled targets, the source of windows.
        embeddings: (T, D) representations, or None.
        extra: (T, E) further features known at the step (calendar, ...), or None.
        window: how many of the last values, the current included, to append; 0 for none.
        relative: subtract the current value from the window (leaves window - 1 columns a channel).
    """

    data: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None = None
    extra: NDArray[np.float32] | None = None
    window: int = 0
    relative: bool = True

    @property
    def width(self) -> int:
        """Number of feature columns."""
        columns = sum(a.shape[1] for a in (self.embeddings, self.extra) if a is not None)
        result: int = columns + max(0, self.window - int(self.relative)) * self.data.shape[1]
        return result

    @property
    def first(self) -> int:
        """First step that has a full window."""
        return max(0, self.window - 1)

    def block(self, start: int, stop: int) -> Float64:
        """Features of the steps [start, stop), (stop - start, width) float64."""
        parts = [
            a[start:stop].astype(np.float64) for a in (self.embeddings, self.extra) if a is not None
        ]
        if self.window:
            past = self.data[start - self.window + 1 : stop].astype(np.float64)
            view = sliding_window_view(past, self.window, axis=0)
            if self.relative:
                view = view[:, :, :-1] - view[:, :, -1:]
            parts.append(view.reshape(stop - start, -1))
        return np.concatenate(parts, axis=1)


Float64 = NDArray[np.float64]
Blocks = Iterable[tuple[Float64, Float64]]


class RidgePath:
    """Ridge with an unpenalised intercept for a list of penalties at once.

    Minimises ``|Y - X W - b|^2 + alpha |W|^2`` (sklearn's ``Ridge``) for every alpha through one
    eigendecomposition of the centred Gram matrix, ``Xc' Xc = V diag(w) V'``, so that
    ``W(alpha) = V diag(1 / (w + alpha)) V' Xc' Yc``. All sums are float64.

    Args:
        alphas: the penalties, all above zero.

    Raises:
        InputError: no penalties, or one that is not a positive finite number.
    """

    def __init__(self, alphas: Sequence[float]) -> None:
        self.alphas = tuple(float(a) for a in alphas)
        if not self.alphas or not all(np.isfinite(a) and a > 0 for a in self.alphas):
            raise InputError("alphas", alphas, "pass one or more positive penalties")
        self._vectors: Float64 | None = None

    def fit(self, x: ArrayLike, y: ArrayLike) -> RidgePath:
        """Fit on ``x`` (n, D) and ``y`` (n, K) or (n,)."""
        x64 = np.asarray(x, dtype=np.float64)
        y64 = np.asarray(y, dtype=np.float64)
        y64 = y64[:, None] if y64.ndim == 1 else y64
        if x64.ndim != 2 or y64.ndim != 2 or len(x64) != len(y64) or len(x64) == 0:
            raise InputError("x, y", (x64.shape, y64.shape), "pass (n, D) and (n, K), n above 0")
        return self.fit_blocks(lambda: [(x64, y64)])

    def fit_blocks(self, blocks: Callable[[], Blocks]) -> RidgePath:
        """Fit on rows that come in blocks, so that no (n, K) target is ever held whole.

        Args:
            blocks: called twice; each time gives the same (x, y) blocks of rows.
        """
        count = 0
        sum_x: Float64 | float = 0.0
        sum_y: Float64 | float = 0.0
        for x, y in blocks():
            count += len(x)
            sum_x = sum_x + x.sum(axis=0)
            sum_y = sum_y + y.sum(axis=0)
        if count == 0:
            raise InputError("blocks", "no rows", "pass at least one row")
        self._mean_x = np.asarray(sum_x / count, dtype=np.float64)
        self._mean_y = np.asarray(sum_y / count, dtype=np.float64)
        width, outputs = len(self._mean_x), len(self._mean_y)
        gram = np.zeros((width, width))
        cross = np.zeros((width, outputs))
        for x, y in blocks():
            centred = x - self._mean_x
            gram += centred.T @ centred
            cross += centred.T @ (y - self._mean_y)
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)
        self._projected = self._vectors.T @ cross
        return self

    def coefficients(self, alpha: float) -> tuple[Float64, Float64]:
        """Weights (D, K) and intercepts (K,) for one penalty (any positive one)."""
        vectors = self._fitted()
        weights = vectors @ (self._projected / (self._values + alpha)[:, None])
        return weights, self._mean_y - self._mean_x @ weights

    def predict(self, x: ArrayLike, alpha: float) -> Float64:
        """Predictions (n, K) of ``x`` (n, D) for one penalty."""
        weights, intercept = self.coefficients(alpha)
        return np.asarray(x, dtype=np.float64) @ weights + intercept

    def predict_path(self, x: ArrayLike) -> Iterator[tuple[float, Float64]]:
        """Each penalty with its predictions (n, K); ``x`` is rotated once for all of them."""
        rotated = (np.asarray(x, dtype=np.float64) - self._mean_x) @ self._fitted()
        for alpha in self.alphas:
            yield alpha, (rotated / (self._values + alpha)) @ self._projected + self._mean_y

    def _fitted(self) -> Float64:
        if self._vectors is None:
            raise NotFittedError("RidgePath: call fit before predict")
        return self._vectors


TS2VEC_ALPHAS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


@dataclass(frozen=True)
class HeadSettings:
    """How the ridge head is fitted; defaults are TS2Vec's.

    Attributes:
        drop: steps at the start of training left out, for want of history; their embeddings may be
            NaN.
        alphas: penalties to choose from on validation, by RMSE + MAE.
        residual: predict the difference to the current value, so the head also sees that value.
        window_features: append so many of the last target values to the features; 0 for none.
        relative_window: subtract the current value from the appended window.
        standardize: scale features by mean and deviation over the training rows.
    """

    drop: int = 200
    alphas: Sequence[float] = TS2VEC_ALPHAS
    residual: bool = False
    window_features: int = 0
    relative_window: bool = True
    standardize: bool = False

    def __post_init__(self) -> None:
        if self.drop < 0:
            raise InputError("drop", self.drop, "use 0 or more")
        if self.window_features < 0:
            raise InputError("window_features", self.window_features, "use 0 (none) or more")
        RidgePath(self.alphas)


class ForecastHead:
    """A ridge for one horizon, with the penalty that does best on validation.

    Use :func:`forecast_protocol` for tables; this class is for forecasts from chosen steps.

    Args:
        rows: features of every step; of several series, each with targets of its own, which one
            ridge serves.
        split: training, validation and test slices.
        horizon: steps ahead.
        settings: how to fit.
    """

    def __init__(
        self,
        rows: FeatureRows | Sequence[FeatureRows],
        split: SplitLike,
        horizon: int,
        settings: HeadSettings,
    ) -> None:
        self.series = [rows] if isinstance(rows, FeatureRows) else list(rows)
        self.horizon = horizon
        self.residual = settings.residual
        first = self.series[0]
        self._start = max(split.train.start + settings.drop, first.first)
        self._stop = split.train.stop - horizon
        self.n_train = (self._stop - self._start) * len(self.series)
        self._center, self._scale = np.zeros(first.width), np.ones(first.width)
        if settings.standardize:
            self._standardize()
        self._model = RidgePath(settings.alphas).fit_blocks(self._training_blocks)
        self.alpha, self.valid = self._choose(split.valid)

    def predict(self, start: int, stop: int) -> Float64:
        """Forecasts (stop - start, horizon, C) from the steps [start, stop), of all series."""
        forecasts = [self._restore(rows, start, stop) for rows in self.series]
        return forecasts[0] if len(forecasts) == 1 else np.concatenate(forecasts, axis=2)

    def _restore(
        self, rows: FeatureRows, start: int, stop: int, flat: Float64 | None = None
    ) -> Float64:
        if flat is None:
            flat = self._model.predict(self._features(rows, start, stop), self.alpha)
        out = flat.reshape(stop - start, self.horizon, rows.data.shape[1])
        return out + rows.data[start:stop, None, :] if self.residual else out

    def _features(self, rows: FeatureRows, start: int, stop: int) -> Float64:
        return (rows.block(start, stop) - self._center) / self._scale

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[FeatureRows, int, int]]:
        for rows in self.series:
            width = rows.width + self.horizon * rows.data.shape[1]
            for block in row_blocks(start, stop, width):
                yield rows, *block

    def _standardize(self) -> None:
        blocks = list(self._blocks(self._start, self._stop))
        center = sum(rows.block(*b).sum(axis=0) for rows, *b in blocks) / self.n_train
        spread = sum(np.square(rows.block(*b) - center).sum(axis=0) for rows, *b in blocks)
        deviation = np.sqrt(spread / self.n_train)
        self._center = np.asarray(center)
        self._scale = np.where(deviation > 1e-12, deviation, 1.0)

    def _training_blocks(self) -> Iterator[tuple[Float64, Float64]]:
        for rows, start, stop in self._blocks(self._start, self._stop):
            target = future(rows.data, start, stop, self.horizon)
            if self.residual:
                target -= rows.data[start:stop, None, :]
            yield self._features(rows, start, stop), target.reshape(stop - start, -1)

    def _choose(self, part: slice) -> tuple[float, ErrorSums]:
        """The penalty with the least RMSE + MAE over the rows of ``part``, and its errors."""
        sums = {alpha: [ErrorSums() for _ in self.series] for alpha in self._model.alphas}
        place = {id(rows): number for number, rows in enumerate(self.series)}
        for rows, start, stop in self._blocks(part.start, part.stop - self.horizon):
            truth = future(rows.data, start, stop, self.horizon)
            for alpha, flat in self._model.predict_path(self._features(rows, start, stop)):
                sums[alpha][place[id(rows)]].add(self._restore(rows, start, stop, flat), truth)
        joined = {alpha: ErrorSums.joined(each) for alpha, each in sums.items()}
        return min(joined.items(), key=lambda item: np.sqrt(item[1].mse()) + item[1].mae())
