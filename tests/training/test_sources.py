"""Arrays that cannot be a source are named before training."""

from __future__ import annotations

import numpy as np
import pytest

from tscl.errors import InputError
from tscl.training.data import ArraySource

X = np.zeros((4, 6, 2), np.float32)


@pytest.mark.parametrize(
    ("x", "settings", "says"),
    [
        (X[0], {}, r"x: got \(6, 2\)"),
        (X[:0], {}, "at least one sample"),
        (X[:, :0], {}, "time step"),
        (X, {"crop": 1}, "crop: got 1"),
        (X, {"ids": {"trial": np.arange(3)}}, r"ids\[trial\]: got \(3,\); .*\(4,\)"),
        (X, {"labels": np.arange(5)}, r"labels: got \(5,\); .*\(4,\)"),
    ],
)
def test_what_does_not_fit_is_named(x, settings, says):
    with pytest.raises(InputError, match=says):
        ArraySource(x, **settings)


def test_ids_and_labels_of_every_sample_are_taken():
    made = ArraySource(X, ids={"trial": [0, 0, 1, 1]}, labels=[1, 0, 1, 0], crop=3)  # type: ignore[dict-item,arg-type]
    assert len(made) == 4
    assert made.ids["trial"].dtype == np.int64
    assert made.labels is not None
    assert made.labels.tolist() == [1, 0, 1, 0]
