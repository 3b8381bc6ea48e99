from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tscl.errors import InputError
from tscl.evaluation.clinical.votes import vote


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_vote_equals_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = 40, 3
    patient = np.array(["a", "b", "c", "d"])[rng.integers(0, 4, n)]
    trial = rng.integers(0, 3, n)  # numbered within the patient
    label = {"a": 0, "b": 1, "c": 2, "d": 1}
    y = np.array([label[p] for p in patient])
    p = rng.dirichlet(np.ones(k), n)
    for level in ("trial", "patient"):
        keys = [(a, t) if level == "trial" else (a,) for a, t in zip(patient, trial, strict=True)]
        rows = vote(y, p, patient, trial, level=level)
        assert len(rows) == len(set(keys))
        for number, key in enumerate(sorted(set(keys))):
            mine = [i for i in range(n) if keys[i] == key]
            assert rows.patient[number] == key[0]
            assert rows.y[number] == label[key[0]]
            expected = np.mean([p[i] for i in mine], axis=0)
            np.testing.assert_allclose(rows.proba[number], expected, atol=1e-8)


def test_vote_mixed_units_are_dropped_and_counted() -> None:
    p = np.full((4, 2), 0.5)
    rows = vote([0, 1, 1, 1], p, ["a", "a", "b", "b"])
    assert rows.patient.tolist() == ["b"]
    assert rows.n_mixed == 1


def test_vote_refuses_samples_without_an_id() -> None:
    p = np.full((3, 2), 0.5)
    for ids in ([0.0, np.nan, np.nan], ["a", None, "b"]):
        with pytest.raises(InputError, match=r"patient: got .* missing ids"):
            vote([0, 1, 1], p, ids)
        with pytest.raises(InputError, match=r"trial: got .* missing ids"):
            vote([0, 1, 1], p, [0, 1, 1], ids, level="trial")


def test_vote_bad_input() -> None:
    p = np.full((2, 2), 0.5)
    for bad in ({"level": "site"}, {"level": "trial"}):
        with pytest.raises(InputError):
            vote([0, 1], p, [0, 1], **bad)
    with pytest.raises(InputError, match="patient"):
        vote([0, 1], p, [0, 1, 2])
