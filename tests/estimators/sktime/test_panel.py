"""The panel adapters beside the estimators they wrap, on every panel type of sktime."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from data_loaders import to_sktime
from tests.estimators.tiny import LEARN, classifier, transformer, waves
from tscl.errors import DataError
from tscl.estimators.sktime.panel import ContrastivePanelClassifier, ContrastivePanelTransformer

X, Y = waves(12)
RAGGED = X.copy()
RAGGED[3, 41:] = np.nan
RAGGED[7, 20:] = np.nan
RAGGED[5, 10:14, 1] = np.nan


@pytest.mark.parametrize("kind", ["pd-multiindex", "nested_univ", "numpy3D"])
@pytest.mark.parametrize("x", [X, RAGGED], ids=["equal", "unequal and missing"])
def test_embeddings_are_those_of_the_wrapped_transformer(x, kind):
    base = transformer(pooling="max+log_std")
    model = ContrastivePanelTransformer(base)
    embeddings = model.fit_transform(to_sktime(x, kind))
    np.testing.assert_array_equal(embeddings, base.fit(x).transform(x))
    assert embeddings.shape == (12, 16)
    assert not hasattr(model.transformer, "transformer_")


def test_rows_carry_the_ids_of_the_instances():
    frame = to_sktime(RAGGED)
    names = [f"p{i}" for i in reversed(range(12))]
    frame.index = frame.index.set_levels(names, level=0)
    model = ContrastivePanelTransformer(transformer()).fit(frame)
    embeddings = model.transform(frame)
    assert list(embeddings.columns) == [f"embedding{d}" for d in range(8)]
    assert sorted(embeddings.index) == sorted(names)
    one = model.transform(frame.loc[["p4"]])
    np.testing.assert_allclose(one, embeddings.loc[["p4"]], atol=1e-6)


def test_a_single_series_is_one_row():
    t = np.arange(300.0)
    series = pd.Series(np.sin(t / 5) + np.cos(t / 31))
    base = transformer(max_train_length=50)
    assert ContrastivePanelTransformer(base).fit_transform(series).shape == (1, 8)
    with pytest.raises(DataError, match="contrast needs two"):
        ContrastivePanelTransformer(transformer()).fit(series[:100])


def test_a_fitted_transformer_is_used_as_it_is():
    fitted = transformer().fit(X)
    model = ContrastivePanelTransformer(FrozenEstimator(fitted)).fit(to_sktime(RAGGED))
    np.testing.assert_array_equal(model.transform(to_sktime(X)), fitted.transform(X))


def test_pipeline_and_classifier_find_the_planted_direction():
    x, y = waves(160, steps=80, channels=1, seed=1)
    train, test = to_sktime(x[:80]), to_sktime(x[80:])
    learned = ContrastivePanelTransformer(transformer(**LEARN))
    pipe = learned * StandardScaler() * LogisticRegression()
    assert pipe.fit(train, y[:80]).score(test, y[80:]) > 0.95
    base = classifier(**LEARN)
    model = ContrastivePanelClassifier(base).fit(train, y[:80])
    told = base.fit(x[:80], y[:80])
    np.testing.assert_array_equal(model.predict_proba(test), told.predict_proba(x[80:]))
    np.testing.assert_array_equal(model.predict(test), told.predict(x[80:]))
    assert model.score(test, y[80:]) > 0.95
