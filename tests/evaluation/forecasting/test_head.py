from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from tscl.errors import InputError, NotFittedError
from tscl.evaluation.forecasting.head import RidgePath

ALPHAS = (0.1, 5.0, 1000.0)


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(2, 40),
    width=st.integers(1, 30),
    outputs=st.integers(1, 5),
    offset=st.sampled_from([0.0, 100.0]),
    seed=st.integers(0, 99),
)
def test_equals_sklearn_for_every_alpha(
    n: int, width: int, outputs: int, offset: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)) + offset
    y = rng.normal(size=(n, outputs)) - offset
    new = rng.normal(size=(7, width)) + offset
    path = RidgePath(ALPHAS).fit(x, y)
    by_alpha = dict(path.predict_path(new))
    for alpha in ALPHAS:
        reference = Ridge(alpha=alpha, solver="svd").fit(x, y)
        expected = reference.predict(new).reshape(7, outputs)
        np.testing.assert_allclose(path.predict(new, alpha), expected, atol=1e-8)
        np.testing.assert_allclose(by_alpha[alpha], expected, atol=1e-8)
        weights, intercept = path.coefficients(alpha)
        np.testing.assert_allclose(weights.T, np.atleast_2d(reference.coef_), atol=1e-8)
        np.testing.assert_allclose(intercept, np.ravel(reference.intercept_), atol=1e-7)


def test_blocks_equal_one_piece() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 6)), rng.normal(size=(50, 3))
    whole = RidgePath(ALPHAS).fit(x, y)
    cut = RidgePath(ALPHAS).fit_blocks(
        lambda: ((x[i : i + 7], y[i : i + 7]) for i in range(0, 50, 7))
    )
    np.testing.assert_allclose(whole.predict(x, 5.0), cut.predict(x, 5.0), atol=1e-12)


def test_collinear_features_are_finite() -> None:
    x = np.repeat(np.arange(10.0)[:, None], 4, axis=1)
    path = RidgePath((0.1,)).fit(x, x[:, 0])
    reference = Ridge(alpha=0.1, solver="svd").fit(x, x[:, 0])
    np.testing.assert_allclose(path.predict(x, 0.1)[:, 0], reference.predict(x), atol=1e-10)


def test_bad_input() -> None:
    for alphas in ((), (0.0,), (-1.0,), (np.inf,), (np.nan,)):
        with pytest.raises(InputError, match="alphas"):
            RidgePath(alphas)
    with pytest.raises(InputError):
        RidgePath((1.0,)).fit(np.zeros((3, 2)), np.zeros((4, 1)))
    with pytest.raises(NotFittedError):
        RidgePath((1.0,)).predict(np.zeros((3, 2)), 1.0)
