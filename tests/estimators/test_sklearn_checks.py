"""scikit-learn's own estimator checks. None is expected to fail."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.estimators.tiny import classifier, clusterer, transformer


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([transformer(), classifier(), clusterer()])
def test_sklearn(estimator, check):
    check(estimator)
