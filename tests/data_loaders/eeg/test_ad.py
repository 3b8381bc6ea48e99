from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_loaders.eeg.ad import CHANNELS as AD_CHANNELS
from data_loaders.eeg.ad import load_ad
from data_loaders.record_log import RecordError
from tests.data_loaders.eeg_writers import brainlike, write_edf
from tscl.errors import DataError


@pytest.fixture(scope="module")
def ad_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ad")
    rows = ["participant_id\tgroup", "sub-01\tAD", "sub-02\tHealthy", "sub-03\tFTD", "sub-04\tAD"]
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    for i in (1, 2, 3):
        path = root / f"sub-0{i}" / "eeg" / f"sub-0{i}_task-rest_eeg.edf"
        modern = [{"T3": "T7", "T4": "T8"}.get(one, one) for one in AD_CHANNELS]
        names = [*modern, "Cz"] if i == 2 else [*AD_CHANNELS, "EOG"]
        write_edf(path, brainlike(12 * 256, 17, seed=i), names, 256)
    return root


def test_ad_protocol(ad_root: Path) -> None:
    data = load_ad(ad_root)
    assert data.X.shape == (2 * 2 * 9, 256, 16)
    assert data.channel_names == AD_CHANNELS
    assert data.label_names == ("healthy", "alzheimer")
    assert data.label[data.patient == "sub-01"].tolist() == [1] * 18
    assert data.label[data.patient == "sub-02"].tolist() == [0] * 18
    np.testing.assert_array_equal(data.X[0][128:], data.X[1][:128])
    assert data.log is not None
    assert data.log.reasons() == {"no_label": 1, "missing_signal": 1}
    with pytest.raises(RecordError, match="missing_signal"):
        load_ad(ad_root, strict=True)


def test_ad_settings_can_be_changed(ad_root: Path) -> None:
    data = load_ad(ad_root, overlap=0.0, standardize="trial", rate=128.0, channels=("O1",))
    assert data.X.shape == (2 * 2 * 2, 256, 1)
    assert float(np.std(data.X)) == pytest.approx(1, abs=0.1)


def test_ad_without_table_or_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="participants"):
        load_ad(tmp_path)
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t70\n")
    with pytest.raises(DataError, match="label"):
        load_ad(tmp_path)
    with pytest.raises(DataError, match="root"):
        load_ad(tmp_path / "none")


def test_an_id_cannot_leave_the_folder(ad_root: Path, tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "participants.tsv").write_text(f"participant_id\tgroup\n{ad_root}/sub-01\tAD\n")
    with pytest.raises(DataError, match="missing_signal"):
        load_ad(inside)
