from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from data_loaders.eeg.tdbrain import CHANNELS as TD_CHANNELS
from data_loaders.eeg.tdbrain import load_tdbrain
from tests.data_loaders.eeg_writers import brainlike, write_brainvision
from tscl.errors import DataError


@pytest.fixture(scope="module")
def td_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("td")
    table = pd.DataFrame(
        {
            "participants_ID": ["sub-1", "sub-1", "sub-2", "sub-3", "sub-4"],
            "sessID": [1, 2, 1, 1, 1],
            "formal_status": ["PARKINSON", "PARKINSON", "UNKNOWN", "MDD", "HEALTHY"],
            "indication": ["PARKINSON", "PARKINSON", "HEALTHY", "MDD", "HEALTHY"],
        }
    )
    table.to_csv(root / "participants.tsv", sep="\t", index=False)
    for i, session, task in [(1, 1, "EC"), (1, 1, "EO"), (1, 2, "EC"), (2, 1, "EC"), (3, 1, "EC")]:
        stem = f"sub-{i}_ses-{session}_task-rest{task}_eeg"
        path = root / f"sub-{i}" / f"ses-{session}" / "eeg" / f"{stem}.vhdr"
        signal = brainlike(21 * 500, 33, seed=10 * i + session + (task == "EO"), rate=500)
        write_brainvision(path, signal, list(TD_CHANNELS), 500)
    return root


def test_tdbrain_protocol(td_root: Path) -> None:
    data = load_tdbrain(td_root)
    assert data.X.shape == (2 * 2 * 19, 256, 33)
    assert set(data.sampling_rate.tolist()) == {256.0}
    assert data.label_names == ("healthy", "parkinson")
    assert {p: data.label[data.patient == p][0] for p in ("sub-1", "sub-2")} == {
        "sub-1": 1,
        "sub-2": 0,
    }
    assert all("restEC" in record for record in data.columns["record"])
    assert data.log is not None
    assert data.log.reasons() == {"no_label": 1, "missing_signal": 1}


def test_tdbrain_patients_and_sessions(td_root: Path) -> None:
    data = load_tdbrain(td_root, patients=["1", "sub-2"], all_sessions=True, strict=True)
    assert len(set(data.columns["record"])) == 3
    with pytest.raises(DataError, match="77"):
        load_tdbrain(td_root, patients=["77"])
