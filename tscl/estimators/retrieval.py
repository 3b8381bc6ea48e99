"""The patients whose series have the nearest codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.neighbors import NearestNeighbors

from data_loaders.container.fields import as_ids
from tscl.errors import DataError, InputError
from tscl.estimators.base import StandardCodes
from tscl.estimators.inputs import kept_on_error, read_panel, require_fitted
from tscl.estimators.pretraining import check_choice
from tscl.estimators.saved import (
    PART,
    _inputs,
    _load,
    _save,
    _take_inputs,
    check_arrays,
    plain_params,
    read_ids,
    readable,
    saved_ids,
)
from tscl.estimators.transformer import ContrastiveTransformer

METRICS = ("euclidean", "manhattan", "cosine")


class PatientRetrieval(StandardCodes):
    """An index of codes of series with their patients, searched for the nearest patients.

    The distance to a patient is the one to the nearest of the patient's series, between codes
    standardised by those of the index.

    Args:
        transformer: :class:`ContrastiveTransformer` to train (it is cloned; wrap a fitted one in
            ``sklearn.frozen.FrozenEstimator``); None takes the default one.
        metric: ``euclidean``, ``manhattan`` or ``cosine``.

    Attributes:
        transformer_: the fitted transformer. codes_: (n, D) standardised. patient_, trial_: (n,)
            ids. code_mean_, code_scale_: (D,).

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

    def __init__(
        self, transformer: BaseEstimator | None = None, *, metric: str = "euclidean"
    ) -> None:
        self.transformer = transformer
        self.metric = metric

    def fit(
        self, X: Any, y: Any = None, *, patient: ArrayLike, trial: ArrayLike | None = None
    ) -> Self:
        """Train the transformer on ``X`` (and ``y``, when it is supervised) and index its codes.

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
        codes = self._fit_codes(base, values, y, patient=patients, trial=trials)
        return self._index(codes, patients, trials)

    def _index(
        self, codes: NDArray[np.float64], patients: NDArray[Any], trials: NDArray[Any]
    ) -> Self:
        self.codes_, self.patient_, self.trial_ = codes, patients, trials
        self.neighbours_ = NearestNeighbors(metric=self.metric).fit(codes)
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
        require_fitted(self, "codes_")
        values = read_panel(self, X, reset=False)
        own = None if patient is None else self._own(patient, len(values))
        left_out: list[Any] = [None] * len(values)
        if own is not None and not include_own:
            left_out = own.tolist()
        known = set(self.patient_.tolist())
        most = len(known) - (0 if known.isdisjoint(left_out) else 1)
        if not 1 <= n_patients <= most:
            raise InputError("n_patients", n_patients, f"choose 1 to {most}")
        codes = self._codes(values)
        size = min(len(self.codes_), 4 * (n_patients + 1))
        while True:
            distance, row = self.neighbours_.kneighbors(codes, size)
            if own is None and not include_own:
                self._refuse_known(distance[:, 0], row[:, 0])
            found = [
                _first_of_each(self.patient_, rows, out, n_patients)
                for rows, out in zip(row, left_out, strict=True)
            ]
            if all(len(places) == n_patients for places in found) or size == len(self.codes_):
                return self._table(found, distance, row)
            size = min(len(self.codes_), 2 * size)

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
        self, found: list[list[int]], distance: NDArray[np.float64], row: NDArray[np.int64]
    ) -> pd.DataFrame:
        query = np.repeat(np.arange(len(found)), [len(places) for places in found])
        place = np.concatenate([np.asarray(places, np.int64) for places in found])
        sample = row[query, place]
        return pd.DataFrame(
            {
                "query": query,
                "rank": np.concatenate([np.arange(1, len(places) + 1) for places in found]),
                "patient": self.patient_[sample],
                "distance": distance[query, place],
                "trial": self.trial_[sample],
                "sample": sample,
            }
        )


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


def check_index(codes: NDArray[Any], patients: NDArray[Any], trials: NDArray[Any]) -> None:
    """Raise DataError unless an index read from disk holds together."""
    if codes.ndim != 2 or patients.shape != (len(codes),) or trials.shape != (len(codes),):
        raise DataError("index", codes.shape, f"{patients.shape} patients, {trials.shape} trials")
    if not np.isfinite(codes).all():
        raise DataError("index", "codes that are not finite", "build it anew")


def save_retrieval(model: PatientRetrieval, folder: Path) -> Path:
    """Write ``model`` to ``folder``; see :meth:`PatientRetrieval.save`."""
    require_fitted(model, "codes_")
    arrays = {"codes": model.codes_, "mean": model.code_mean_, "scale": model.code_scale_}
    facts = {
        "params": plain_params(model, leave=PART),
        "patient": saved_ids(model.patient_),
        "trial": saved_ids(model.trial_),
        **_inputs(model),
    }
    return _save(folder, "PatientRetrieval", model.transformer_, arrays, facts)


def load_retrieval(folder: Path) -> PatientRetrieval:
    """Read what :func:`save_retrieval` wrote."""
    card, transformer, arrays = _load(folder, "PatientRetrieval")
    width = transformer._n_features_out
    with readable(folder):
        model = PatientRetrieval(clone(transformer), **card["params"])
        check_choice("metric", model.metric, METRICS)
        patients, trials = read_ids(card["patient"]), read_ids(card["trial"])
        check_arrays(arrays, codes=(len(patients), width), mean=(width,), scale=(width,))
        check_index(arrays["codes"], patients, trials)
        _take_inputs(model, transformer, card)
        model.code_mean_, model.code_scale_ = arrays["mean"], arrays["scale"]
        return model._index(arrays["codes"], patients, trials)
