"""Times of long tables: rows in order, no gap closed up, no rate that the times contradict."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from data_loaders import from_long, from_wide
from tscl.errors import DataError, InputError

KEYS = {"sample": "id", "time": "t", "channels": ["v"], "patient": "who"}


def table(times, samples: int = 2) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"id": f"s{i}", "t": times, "who": i, "v": np.arange(len(times)) + 100.0 * i})
        for i in range(samples)
    ]
    return pd.concat(parts, ignore_index=True)


def values(frame: pd.DataFrame, rate: float = 50.0) -> np.ndarray:
    return np.asarray(from_long(frame, **KEYS, sampling_rate=rate).X[:, :, 0])


WANTED = np.arange(30.0) + np.array([[0.0], [100.0]])
FORMS = {
    "seconds": np.arange(30) / 50,
    "rounded seconds": np.round(np.arange(30) / 50, 2),
    "later": 1e6 + np.arange(30) / 50,
    "numbers": np.arange(30),
    "numbers as text": [str(i) for i in range(30)],
    "seconds as text": [f"{i / 50:g}" for i in range(30)],
    "text type": pd.array([str(i) for i in range(30)], dtype="string"),
    "nullable": pd.array(range(30), dtype="Int64"),
    "categories": pd.Categorical([str(i) for i in range(30)]),
    "nanoseconds since 1970": np.int64(1_700_000_000_000_000_000) + np.arange(30),
    "dates": pd.date_range("2020-01-01", periods=30, freq="20ms", tz="UTC"),
    "durations": pd.to_timedelta(np.arange(30) * 20, unit="ms"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_time(form):
    frame = table(FORMS[form])
    np.testing.assert_array_equal(values(frame), WANTED)
    mixed = pd.concat([frame.iloc[[0, 30]], frame.drop([0, 30]).sample(frac=1, random_state=0)])
    np.testing.assert_array_equal(values(mixed), WANTED)


@pytest.mark.parametrize("form", FORMS)
def test_a_gap_is_named(form):
    frame = table(FORMS[form]).drop(range(40, 45))
    with pytest.raises(DataError, match=r"t: got a gap .* in sample s1; add rows of NaN"):
        values(frame)
    with pytest.raises(DataError, match="twice in sample s1"):
        values(pd.concat([table(FORMS[form]), table(FORMS[form]).iloc[[33]]]))


def test_a_stretch_of_nan_stays_where_it_is():
    frame = table(FORMS["seconds"])
    frame.loc[40:44, "v"] = np.nan
    made = values(frame)
    assert np.flatnonzero(np.isnan(made[1])).tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize("form", ["seconds", "seconds as text", "dates", "durations"])
@pytest.mark.parametrize("rate", [1.0, 25.0, 49.0, 51.0, 100.0])
def test_a_rate_that_the_times_contradict_is_named(form, rate):
    with pytest.raises(DataError, match=rf"t: got the .* step.* is 0\.02, at {rate:g} Hz it is"):
        values(table(FORMS[form]), rate)


def test_one_sample_of_another_rate_is_named():
    frame = table(np.arange(30) / 50)
    frame.loc[frame.id == "s1", "t"] *= 1.2
    with pytest.raises(DataError, match=r"mean step in sample s1 is 0\.024"):
        values(frame)


@pytest.mark.parametrize(
    "times", [["a", "b"], ["2020-01-01", "2020-01-02"], ["0", "nan"], [True, False], [0.0, np.inf]]
)
def test_times_that_are_no_numbers_are_refused(times):
    with pytest.raises(DataError, match=r"t: got .*; give seconds"):
        values(table(times))


@pytest.mark.parametrize("rate", [0, -1, np.nan, [50, 50]])
def test_bad_rates(rate):
    with pytest.raises(InputError, match="sampling_rate"):
        values(table([0, 1]), rate)


def test_categorical_samples_without_warnings():
    frame = table(FORMS["numbers"])
    frame["id"] = pd.Categorical(frame["id"], categories=["unused", "s1", "s0"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(values(frame), WANTED)


def test_one_text_is_no_list_of_columns():
    with pytest.raises(InputError, match="channels: got 'v'; give a list"):
        from_long(table([0, 1]), **(KEYS | {"channels": "v"}), sampling_rate=1)
    wide = pd.DataFrame({"who": [1], 0: [0.0], 1: [1.0]})
    with pytest.raises(InputError, match="steps: got 't0'; give a list"):
        from_wide(wide, patient="who", steps="t0", sampling_rate=1)
    made = from_wide(wide, patient="who", steps=[1, 0], sampling_rate=1)
    assert made.X[0, :, 0].tolist() == [1.0, 0.0]
