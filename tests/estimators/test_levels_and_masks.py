"""Large levels and masked arrays in the estimators give the embeddings of the plain series."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders.adapters.frames import to_sktime
from tscl import ContrastiveTransformer, Representation
from tscl.errors import DataError

TINY = {
    "encoder": "tcn",
    "encoder_params": {"output_dims": 4, "hidden_dims": 4, "depth": 1},
    "max_epochs": 1,
    "batch_size": 8,
    "random_state": 0,
}


def waves(n=16, steps=30, channels=2):
    return np.random.default_rng(0).normal(size=(n, steps, channels))


@pytest.mark.parametrize("scale", ["train", "sample"])
@pytest.mark.parametrize("level", [1e6, 1e8, -1.7e9])
def test_a_level_does_not_change_the_embeddings(scale, level):
    X = waves()
    right = ContrastiveTransformer("simclr", scale=scale, **TINY).fit(X).transform(X)
    model = ContrastiveTransformer("simclr", scale=scale, **TINY)
    for given in (X + level, list(X + level)):
        np.testing.assert_allclose(model.fit(given).transform(given), right, atol=1e-4)
    lost = (X + level).astype(np.float32)
    assert np.abs(model.transform(lost) - right).max() > 1e-3 or abs(level) < 1e7
    flat = X[:, :, 0]
    right = ContrastiveTransformer("simclr", scale=scale, **TINY).fit(flat).transform(flat)
    for given in (flat + level, pd.DataFrame(flat + level)):
        np.testing.assert_allclose(model.fit(given).transform(given), right, atol=1e-4)


def test_what_is_not_standardised_names_the_level():
    X = waves() + 1e9
    for model in (Representation("ts2vec", **TINY), ContrastiveTransformer(scale="none", **TINY)):
        with pytest.raises(DataError, match="float32 loses the differences; subtract the level"):
            model.fit(X)
        model.fit(X - 1e9)


def test_masked_values_are_missing():
    X, mask = waves().astype(np.float32), np.zeros((16, 30, 2), bool)
    mask[0, 5:9] = mask[3, :, 1] = True
    masked = np.ma.array(np.where(mask, -9999, X), mask=mask)
    nan = np.where(mask, np.nan, X).astype(np.float32)
    for model in (ContrastiveTransformer("simclr", **TINY), Representation("ts2vec", **TINY)):
        right = model.fit(nan).transform(nan)
        for given in (masked, list(masked)):
            np.testing.assert_array_equal(model.fit(given).transform(given), right)


def test_a_panel_keeps_its_level():
    from data_loaders import from_sktime

    X = waves() + 1e9
    for kind in ("pd-multiindex", "nested_univ", "numpy3D"):
        np.testing.assert_array_equal(from_sktime(to_sktime(X, kind)), X)
