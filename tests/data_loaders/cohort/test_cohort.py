from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_loaders.cohort.cohort import CohortConfig, load_cohort, make_cohort, read_truth
from data_loaders.cohort.ecg_model import Heart, lead_matrix, simulate
from data_loaders.cohort.eeg_model import coloured, positions
from data_loaders.cohort.patients import generate
from data_loaders.container.dataset import MedicalDataset
from data_loaders.ecg.ptb import load_ptb
from data_loaders.record_log import RecordError
from tscl.errors import ConfigError, DataError, InputError

KINDS = ["ecg", "eeg"]
SMALL = {"n_patients": 4, "trials_per_patient": 2, "seconds": 3.0}


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def log_power(data: MedicalDataset) -> np.ndarray:
    """Log power in eight bands of every channel, (n, 8 C)."""
    X = np.asarray(data.X, np.float64)
    X = X - X.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(X * np.hanning(X.shape[1])[:, None], axis=1)) ** 2
    frequency = np.fft.rfftfreq(X.shape[1], 1 / data.sampling_rate[0])
    edges = [0.5, 2, 4, 6.5, 9, 11.5, 14, 25, 45]
    bands = [
        power[:, (frequency >= low) & (frequency < high)].mean(axis=1)
        for low, high in pairwise(edges)
    ]
    return np.log(np.concatenate(bands, axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes_and_other_seed_other_bytes(kind: str, tmp_path: Path) -> None:
    config = CohortConfig(kind=kind, **SMALL, artefact_rate=0.5, lead_off_rate=0.1)
    one = tree(make_cohort(tmp_path / "one", config))
    assert one == tree(make_cohort(tmp_path / "two", config))
    other = tree(make_cohort(tmp_path / "three", config, seed=1))
    signals = [name for name in one if name.endswith((".dat", ".edf"))]
    assert len(signals) == 4
    assert all(one[name] != other[name] for name in signals)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_was_asked_for(kind: str, tmp_path: Path) -> None:
    rate = 250 if kind == "ecg" else 200
    root = make_cohort(
        tmp_path / "c", kind=kind, **SMALL, sampling_rate=rate, n_channels=3, artefact_rate=0
    )
    data = load_cohort(root, window=rate, overlap=0.75)
    step = rate - round(0.75 * rate)
    per_trial = 1 + (3 * rate - rate) // step
    assert data.X.shape == (4 * 2 * per_trial, rate, 3)
    assert data.n_channels == 3
    assert set(data.sampling_rate.tolist()) == {float(rate)}
    assert data.label_names == ("healthy", "disease")
    truth = read_truth(root)
    told = {one["participant_id"]: one["label"] for one in truth["patients"]}
    assert {p: int(data.label[data.patient == p][0]) for p in told} == told
    assert sum(told.values()) == 2
    assert len(set(data.trial.tolist())) == 8
    assert np.std(data.X) > 0.05
    table = pd.read_csv(root / "participants.csv")
    assert table["label"].tolist() == list(told.values())
    for window in (0, 100.5, True, "100"):
        with pytest.raises(InputError, match=r"window: got .* steps"):
            load_cohort(root, window=window)


def test_ecg_files_are_wfdb_with_annotated_beats(tmp_path: Path) -> None:
    import neurokit2
    import wfdb

    root = make_cohort(tmp_path / "c", n_patients=2, trials_per_patient=4, artefact_rate=0)
    header = wfdb.rdheader(str(root / "patient001" / "s0001_re"))
    assert header.comments[4].startswith("Reason for admission: ")
    assert header.base_date is None
    record = wfdb.rdrecord(str(root / "patient001" / "s0001_re"))
    notes = wfdb.rdann(str(root / "patient001" / "s0001_re"), "atr")
    symbols = np.asarray(notes.symbol)
    assert [one.strip("\0") for one in notes.aux_note if one] == [f"trial {i}" for i in (1, 2, 3)]
    peaks = notes.sample[symbols == "N"]
    truth = read_truth(root)["patients"][0]["truth"]
    assert 60 * 100 / np.mean(np.diff(peaks)) == pytest.approx(truth["heart_rate_bpm"], rel=0.15)
    lead = record.p_signal[:, record.sig_name.index("ii")]
    found = neurokit2.ecg_findpeaks(
        neurokit2.ecg_clean(lead, sampling_rate=100), sampling_rate=100
    )["ECG_R_Peaks"]
    inner = peaks[(peaks > 100) & (peaks < 1900)]
    away = np.abs(inner[:, None] - np.asarray(found)[None]).min(axis=1)
    assert np.mean(away <= 4) > 0.9


def test_the_ptb_loader_reads_a_generated_ecg_cohort(tmp_path: Path) -> None:
    root = make_cohort(
        tmp_path / "c", n_patients=2, trials_per_patient=4, n_channels=15, artefact_rate=0
    )
    data = load_ptb(root, strict=True)
    assert set(data.patient.tolist()) == {"patient001", "patient002"}
    assert set(data.label.tolist()) == {0, 1}


def test_simulated_waves_have_their_heights_at_any_rate() -> None:
    for rate in (50.0, 100.0):
        heart = Heart(rate=rate, rate_sd=0.5)
        dipole, peaks = simulate(heart, 5000, 250.0, np.random.default_rng(0))
        lead_two = dipole @ lead_matrix()[1]
        inner = peaks[(peaks > 30) & (peaks < 4900)]
        around = lead_two[inner[:, None] + np.arange(-10, 11)]
        height = around.max(axis=1) - np.median(lead_two)
        assert np.median(height) == pytest.approx(1.1, abs=0.25)
        assert 60 * 250 / np.mean(np.diff(peaks)) == pytest.approx(rate, rel=0.03)
        assert np.std(height) < 0.1


def test_limb_leads_obey_einthoven_and_goldberger() -> None:
    one, two, three, avr, avl, avf = lead_matrix()[:6]
    np.testing.assert_allclose(one + three, two)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-12)


def test_coloured_noise_has_its_spectrum_and_unit_variance() -> None:
    frequency = np.fft.rfftfreq(4096, 1 / 128)
    spectrum = np.exp(-0.5 * ((frequency - 10) / 1.0) ** 2)
    series = coloured(spectrum, 4096, 20, np.random.default_rng(0))
    assert float(series.var()) == pytest.approx(1, rel=0.1)
    power = (np.abs(np.fft.rfft(series, axis=0)) ** 2).mean(axis=1)
    assert abs(float(frequency[np.argmax(power)]) - 10) < 1.5
    np.testing.assert_allclose(np.linalg.norm(positions(32), axis=1), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_disease_changes_the_patients_by_the_documented_amount(kind: str, tmp_path: Path) -> None:
    truth = {
        effect: read_truth(
            make_cohort(tmp_path / f"{effect}", kind=kind, **SMALL, disease_effect=effect)
        )["patients"]
        for effect in (0.0, 1.0)
    }
    for without, with_it in zip(truth[0.0], truth[1.0], strict=True):
        before, after = without["truth"], with_it["truth"]
        if not with_it["label"]:
            assert before == after
        elif kind == "ecg":
            assert after["st_chest_mv"] - before["st_chest_mv"] == pytest.approx(0.12, abs=1e-6)
            assert after["t_height_mv"] == pytest.approx(0.3 * before["t_height_mv"], rel=1e-5)
        else:
            assert before["alpha_peak_hz"] - after["alpha_peak_hz"] == pytest.approx(2, abs=1e-6)
            assert after["beta_uv"] == pytest.approx(before["beta_uv"] * np.exp(-0.9), rel=1e-5)


@pytest.fixture(scope="module", params=KINDS)
def cohorts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[float, MedicalDataset]:
    root = tmp_path_factory.mktemp(request.param)
    return {
        effect: load_cohort(
            make_cohort(
                root / f"{effect}",
                kind=request.param,
                n_patients=40,
                trials_per_patient=4,
                disease_effect=effect,
                seed=3,
            ),
            overlap=0.0,
        )
        for effect in (0.0, 1.0)
    }


def unseen_auroc(data: MedicalDataset) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    score = cross_val_predict(
        model,
        log_power(data),
        data.label,
        cv=folds,
        groups=data.patient,
        method="predict_proba",
    )[:, 1]
    return float(roc_auc_score(data.label, score))


def test_the_disease_is_learnable_on_unseen_patients(cohorts: dict[float, MedicalDataset]) -> None:
    assert unseen_auroc(cohorts[1.0]) > 0.8


def test_without_effect_nothing_is_learnable_on_unseen_patients(
    cohorts: dict[float, MedicalDataset],
) -> None:
    # The standard error of an AUROC over 20 + 20 patients is about 0.09.
    assert 0.2 < unseen_auroc(cohorts[0.0]) < 0.75


def test_a_shuffled_split_leaks_the_patients(cohorts: dict[float, MedicalDataset]) -> None:
    data = cohorts[0.0]
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(5))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    score = cross_val_predict(model, log_power(data), data.label, cv=folds, method="predict_proba")[
        :, 1
    ]
    assert roc_auc_score(data.label, score) > 0.9


def test_without_patient_effect_patients_are_not_told_apart(tmp_path: Path) -> None:
    def identified(strength: float) -> float:
        root = make_cohort(
            tmp_path / f"{strength}",
            kind="eeg",
            n_patients=8,
            trials_per_patient=6,
            patient_effect=strength,
            disease_effect=0.0,
            trial_drift=0.0,
            artefact_rate=0.0,
        )
        data = load_cohort(root, overlap=0.0)
        model = make_pipeline(StandardScaler(), KNeighborsClassifier(3))
        found = cross_val_predict(
            model,
            log_power(data),
            data.patient,
            cv=StratifiedGroupKFold(3, shuffle=True, random_state=0),
            groups=data.trial,
        )
        return float(np.mean(found == data.patient))

    assert identified(0.0) < 0.3
    assert identified(1.0) > 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_trial_drift_and_noise_of_zero_are_zero(kind: str, tmp_path: Path) -> None:
    settings = {**SMALL, "kind": kind, "artefact_rate": 0.0}
    calm = load_cohort(make_cohort(tmp_path / "calm", **settings, noise=0.0))
    loud = load_cohort(make_cohort(tmp_path / "loud", **settings, noise=3.0))
    still = load_cohort(make_cohort(tmp_path / "still", **settings, noise=0.0, trial_drift=0.0))
    high = [np.mean(np.diff(one.X, n=3, axis=1) ** 2) for one in (calm, loud)]
    assert high[1] > 1.2 * high[0]
    assert np.abs(calm.X - still.X).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_artefacts_and_dead_leads_are_where_the_truth_says(kind: str, tmp_path: Path) -> None:
    settings = {"kind": kind, "n_patients": 4, "trials_per_patient": 10, "seconds": 3.0}
    clean = load_cohort(make_cohort(tmp_path / "clean", **settings, artefact_rate=0), overlap=0)
    root = make_cohort(tmp_path / "bad", **settings, artefact_rate=0.5, lead_off_rate=0.02)
    truth = read_truth(root)["trials"]
    spoilt = [one for one in truth if one["artefact"]]
    dead = [one for one in truth if one["lead_off"]]
    assert 8 <= len(spoilt) <= 32
    assert 1 <= len(dead) <= 25

    kept = load_cohort(root, overlap=0, flat="keep")
    for one in truth:
        mine = kept.trial == f"{one['participant_id']}/{one['trial']}"
        alive = [i for i, c in enumerate(kept.channel_names) if c not in one["lead_off"]]
        change = np.abs(kept.X[mine] - clean.X[mine])[:, :, alive].max()
        assert (change > 0.05) == bool(one["artefact"])
        flat = np.ptp(kept.X[mine], axis=(0, 1)) == 0
        assert [kept.channel_names[i] for i in np.flatnonzero(flat)] == one["lead_off"]

    skipped = load_cohort(root, overlap=0)
    assert skipped.log is not None
    names = {line.record for line in skipped.log.skipped}
    assert names == {f"{one['participant_id']}/{one['trial']}" for one in dead}
    assert not names & set(skipped.trial.tolist())
    with pytest.raises(RecordError, match="flat_lead"):
        load_cohort(root, strict=True)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_recordings_are_logged_and_the_rest_goes_on(kind: str, tmp_path: Path) -> None:
    root = make_cohort(tmp_path / "c", kind=kind, **{**SMALL, "n_patients": 6})
    end = ".dat" if kind == "ecg" else ".edf"
    files = sorted(root.rglob(f"*{end}"))
    files[0].write_bytes(files[0].read_bytes()[:-200])
    files[1].unlink()
    changed = bytearray(files[2].read_bytes())
    changed[-40:-30] = b"\1" * 10
    files[2].write_bytes(bytes(changed))
    data = load_cohort(root)
    assert data.log is not None
    assert [line.reason for line in data.log.skipped] == [
        *("truncated_dat", "missing_signal", "corrupt_file"),
    ]
    assert len(set(data.patient.tolist())) == 3
    with pytest.raises(RecordError, match="truncated_dat"):
        load_cohort(root, strict=True)


def test_a_file_path_in_the_truth_cannot_leave_the_folder(tmp_path: Path) -> None:
    root = make_cohort(tmp_path / "c", **SMALL)
    text = (root / "cohort.json").read_text()
    for bad in ("../c/patient001/s0001_re", "/tmp/s0001_re"):
        (root / "cohort.json").write_text(text.replace('patient001/s0001_re"', f'{bad}"', 1))
        data = load_cohort(root)
        assert data.log is not None
        assert data.log.reasons() == {"unsafe_path": 1}


def test_a_folder_that_is_in_use_is_not_lost(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="out_dir"):
            make_cohort(mine, **SMALL, overwrite=overwrite)
    root = make_cohort(tmp_path / "c", **SMALL)
    with pytest.raises(InputError, match="overwrite"):
        make_cohort(root, **SMALL)
    make_cohort(root, **{**SMALL, "n_patients": 2}, overwrite=True)
    assert len(read_truth(root)["patients"]) == 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["c", "mine"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("kind", "emg"), ("n_patients", 1), ("n_patients", 2.5), ("seconds", float("nan"))),
        *(("seconds", 1.003), ("disease_effect", -1), ("artefact_rate", 1.5), ("seed", -1)),
        *(("n_channels", 16), ("sampling_rate", 10), ("noise", "loud"), ("n_patient", 4)),
    ],
)
def test_bad_settings_are_named(field: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=field):
        make_cohort(tmp_path / "c", **{field: value})
    assert not (tmp_path / "c").exists()


def test_truth_that_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make one"):
        load_cohort(tmp_path)
    root = make_cohort(tmp_path / "c", **SMALL)
    good = json.loads((root / "cohort.json").read_text())
    for change in ({"version": 99}, {"patients": [{}]}, {"config": {"kind": "?"}}, {"trials": 3}):
        (root / "cohort.json").write_text(json.dumps(good | change))
        with pytest.raises(DataError, match=r"cohort\.json"):
            load_cohort(root)
    (root / "cohort.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        load_cohort(root)
    for settings in ({"window": 9999}, {"overlap": 1.0}, {"flat": "drop"}):
        (root / "cohort.json").write_text(json.dumps(good))
        with pytest.raises(InputError):
            load_cohort(root, **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_at_zero_effect_the_label_changes_nothing_at_all(kind: str) -> None:
    config = CohortConfig(kind=kind, **SMALL, disease_effect=0.0)
    healthy, ill = generate(config, 1, 0), generate(config, 1, 1)
    np.testing.assert_array_equal(healthy.signal, ill.signal)
    strong = generate(CohortConfig(kind=kind, **SMALL), 1, 1)
    assert np.abs(strong.signal - ill.signal).max() > 0.05
