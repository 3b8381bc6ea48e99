"""The generated rhythm cohort: real WFDB files, and classes that differ in rhythm only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders import Recordings, load_rhythm_cohort, make_rhythm_cohort
from data_loaders.cohort.rhythm import RHYTHMS, _beats, _patient
from tscl.errors import DataError, InputError

wfdb = pytest.importorskip("wfdb")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rhythm_cohort(tmp_path_factory.mktemp("rhythm") / "cohort", 60, seed=3)


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Recordings:
    return load_rhythm_cohort(folder)


def test_files_are_read_the_same_by_wfdb(folder: Path, cohort: Recordings) -> None:
    table = pd.read_csv(folder / "labels.csv")
    assert list(table.columns) == ["record", "patient", "label"]
    for row in (0, 17):
        signal, fields = wfdb.rdsamp(str(folder / table["record"][row]))
        assert (fields["fs"], fields["units"], signal.shape[1]) == (100, ["mV"], 1)
        np.testing.assert_allclose(cohort[row], signal, atol=2e-4 * np.abs(signal).max())
        assert cohort.label_name(int(cohort.label[row])) == table["label"][row]


def test_lengths_and_patients(cohort: Recordings) -> None:
    assert len(cohort) == len(np.unique(cohort.patient)) == 60
    assert cohort.label_names == RHYTHMS
    assert cohort.seconds.min() >= 10
    assert cohort.seconds.max() <= 40
    assert len(np.unique(cohort.lengths)) > 50


def test_a_larger_cohort_begins_with_the_smaller(cohort: Recordings, tmp_path: Path) -> None:
    few = load_rhythm_cohort(make_rhythm_cohort(tmp_path / "few", 12, seed=3))
    for row in range(12):
        np.testing.assert_array_equal(few[row], cohort[row])
    other = load_rhythm_cohort(make_rhythm_cohort(tmp_path / "other", 12, seed=4))
    assert other.lengths.tolist() != few.lengths.tolist()


def _figures(rhythm: str) -> pd.DataFrame:
    """Mean rate, variation of RR and share of P waves of many hearts."""
    lines = []
    for k in range(150):
        rng = np.random.default_rng(k)
        heart = _patient(rng)
        beats, _ = _beats(rhythm, heart, 30.0, rng)
        rr = beats.rr[6:-6]
        shift = np.corrcoef(rr[1:], rr[:-1])[0, 1]
        lines.append((60 / rr.mean(), rr.std() / rr.mean(), (beats.p > 0).mean(), shift))
    return pd.DataFrame(lines, columns=["rate", "variation", "p", "correlation"])


def test_classes_differ_in_rhythm_not_in_rate() -> None:
    figures = {rhythm: _figures(rhythm) for rhythm in RHYTHMS}
    rates = [table["rate"].mean() for table in figures.values()]
    assert max(rates) / min(rates) < 1.03
    assert figures["normal"]["variation"].quantile(0.9) < figures["af"]["variation"].quantile(0.1)
    # The variation of RR alone does not tell fibrillation from the other rhythms.
    assert figures["other"]["variation"].quantile(0.75) > figures["af"]["variation"].median()
    assert (figures["af"]["p"] == 0).all()
    assert figures["normal"]["p"].min() == 1
    assert abs(figures["af"]["correlation"].median()) < 0.15
    assert figures["other"]["correlation"].median() < -0.3


def test_amplitude_does_not_tell_the_class(tmp_path: Path) -> None:
    data = load_rhythm_cohort(make_rhythm_cohort(tmp_path / "many", 240, noise=0.0))
    height = np.array([np.log(np.ptp(data[row])) for row in range(len(data))])
    means = [height[data.label == code].mean() for code in range(3)]
    assert max(means) - min(means) < height.std() / 2


def test_noise_only_adds(tmp_path: Path) -> None:
    clean = load_rhythm_cohort(make_rhythm_cohort(tmp_path / "clean", 10, noise=0.0))
    noisy = load_rhythm_cohort(make_rhythm_cohort(tmp_path / "noisy", 10, noise=1.0))
    for row in range(10):
        assert np.corrcoef(clean[row][:, 0], noisy[row][:, 0])[0, 1] > 0.2
        assert np.abs(np.diff(noisy[row][:, 0])).mean() > np.abs(np.diff(clean[row][:, 0])).mean()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"n_recordings": 3}, "n_recordings"),
        ({"rate": 20}, "rate"),
        ({"seconds": (30.0, 10.0)}, "seconds"),
        ({"shares": (0.5, 0.5)}, "shares"),
        ({"noise": -1.0}, "noise"),
    ],
)
def test_bad_settings(tmp_path: Path, settings: dict[str, object], field: str) -> None:
    with pytest.raises(InputError, match=f"^{field}"):
        make_rhythm_cohort(tmp_path / "cohort", **settings)  # type: ignore[arg-type]


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        make_rhythm_cohort(tmp_path, 10)
    with pytest.raises(DataError):
        load_rhythm_cohort(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
