"""Recordings by the name of their data: any loader that is exported, scaled or at a fixed unit."""

from __future__ import annotations

import numpy as np
import pytest

import data_loaders
from data_loaders.container.recordings import Recordings
from tests.data_loaders.eeg.test_uci import write_subject
from tscl.errors import ConfigError
from tscl.runs.label_efficiency.config import RecordingData
from tscl.runs.label_efficiency.data import load_recordings
from tscl.runs.loaders import kinds


@pytest.fixture
def folder(tmp_path):
    write_subject(tmp_path / "s1.npz")
    write_subject(tmp_path / "s2.npz", 1, label=np.array("control"))
    return tmp_path


def section(folder, **changes):
    given = {"kind": "uci_eeg", "root": str(folder), "params": {"window": 256, "overlap": 0.0}}
    return RecordingData(**{**given, **changes})


def test_samples_of_a_loader_are_recordings_divided_by_the_unit(folder):
    data = load_recordings(section(folder, standardize=10.0), folder)
    assert isinstance(data, Recordings)
    assert data.lengths.tolist() == [256] * 8
    assert data.label.tolist() == [1] * 4 + [0] * 4
    raw = np.load(folder / "s1.npz")["nanovolts"]
    np.testing.assert_allclose(data[1], raw[1, [0, 2]].T / 1000 / 10, rtol=1e-6)
    scaled = load_recordings(section(folder), folder)
    np.testing.assert_allclose(scaled[1].std(axis=0), 1, atol=1e-4)


def test_every_loader_of_recordings_has_a_kind():
    known = kinds()
    assert {"uci_eeg", "cinc2017", "ptbxl", "wfdb", "recordings", "rhythm_cohort"} <= set(known)
    for kind in set(known) - {"recordings", "saved"}:
        loaders = {f"load_{kind}{ending}" for ending in ("", "_recordings", "_table")}
        assert loaders & set(data_loaders.__all__)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "uci"}, "data.kind"),
        ({"standardize": -1.0}, "data.standardize"),
        ({"params": {"windw": 3}}, "data.params.windw"),
        ({"root": None}, "data.root"),
    ],
)
def test_bad_data_sections_name_the_key(folder, changes, field):
    with pytest.raises(ConfigError) as error:
        load_recordings(section(folder, **changes), folder)
    assert error.value.field == field
