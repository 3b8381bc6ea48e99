"""Anomalous steps of a series: where an observation does not fit the embedding of its past."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone

from tscl.errors import DataError, InputError, check_choice
from tscl.estimators.base import Arrays, TransformerBased
from tscl.estimators.inputs import (
    as_array,
    as_panel,
    kept_on_error,
    read_weights,
    require_fitted,
)
from tscl.estimators.saved import check_arrays
from tscl.estimators.transformer import ContrastiveTransformer
from tscl.inference.masked_distance import masked_distance

Scores = NDArray[np.float64]


@dataclass(eq=False, repr=False)
class ContrastiveAnomalyDetector(TransformerBased):
    """TS2Vec's detector (arXiv 2106.10466, section 4.3) around any method and encoder.

    The score of step t is how far its embedding moves when its observation is hidden
    (:func:`tscl.inference.masked_distance`). It is divided by the mean score of the
    ``average`` steps before, minus one, and an alarm is an adjusted score above the training
    part's mean plus ``beta`` standard deviations.

    Here a 2-D ``X`` is one series (n_timesteps, n_channels), and 1 marks an anomaly.

    Args:
        transformer: :class:`ContrastiveTransformer` to train (it is cloned; wrap a fitted one in
            ``sklearn.frozen.FrozenEstimator``); None takes the default one.
        window: steps of the past each embedding sees.
        average: length Z of the moving average.
        beta: standard deviations above the mean.
        quiet: alarms this many steps after an alarm are left out; the public code takes the
            delay of the evaluation, 7 or 3.
        threshold: ``fitted`` on the training part, or ``running``: mean and deviation of the
            series' own adjusted scores so far, once they are a tenth of it. The second is the
            paper's cold start: ``fit`` on another archive, then ``predict`` a series without a
            training part.
        batch_size: windows at a time.

    Attributes:
        transformer_: the fitted transformer. threshold_: alarms are adjusted scores above it; NaN
            where it is ``running``.
        n_features_in_: channels.

    Examples:
        >>> import numpy as np
        >>> t = np.arange(300.0)
        >>> X = np.sin(t / 4)[:, None] + 0.01 * np.cos(t * t)[:, None]
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 2, "causal": True}
        >>> base = ContrastiveTransformer(encoder_params=small, max_epochs=1, max_train_length=50)
        >>> detector = ContrastiveAnomalyDetector(base, window=20).fit(X[:200])
        >>> detector.predict(X[200:], past=X[:200]).shape
        (100,)
    """

    fitted_by: ClassVar[str] = "threshold_"

    transformer: BaseEstimator | None = None
    _: KW_ONLY
    window: int = 200
    average: int = 21
    beta: float = 4.0
    quiet: int = 0
    threshold: Literal["fitted", "running"] = "fitted"
    batch_size: int = 256

    def fit(self, X: Any, y: Any = None, *, sample_weight: ArrayLike | None = None) -> Self:
        """Train on ``X`` and set the threshold on it.

        Args:
            X: training part, taken to be mostly normal: (T, C), (T,) or a frame of one series,
                (n, T, C) of several.
            y: ignored.
            sample_weight: (n,) weights of the series in training
                (:meth:`ContrastiveTransformer.fit`) and in the mean and deviation of the threshold.

        Raises:
            DataError: bad input, or series no longer than ``average``. InputError: settings.
        """
        if self.average < 1:
            raise InputError("average", self.average, "use 1 step or more")
        if self.quiet < 0:
            raise InputError("quiet", self.quiet, "use 0 steps or more")
        check_choice("threshold", self.threshold, ("fitted", "running"))
        values = as_panel(X)
        weights = read_weights(sample_weight, len(values))
        given = {} if weights is None else {"sample_weight": weights}
        base = ContrastiveTransformer() if self.transformer is None else self.transformer
        with kept_on_error(self):
            self.transformer_ = clone(base).fit(values, None, **given)
            self.n_features_in_ = values.shape[2]
            return self._calibrate(values, weights)

    def calibrate(self, X: Any) -> Self:
        """Set the threshold on another training part, such as each patient's, keeping the encoder.

        Raises:
            DataError: see ``fit``.
        """
        return self._calibrate(self._read(X))

    def _calibrate(
        self, values: NDArray[np.float32], weights: NDArray[np.float64] | None = None
    ) -> Self:
        if self.threshold == "running":
            self.threshold_ = float("nan")
            return self
        scores = self._adjust(self._raw(values))
        held = ~np.isnan(scores)
        known = scores[held]
        if known.size < 2:
            remedy = f"the threshold needs series longer than average = {self.average} steps"
            raise DataError("X", values.shape, remedy)
        mean, spread = known.mean(), known.std()
        if weights is not None:
            every = np.broadcast_to(weights[:, None], scores.shape)[held]
            mean = np.average(known, weights=every)
            spread = np.sqrt(np.average((known - mean) ** 2, weights=every))
        self.threshold_ = float(mean + self.beta * spread)
        return self

    def scores(self, X: Any, *, past: Any = None) -> Scores:
        """Distance between masked and unmasked embedding, (T,) or (n, T); NaN at missing steps.

        Args:
            X: (T, C), (T,) or a frame, or (n, T, C).
            past: the steps right before ``X``, same rank; they are context and not scored.
        """
        values, before = self._with_past(X, past)
        return self._shaped(self._raw(values)[:, before:], X)

    def adjusted_scores(self, X: Any, *, past: Any = None) -> Scores:
        """Scores over their moving average, minus 1; NaN until ``average`` steps are known."""
        values, before = self._with_past(X, past)
        return self._shaped(self._adjust(self._raw(values))[:, before:], X)

    def predict(self, X: Any, *, past: Any = None) -> NDArray[np.int64]:
        """1 at steps with an alarm, else 0; (T,) or (n, T)."""
        values, before = self._with_past(X, past)
        adjusted = self._adjust(self._raw(values))
        limit: Any = self.threshold_
        if self.threshold == "running":
            so_far = pd.DataFrame(adjusted.T).expanding(max(1, values.shape[1] // 10))
            limit = (so_far.mean() + self.beta * so_far.std(ddof=0)).to_numpy().T
        with np.errstate(invalid="ignore"):
            alarms = (adjusted > limit)[:, before:]
        return self._shaped(_rest(alarms, self.quiet).astype(np.int64), X)

    def _read(self, X: Any) -> NDArray[np.float32]:
        require_fitted(self, "transformer_")
        values = as_panel(X, allow_constant=True)
        if values.shape[2] != self.n_features_in_:
            raise DataError("X", values.shape, f"fitted on {self.n_features_in_} channels")
        return values

    def _with_past(self, X: Any, past: Any) -> tuple[NDArray[np.float32], int]:
        values = self._read(X)
        if past is None:
            return values, 0
        earlier = self._read(past)
        if len(earlier) != len(values):
            raise DataError("past", f"{len(earlier)} series", f"give one for each of {len(values)}")
        if self.threshold == "fitted":
            earlier = earlier[:, -(self.window + self.average) :]
        return np.concatenate([earlier, values], axis=1), earlier.shape[1]

    def _raw(self, values: NDArray[np.float32]) -> Scores:
        scaled = self.transformer_.scaled(values)
        return masked_distance(
            self.transformer_.encoder_, scaled, window=self.window, batch_size=self.batch_size
        )

    def _adjust(self, scores: Scores) -> Scores:
        frame = pd.DataFrame(scores.T)
        least = min(self.average, max(2, self.average // 2))
        mean = frame.rolling(self.average, min_periods=least).mean().shift(1).to_numpy().T
        mean = mean.copy()
        mean[:, : self.average] = np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            adjusted = np.where(scores == mean, 0.0, (scores - mean) / mean)
        adjusted[np.isnan(mean) | np.isnan(scores)] = np.nan
        return adjusted

    @staticmethod
    def _shaped(rows: NDArray[Any], X: Any) -> NDArray[Any]:
        return rows if np.ndim(as_array(X)) == 3 else rows[0]

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {}, {"threshold": [self.threshold_]}

    def _from_state(self, facts: dict[str, Any], arrays: Arrays) -> None:
        check_arrays(arrays, threshold=(1,))
        self.threshold_ = float(arrays["threshold"][0])


def _rest(alarms: NDArray[np.bool_], quiet: int) -> NDArray[np.bool_]:
    """Alarms without those up to ``quiet`` steps after one that is kept."""
    out = alarms.copy()
    for row in out:
        last = -quiet - 1
        for t in np.flatnonzero(row).tolist():
            if t - last <= quiet:
                row[t] = False
            else:
                last = t
    return out
