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

from tests.estimators.tiny import SMALL, classifier, clusterer, transformer
from tscl.encoders import ENCODERS
from tscl.estimators import (
    AutoTCL,
    ContrastiveAnomalyDetector,
    PatientRetrieval,
    Representation,
)

# widths of 64 bytes, a vector register of any processor: series in a block then lie alike in it
WIDE: dict[str, Any] = {"output_dims": 16, "hidden_dims": 16}
FEW: dict[str, Any] = {"depth": 2, "heads": 2, "ffn_dims": 16, "filters": 16}
COST: dict[str, Any] = {"kernels": (1, 2, 4)}

# the checks' 20 and more rows are then several sections of one series, as contrast needs
CUT = 5

FAIL_ALL = {
    "check_sample_weight_equivalence_on_dense_data": "weights are shares of random draws: two "
    "copies of a series, negatives of each other, are not one of weight 2",
}
FAIL_ONE_SERIES = FAIL_ALL | {
    f"check_{name}": "a 2-D X is one series and has one weight, not one a row"
    for name in (
        "all_zero_sample_weights_error",
        "sample_weights_list",
        "sample_weights_not_an_array",
        "sample_weights_not_overwritten",
        "sample_weights_pandas_series",
        "sample_weights_shape",
    )
}
FAIL_ONE_SERIES |= {
    "check_fit1d": "a 1-D X is one univariate series",
    "check_fit2d_1sample": "a 2-D X of one row is one series of one step; the error says so",
    "check_fit2d_predict1d": "a 1-D X is one univariate series; the error names its channels",
    "check_n_features_in_after_fitting": "the error says 'fitted on n channels', not 'features'",
    "check_dtype_object": "what is no number is a DataError that names it, so a ValueError",
}
FAIL_IN_ORDER = FAIL_ONE_SERIES | {
    "check_methods_sample_order_invariance": "the rows of a 2-D X are time steps, in order",
    "check_methods_subset_invariance": "the rows of a 2-D X are time steps, not samples",
}
FAIL_ONE_CODE = FAIL_IN_ORDER | {
    "check_transformer_data_not_an_array": "a 2-D X is one series and has one code, not one a row",
    "check_transformer_general": "a 2-D X is one series and has one code, not one a row",
}


class OwnPatients(PatientRetrieval):
    """Retrieval whose series are a patient each, since the checks call ``fit(X, y)``."""

    def fit(self, X: Any, y: Any = None) -> OwnPatients:  # type: ignore[override]
        return super().fit(X, y, patient=np.arange(_num_samples(X)))


def _encoder_params(name: str) -> dict[str, Any]:
    known = ENCODERS.parameters(name)
    params = {
        key: value
        for key, value in (WIDE | FEW | (COST if name == "cost" else {})).items()
        if key in known
    }
    if "backbone" in known:
        params |= {"backbone": "tcn", "backbone_params": {"hidden_dims": 16, "depth": 2}}
    return params


def _expected(estimator: BaseEstimator) -> dict[str, str]:
    if isinstance(estimator, Representation):
        return FAIL_ONE_CODE
    return FAIL_IN_ORDER if isinstance(estimator, ContrastiveAnomalyDetector) else FAIL_ALL


def _classifiers() -> list[BaseEstimator]:
    # the LSTM in its default depth too: its embeddings hardly vary, which standardising brings out
    # braindecode is an extra, with a test of its own, and takes series of one length only
    known = [name for name in ENCODERS.names() if name != "braindecode"]
    names = [(name, _encoder_params(name)) for name in known]
    names.append(("lstm", WIDE))
    return [classifier(encoder=name, encoder_params=params) for name, params in names]


TCN: dict[str, Any] = {"encoder_params": _encoder_params("tcn")}
ONE_SERIES: dict[str, Any] = {**SMALL, **TCN, "max_train_length": CUT}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [
        *_classifiers(),
        transformer(**TCN),
        clusterer(**TCN),
        OwnPatients(transformer(**TCN)),
        Representation("simclr", **ONE_SERIES),
        AutoTCL(**ONE_SERIES),
        # a low bar, as the checks in order can only fail where there are alarms
        ContrastiveAnomalyDetector(transformer(**ONE_SERIES), window=10, average=3, beta=0.0),
    ],
    expected_failed_checks=_expected,
)
def test_sklearn(estimator, check):
    np.random.seed(0)  # noqa: NPY002  some checks draw from the global generator, unseeded
    check(estimator)
