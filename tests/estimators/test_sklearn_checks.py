"""scikit-learn's own estimator checks, with every registered encoder.

Only estimators that read a 2-D ``X`` as one series (n_timesteps, n_channels), as their page says,
are expected to fail some: those that take its rows for samples or want other words in an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import _num_samples

from tests.encoders.test_contract import SMALL as SMALL_ENCODER
from tests.estimators.tiny import SMALL, classifier, clusterer, transformer
from tscl.encoders import ENCODERS
from tscl.estimators import (
    AutoTCL,
    ContrastiveAnomalyDetector,
    PatientRetrieval,
    Representation,
)

# the checks' 20 and more rows are then several sections of one series, as contrast needs
CUT = 5

ONE_SERIES = {
    "check_fit1d": "a 1-D X is one univariate series",
    "check_fit2d_1sample": "a 2-D X of one row is one series of one step; the error says so",
    "check_fit2d_predict1d": "a 1-D X is one univariate series; the error names its channels",
    "check_n_features_in_after_fitting": "the error says 'fitted on n channels', not 'features'",
    "check_dtype_object": "what is no number is a DataError that names it, so a ValueError",
}
ONE_CODE = ONE_SERIES | {
    "check_transformer_data_not_an_array": "a 2-D X is one series and has one code, not one a row",
    "check_transformer_general": "a 2-D X is one series and has one code, not one a row",
    "check_methods_sample_order_invariance": "the rows of a 2-D X are time steps: their order counts",
    "check_methods_subset_invariance": "the rows of a 2-D X are time steps, not samples",
}


class OwnPatients(PatientRetrieval):
    """Retrieval whose series are a patient each, since the checks call ``fit(X, y)``."""

    def fit(self, X: Any, y: Any = None) -> OwnPatients:  # type: ignore[override]
        return super().fit(X, y, patient=np.arange(_num_samples(X)))


def _encoder_params(name: str) -> dict[str, Any]:
    known = ENCODERS.parameters(name)
    params = {key: value for key, value in SMALL_ENCODER.items() if key in known}
    if "backbone" in known:
        params |= {"backbone": "tcn", "backbone_params": {"hidden_dims": 8, "depth": 2}}
    return params


def _expected(estimator: BaseEstimator) -> dict[str, str]:
    if isinstance(estimator, Representation):
        return ONE_CODE
    return ONE_SERIES if isinstance(estimator, ContrastiveAnomalyDetector) else {}


def _classifiers() -> list[BaseEstimator]:
    # the LSTM in its default depth too: its codes hardly vary, which standardising brings out
    names = [(name, _encoder_params(name)) for name in ENCODERS.names()]
    names.append(("lstm", {"output_dims": 8, "hidden_dims": 8}))
    return [classifier(encoder=name, encoder_params=params) for name, params in names]


ONE_SERIES_SETTINGS = {**SMALL, "max_train_length": CUT}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        *_classifiers(),
        transformer(),
        clusterer(),
        OwnPatients(transformer()),
        Representation("simclr", **ONE_SERIES_SETTINGS),
        AutoTCL(**ONE_SERIES_SETTINGS),
        ContrastiveAnomalyDetector(transformer(max_train_length=CUT), window=10, average=3),
    ],
    expected_failed_checks=_expected,
)
def test_sklearn(estimator, check):
    check(estimator)

