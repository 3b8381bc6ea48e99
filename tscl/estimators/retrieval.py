"""The patients whose series have the nearest embeddings."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from data_loaders.container.fields import as_ids
from tscl.errors import ConfigError, InputError, MissingExtraError, check_choice, is_whole
from tscl.estimators.base import Arrays, StandardEmbeddings, earlier_name
from tscl.estimators.inputs import (
    Float32,
    kept_on_error,
    read_panel,
    read_weights,
    require_fitted,
)
from tscl.estimators.saved import check_arrays, read_ids, saved_ids
from tscl.estimators.transformer import ContrastiveTransformer

METRICS = ("euclidean", "manhattan", "cosine")
PARTS = 64
"""Most parts of a series that are warped."""


@dataclass(eq=False, repr=False)
class PatientRetrieval(StandardEmbeddings):
    """An index of embeddings of series with their patients, searched for the nearest patients.

    The distance to a patient is the one to the nearest of the patient's series, between embeddings
    standardised by those of the index.

    Args:
        transformer: :class:`ContrastiveTransformer` to train (it is cloned; wrap a fitted one in
            ``sklearn.frozen.FrozenEstimator``); None takes the default one.
        metric: ``euclidean``, ``manhattan`` or ``cosine``.
        rerank: so many nearest patients are ranked again by dynamic time warping of the embeddings
            of every step, which says in which order things happen (needs the extra ``dtw``);
            ``distance`` is then that of the warping. 0 keeps the order of the pooled embeddings.

    Attributes:
        transformer_: the fitted transformer.
        embeddings_: (n, D), standardised.
        patient_, trial_: (n,) ids.
        embedding_mean_, embedding_scale_: (D,).
        steps_: (n, S, D) embeddings over time in at most 64 parts, standardised, NaN after a
            series' end; with ``rerank`` only.

    Examples:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(12, 30, 1))
        >>> small = {"output_dims": 4, "hidden_dims": 4, "depth": 1}
        >>> base = ContrastiveTransformer(encoder_params=small, max_epochs=1)
        >>> index = PatientRetrieval(base).fit(X, patient=np.repeat([1, 2, 3, 4], 3))
        >>> found = index.query(X[:1], patient=[1], n_patients=2)
        >>> found["patient"].isin([2, 3, 4]).all(), len(found)
        (np.True_, 2)
    """

    fitted_by: ClassVar[str] = "embeddings_"
    codes_ = earlier_name("embeddings_")

    transformer: BaseEstimator | None = None
    _: KW_ONLY
    metric: str = "euclidean"
    rerank: int = 0

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        patient: ArrayLike,
        trial: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train the transformer on ``X`` (and ``y``, when it is supervised) and index its output.

        Args:
            X: (n, T, C), or (n, T) for univariate series.
            y: (n,) classes or targets; read by supervised objectives only.
            patient: (n,) ids.
            trial: (n,) ids; by default the number of the series.
            sample_weight: (n,) weights in training, see :meth:`ContrastiveTransformer.fit`; the
                index holds every series alike.

        Raises:
            DataError, InputError, ConfigError: bad series, ids or settings.
        """
        check_choice("metric", self.metric, METRICS, error=ConfigError)
        if not is_whole(self.rerank) or self.rerank < 0:
            raise InputError("rerank", self.rerank, "use a whole number of patients, or 0")
        if self.rerank:
            _warping()
        with kept_on_error(self):
            return self._fit(X, y, patient, trial, sample_weight)

    def _fit(self, X: Any, y: Any, patient: Any, trial: Any, sample_weight: Any) -> Self:
        values = read_panel(self, X, reset=True)
        patients = as_ids("patient", patient, len(values))
        trials = np.arange(len(values)) if trial is None else as_ids("trial", trial, len(values))
        base: Any = ContrastiveTransformer() if self.transformer is None else self.transformer
        weights = read_weights(sample_weight, len(values))
        columns = {"patient": patients, "trial": trials, "sample_weight": weights}
        embeddings = self._fit_embeddings(base, values, y, **columns)
        if self.rerank:
            steps = self._steps(values)
            flat = steps.reshape(-1, steps.shape[2])
            deviation = np.nanstd(flat, axis=0)
            self.step_scale_ = np.where(deviation > 0, deviation, 1.0)
            self.steps_ = (steps / self.step_scale_).astype(np.float32)
        return self._index(embeddings, patients, trials)

    def _steps(self, values: Float32) -> NDArray[np.float64]:
        """Embeddings of every step, averaged to at most :data:`PARTS` a series, (n, S, D)."""
        every = self.transformer_.encode(values)
        parts = min(PARTS, every.shape[1])
        out = np.full((len(every), parts, every.shape[2]), np.nan)
        for row, steps in zip(out, every, strict=True):
            steps = steps[~np.isnan(steps).all(axis=1)]
            for k, part in enumerate(np.array_split(steps, min(parts, len(steps)))):
                row[k] = part.mean(axis=0, dtype=np.float64)
        return out

    def _index(
        self, embeddings: NDArray[np.float64], patients: NDArray[Any], trials: NDArray[Any]
    ) -> Self:
        self.embeddings_, self.patient_, self.trial_ = embeddings, patients, trials
        self.neighbours_ = NearestNeighbors(metric=self.metric).fit(embeddings)
        return self

    def query(
        self,
        X: Any,
        *,
        patient: ArrayLike | None,
        n_patients: int = 5,
        include_own: bool = False,
    ) -> pd.DataFrame:
        """The nearest patients of each series, never its own patient unless asked.

        Args:
            X: (m, T, C), or (m, T) for univariate series.
            patient: (m,) id of each series' own patient; None when none of them is in the index.
            n_patients: patients a series.
            include_own: let a series' own patient be found too.

        Returns:
            ``m * n_patients`` rows: ``query`` (row of X), ``rank`` from 1, ``patient``,
            ``distance``, and the ``trial`` and ``sample`` (row of the index) that are nearest.

        Raises:
            InputError: more patients than the index has, ids of another kind or number, or
                ``patient=None`` for a series that stands in the index itself.
        """
        require_fitted(self, "embeddings_")
        values = read_panel(self, X, reset=False)
        own = None if patient is None else self._own(patient, len(values))
        left_out: list[Any] = [None] * len(values)
        if own is not None and not include_own:
            left_out = own.tolist()
        known = set(self.patient_.tolist())
        most = len(known) - (0 if known.isdisjoint(left_out) else 1)
        if not 1 <= n_patients <= most:
            raise InputError("n_patients", n_patients, f"choose 1 to {most}")
        wanted = min(max(n_patients, self.rerank), most)
        embeddings = self._embeddings(values)
        size = min(len(self.embeddings_), 4 * (wanted + 1))
        while True:
            distance, row = self.neighbours_.kneighbors(embeddings, size)
            if own is None and not include_own:
                self._refuse_known(distance[:, 0], row[:, 0])
            nearest = [
                _first_of_each(self.patient_, rows, out, wanted)
                for rows, out in zip(row, left_out, strict=True)
            ]
            if all(len(places) == wanted for places in nearest) or size == len(self.embeddings_):
                if self.rerank:
                    nearest = self._warped(values, nearest, distance, row)
                return self._table([places[:n_patients] for places in nearest], distance, row)
            size = min(len(self.embeddings_), 2 * size)

    def _warped(
        self,
        values: Float32,
        nearest: list[list[int]],
        distance: NDArray[np.float64],
        row: NDArray[np.int64],
    ) -> list[list[int]]:
        """The places by warping distance, which takes the place of theirs in ``distance``."""
        warping, steps = _warping(), self._steps(values) / self.step_scale_
        for query, places in enumerate(nearest):
            own = _held(steps[query])
            for place in places:
                other = _held(self.steps_[row[query, place]])
                distance[query, place] = warping.distance(own, other, use_c=True)
            places.sort(key=lambda place: float(distance[query, place]))
        return nearest

    def _own(self, patient: ArrayLike, n: int) -> NDArray[Any]:
        own = as_ids("patient", patient, n)
        if own.dtype.kind != self.patient_.dtype.kind:
            kinds = {"i": "whole numbers", "U": "strings"}
            remedy = f"the index holds {kinds.get(self.patient_.dtype.kind, 'other ids')}"
            raise InputError("patient", own[0], remedy)
        return own

    def _refuse_known(self, distance: NDArray[np.float64], row: NDArray[np.int64]) -> None:
        """A series at no distance from the index is most likely one of its own."""
        close = np.flatnonzero(distance < 1e-5)
        if len(close):
            first = int(close[0])
            raise InputError(
                "patient",
                f"None, but series {first} equals one of patient {self.patient_[row[first]]}",
                "name each series' patient, or pass include_own=True",
            )

    def _table(
        self, nearest: list[list[int]], distance: NDArray[np.float64], row: NDArray[np.int64]
    ) -> pd.DataFrame:
        query = np.repeat(np.arange(len(nearest)), [len(places) for places in nearest])
        place = np.concatenate([np.asarray(places, np.int64) for places in nearest])
        sample = row[query, place]
        return pd.DataFrame(
            {
                "query": query,
                "rank": np.concatenate([np.arange(1, len(places) + 1) for places in nearest]),
                "patient": self.patient_[sample],
                "distance": distance[query, place],
                "trial": self.trial_[sample],
                "sample": sample,
            }
        )

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        figures = {"mean": self.embedding_mean_, "scale": self.embedding_scale_}
        ids = {"patient": saved_ids(self.patient_), "trial": saved_ids(self.trial_)}
        steps = {"steps": self.steps_, "scale_of_steps": self.step_scale_} if self.rerank else {}
        return ids, {"codes": self.embeddings_, **figures, **steps}

    def _from_state(self, facts: dict[str, Any], arrays: Arrays) -> None:
        check_choice("metric", self.metric, METRICS, error=ConfigError)
        patients, trials = read_ids(facts["patient"]), read_ids(facts["trial"])
        width, n = self.transformer_._n_features_out, len(patients)
        check_arrays(arrays, codes=(n, width), mean=(width,), scale=(width,))
        if len(trials) != n:
            raise ValueError(f"{len(trials)} trials of {n} series")
        self.embedding_mean_, self.embedding_scale_ = arrays["mean"], arrays["scale"]
        if self.rerank:
            dims, steps = int(self.transformer_.encoder_.output_dims), arrays["steps"]
            if steps.ndim != 3 or (len(steps), steps.shape[2]) != (n, dims):
                raise ValueError(f"steps of shape {steps.shape}")
            check_arrays(arrays, scale_of_steps=(dims,))
            self.steps_ = steps.astype(np.float32)
            self.step_scale_ = arrays["scale_of_steps"]
        self._index(arrays["codes"], patients, trials)


def _warping() -> Any:
    """dtaidistance's module of warping between series of vectors.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from dtaidistance import dtw_ndim
    except ImportError:
        raise MissingExtraError("dtaidistance", "dtw") from None
    return dtw_ndim


def _held(steps: NDArray[Any]) -> NDArray[np.float64]:
    """The steps (S, D) of a series up to its end."""
    return np.ascontiguousarray(steps[~np.isnan(steps).any(axis=1)], np.float64)


def _first_of_each(
    patients: NDArray[Any], rows: NDArray[np.int64], own: Any, n_patients: int
) -> list[int]:
    """Places in ``rows`` of the nearest series of each of the first ``n_patients`` patients."""
    seen: set[Any] = set() if own is None else {own}
    places = []
    for place, patient in enumerate(patients[rows].tolist()):
        if patient not in seen:
            seen.add(patient)
            places.append(place)
            if len(places) == n_patients:
                break
    return places
