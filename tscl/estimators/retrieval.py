"""The patients whose series have the nearest embeddings."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors

from data_loaders.container.fields import as_ids
from tscl.errors import InputError
from tscl.estimators.base import Arrays, StandardEmbeddings, earlier_name
from tscl.estimators.inputs import kept_on_error, read_panel, require_fitted
from tscl.estimators.pretraining import check_choice
from tscl.estimators.saved import check_arrays, read_ids, saved_ids
from tscl.estimators.transformer import ContrastiveTransformer

METRICS = ("euclidean", "manhattan", "cosine")


class PatientRetrieval(StandardEmbeddings):
    """An index of embeddings of series with their patients, searched for the nearest patients.

    The distance to a patient is the one to the nearest of the patient's series, between embeddings
    standardised by those of the index.

    Args:
        transformer: :class:`ContrastiveTransformer` to train (it is cloned; wrap a fitted one in
            ``sklearn.frozen.FrozenEstimator``); None takes the default one.
        metric: ``euclidean``, ``manhattan`` or ``cosine``.

    Attributes:
        transformer_: the fitted transformer.
        embeddings_: (n, D), standardised.
        patient_, trial_: (n,) ids.
        embedding_mean_, embedding_scale_: (D,).

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

    fitted_by = "embeddings_"
    codes_ = earlier_name("embeddings_")

    def __init__(
        self, transformer: BaseEstimator | None = None, *, metric: str = "euclidean"
    ) -> None:
        self.transformer = transformer
        self.metric = metric

    def fit(
        self, X: Any, y: Any = None, *, patient: ArrayLike, trial: ArrayLike | None = None
    ) -> Self:
        """Train the transformer on ``X`` (and ``y``, when it is supervised) and index its output.

        Args:
            X: (n, T, C), or (n, T) for univariate series.
            patient: (n,) ids. trial: (n,) ids; by default the number of the series.

        Raises:
            DataError, InputError, ConfigError: bad series, ids or settings.
        """
        check_choice("metric", self.metric, METRICS)
        with kept_on_error(self):
            return self._fit(X, y, patient, trial)

    def _fit(self, X: Any, y: Any, patient: Any, trial: Any) -> Self:
        values = read_panel(self, X, reset=True)
        patients = as_ids("patient", patient, len(values))
        trials = np.arange(len(values)) if trial is None else as_ids("trial", trial, len(values))
        base: Any = ContrastiveTransformer() if self.transformer is None else self.transformer
        embeddings = self._fit_embeddings(base, values, y, patient=patients, trial=trials)
        return self._index(embeddings, patients, trials)

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
        embeddings = self._embeddings(values)
        size = min(len(self.embeddings_), 4 * (n_patients + 1))
        while True:
            distance, row = self.neighbours_.kneighbors(embeddings, size)
            if own is None and not include_own:
                self._refuse_known(distance[:, 0], row[:, 0])
            nearest = [
                _first_of_each(self.patient_, rows, out, n_patients)
                for rows, out in zip(row, left_out, strict=True)
            ]
            if all(len(places) == n_patients for places in nearest) or size == len(
                self.embeddings_
            ):
                return self._table(nearest, distance, row)
            size = min(len(self.embeddings_), 2 * size)

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
        return ids, {"codes": self.embeddings_, **figures}

    def _from_state(self, facts: dict[str, Any], arrays: Arrays) -> None:
        check_choice("metric", self.metric, METRICS)
        patients, trials = read_ids(facts["patient"]), read_ids(facts["trial"])
        width, n = self.transformer_._n_features_out, len(patients)
        check_arrays(arrays, codes=(n, width), mean=(width,), scale=(width,))
        if len(trials) != n:
            raise ValueError(f"{len(trials)} trials of {n} series")
        self.embedding_mean_, self.embedding_scale_ = arrays["mean"], arrays["scale"]
        self._index(arrays["codes"], patients, trials)


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
