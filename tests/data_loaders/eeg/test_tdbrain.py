from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from data_loaders.eeg.tdbrain import CHANNELS as TD_CHANNELS
from data_loaders.eeg.tdbrain import load_tdbrain
from data_loaders.record_log import REASONS, RecordError
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


DERIVATIVE = {
    "derivative": True,
    "numbers": True,
    "label_columns": ["indication"],
    "all_sessions": True,
    "trials_from": "middle",
    "resample_how": "linear",
    "standardize": "trial",
    "max_flat": 1.0,
}
"""Settings of ``recipes/comet/tdbrain_public.yaml``."""


def write_derivative(root: Path, people: dict[str, str], steps: int = 11_000) -> dict[str, Path]:
    """The archive's derivative: tables of 500 rows a second, far from zero, and the participants.

    Returns:
        The eyes-closed table of each person's first session.
    """
    rng = np.random.default_rng(0)
    columns: dict[str, list[str]] = {"participants_ID": [], "sessID": [], "indication": []}
    paths = {}
    for i, (person, indication) in enumerate(people.items()):
        for session in (1, 2) if i == 0 else (1,):
            for column, value in zip(columns, (person, str(session), indication), strict=True):
                columns[column].append(value)
            for task in ("EC", "EO"):
                path = root / person / f"ses-{session}" / "eeg"
                path.mkdir(parents=True, exist_ok=True)
                path = path / f"{person}_ses-{session}_task-rest{task}_eeg.csv"
                values = brainlike(steps if task == "EC" else 1, 33, seed=i + 9 * session, rate=500)
                values = values + rng.uniform(-26_000, 26_000, 33)
                header = ",".join(TD_CHANNELS)
                np.savetxt(path, values, "%.2f", ",", header=header, comments="")
                if task == "EC":
                    paths.setdefault(person, path)
    table = pd.DataFrame(columns)
    table["formal_status"] = "UNKNOWN"
    text = table.to_csv(sep="\t", index=False)
    (root / "TDBRAIN_participants_V2.tsv").write_text(text + "\t\t\t\n" * 3)
    return paths


def samples_of_the_notebook(path: Path) -> np.ndarray:
    """Straight lines to 256 Hz, trials to both sides of the middle, scaled, then cut."""
    table = pd.read_csv(path)
    at = np.linspace(1, len(table), int(len(table) / 500 * 256))
    here = np.linspace(1, len(table), len(table))
    signal = np.stack([np.interp(at, here, table[name]) for name in table], axis=1)
    start = int(len(signal) / 2)
    left = start - int(start / 2560) * 2560
    right = start + int((len(signal) - start) / 2560) * 2560
    samples = []
    for i in range(left, right, 2560):
        trial = StandardScaler().fit_transform(signal[i : i + 2560])
        samples += [trial[j : j + 256] for j in range(0, 2560 - 256 + 1, 128)]
    return np.stack(samples)


def test_the_derivative_is_read_as_the_authors_notebook_does(tmp_path: Path) -> None:
    people = {"sub-7": "HEALTHY", "sub-8": "MDD", "sub-9": "PARKINSON ", "sub-19": "REPLICATION"}
    paths = write_derivative(tmp_path, people)
    data = load_tdbrain(tmp_path, **DERIVATIVE, strict=True)
    counts = {p: int((data.patient == p).sum()) for p in ("1", "2")}
    assert counts == {"1": 2 * 2 * 19, "2": 2 * 19}
    assert data.label[data.patient == "2"].tolist() == [1] * 38
    assert set(data.columns["record"]) == {
        *(f"sub-7/ses-{i}/eeg/sub-7_ses-{i}_task-restEC_eeg.csv" for i in (1, 2)),
        "sub-9/ses-1/eeg/sub-9_ses-1_task-restEC_eeg.csv",
    }
    for number, person in (("1", "sub-7"), ("2", "sub-9")):
        first = data.columns["record"] == paths[person].relative_to(tmp_path).as_posix()
        assert set(data.patient[first]) == {number}
        wanted = samples_of_the_notebook(paths[person])
        np.testing.assert_allclose(data.X[np.flatnonzero(first)], wanted, atol=1e-3)
    alone = load_tdbrain(tmp_path, **DERIVATIVE, patients=["9"])
    assert set(alone.patient) == {"2"}


BROKEN = {
    "corrupt_file": lambda text: text.replace("\n", "\nx,", 1),
    "missing_channel": lambda text: text[text.index("\n") + 1 :],
    "nan_gap": lambda text: text + ("," * 32 + "\n") * 200,
    "too_short": lambda text: "\n".join(text.split("\n")[:4000]),
}


@pytest.mark.parametrize("reason", [*BROKEN, "missing_signal", "empty", "binary"])
def test_a_broken_table_of_the_derivative_is_named(tmp_path: Path, reason: str) -> None:
    path = write_derivative(tmp_path, {"sub-7": "HEALTHY", "sub-9": "PARKINSON"})["sub-9"]
    if reason == "missing_signal":
        path.unlink()
    elif reason == "binary":
        path.write_bytes(bytes(range(256)) * 20)
    else:
        path.write_text(BROKEN[reason](path.read_text()) if reason in BROKEN else "")
    wanted = reason if reason in REASONS else "corrupt_file"
    data = load_tdbrain(tmp_path, **DERIVATIVE)
    assert set(data.patient) == {"1"}
    assert data.log is not None
    assert data.log.reasons() == {wanted: 1}
    with pytest.raises(RecordError, match=wanted):
        load_tdbrain(tmp_path, **DERIVATIVE, strict=True)


def test_the_size_of_values_without_a_unit_is_not_checked(tmp_path: Path) -> None:
    path = write_derivative(tmp_path, {"sub-7": "HEALTHY"})["sub-7"]
    table = pd.read_csv(path)
    table["Fp1"], table["Mass"] = 1e4 * table["Fp1"], 5.0
    table.to_csv(path, index=False)
    data = load_tdbrain(tmp_path, **DERIVATIVE, strict=True)
    assert (data.X[:19, :, -1] == 0).all()
    assert np.ptp(data.X[:19, :, 0]) > 1
