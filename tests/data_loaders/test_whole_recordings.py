"""WFDB records of a table are read whole; bad ones are left out with a reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders.record_log import RecordError
from data_loaders.whole_recordings import load_wfdb_recordings
from tests.data_loaders.wfdb_files import bumps, write_record


@pytest.fixture
def folder(tmp_path):
    """Three records of 8 to 12 s, one cut short, one at another rate, and their table."""
    for number, seconds in enumerate((8.0, 10.0, 12.0)):
        write_record(tmp_path, f"r{number}", bumps(2, seconds, seed=number)[0], leads=["I", "II"])
    write_record(tmp_path, "cut", bumps(2, 8.0)[0], leads=["I", "II"])
    (tmp_path / "cut.dat").write_bytes((tmp_path / "cut.dat").read_bytes()[:400])
    write_record(tmp_path, "slow", bumps(2, 8.0, rate=125.0)[0], 125.0, leads=["I", "II"])
    names = ["r0", "r1.hea", "r2", "cut", "slow", "r0", "gone"]
    labels = ["b", "a", None, "a", "a", "b", "a"]
    table = pd.DataFrame({"record": names, "patient": list("pqrstpu"), "label": labels})
    table["age"] = np.arange(7) + 40
    table.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def test_records_are_whole_and_bad_ones_named(folder):
    data = load_wfdb_recordings(folder)
    assert data.lengths.tolist() == [2000, 2500, 3000]
    assert data.record.tolist() == ["r0", "r1", "r2"]
    assert data.patient.tolist() == ["p", "q", "r"]
    assert data.label.tolist() == [1, 0, -1]
    assert data.columns["age"].tolist() == [40, 41, 42]
    np.testing.assert_allclose(data[1], bumps(2, 10.0, seed=1)[0], atol=2e-3)
    reasons = {line.record: line.reason for line in data.log.skipped}
    assert set(reasons) == {"cut", "slow", "r0", "gone"}
    assert (reasons["slow"], reasons["r0"]) == ("mixed_rate", "duplicate_record")


def test_rate_and_leads_of_choice(folder):
    data = load_wfdb_recordings(folder, leads=["II"], rate=100.0, label_names=["b"])
    assert data.channel_names == ("II",)
    assert data.record.tolist() == ["r0", "r2"]
    assert data.lengths.tolist() == [800, 1200]


def test_strict_stops_at_the_first_bad_record(folder):
    with pytest.raises(RecordError, match="cut"):
        load_wfdb_recordings(folder, strict=True)
