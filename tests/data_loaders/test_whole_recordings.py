"""Whole WFDB records of a table: values in mV, unequal lengths, one rate, further columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import wfdb

from data_loaders.record_log import RecordError
from data_loaders.whole_recordings import load_wfdb_recordings
from tscl.errors import DataError


def write(folder, name, n, rate=200, leads=("I", "II")):
    """A record of round millivolts and what it holds."""
    draw = np.random.default_rng(n)
    values = np.round(np.cumsum(draw.normal(0, 0.01, (n, len(leads))), axis=0), 3)
    wfdb.wrsamp(
        name,
        fs=rate,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        p_signal=values,
        fmt=["16"] * len(leads),
        adc_gain=[1000.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )
    return values


@pytest.fixture
def folder(tmp_path):
    frame = pd.DataFrame(
        {"record": ["a", "b"], "patient": ["p", "q"], "label": ["N", ""], "age": [40, 50]}
    )
    frame.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def test_values_labels_and_columns(folder):
    held = [write(folder, "a", 900), write(folder, "b", 500)]
    data = load_wfdb_recordings(folder, leads=["II"])
    assert data.lengths.tolist() == [900, 500]
    assert data.label.tolist() == [0, -1]
    assert data.table["age"].tolist() == [40, 50]
    for i, values in enumerate(held):
        dataset = data.subset([i]).windows(len(values), len(values))
        got = dataset[np.array([0])][0, :, 0]
        assert np.abs(got - values[:, 1]).max() < 1e-3 * np.abs(values).max() + 1e-3


def test_another_rate_is_named(folder):
    write(folder, "a", 900)
    write(folder, "b", 500, rate=250)
    data = load_wfdb_recordings(folder)
    assert data.log is not None
    assert data.lengths.tolist() == [900]
    listed = " ".join(data.log.table["detail"])
    assert "250 Hz, the first record read has 200 Hz" in listed
    with pytest.raises(RecordError, match="mixed_rate"):
        load_wfdb_recordings(folder, strict=True)
    both = load_wfdb_recordings(folder, rate=100)
    assert both.lengths.tolist() == [450, 200]


def test_no_table(tmp_path):
    with pytest.raises(DataError, match=r"labels\.csv"):
        load_wfdb_recordings(tmp_path)
