"""sktime's own estimator checks. None is expected to fail."""

from __future__ import annotations

import warnings

import pytest
from sktime.utils.estimator_checks import check_estimator

from tscl.estimators.sktime.forecaster import SSCLForecaster
from tscl.estimators.sktime.panel import ContrastivePanelClassifier, ContrastivePanelTransformer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "least"),
    [
        (SSCLForecaster, 500),  # both parameter sets, every kind of index and horizon
        (ContrastivePanelTransformer, 300),
        (ContrastivePanelClassifier, 250),
    ],
)
def test_sktime(estimator, least):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, raise_exceptions=False, verbose=False)
    assert len(results) > least
    assert {k: v for k, v in results.items() if v != "PASSED"} == {}
