"""The recipe of TS2Vec's anomaly protocol, and its alarms against the formulas written plainly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator

from recipes.anomaly import ts2vec as recipe
from tests.estimators.tiny import transformer
from tscl.estimators import ContrastiveAnomalyDetector


def public_alarms(raw: np.ndarray, train: int, delay: int, *, cold: bool) -> np.ndarray:
    """Alarms from raw scores (T,) by loops: of the test part, or of all but the first tenth."""
    adjusted = np.full(len(raw), np.nan)
    for t in range(21, len(raw)):
        before = raw[t - 21 : t].mean()
        adjusted[t] = (raw[t] - before) / before
    alarms = np.zeros(len(raw), int)
    for t in range(len(raw)):
        known = adjusted[21:train]
        if cold:
            known = adjusted[: t + 1][~np.isnan(adjusted[: t + 1])]
            if len(known) < len(raw) // 10:
                continue
        alarms[t] = adjusted[t] > known.mean() + 4 * known.std()
    start = 0 if cold else train
    for t in range(start + delay, len(raw)):
        if alarms[max(start, t - delay) : t].any():
            alarms[t] = 0
    return alarms[len(raw) // 10 if cold else train :]


def outliers() -> np.ndarray:
    rng = np.random.default_rng(3)
    x = np.sin(np.arange(400) / 5) + 0.1 * rng.normal(size=400)
    x[[90, 240, 242, 300, 307, 308, 390]] += 6.0
    return x


@pytest.mark.parametrize("cold", [False, True])
def test_alarms_equal_the_public_formulas(cold: bool) -> None:
    x = outliers()
    model = transformer(scale="none").fit(x.reshape(4, 100, 1))
    detector = ContrastiveAnomalyDetector(
        FrozenEstimator(model), window=30, quiet=3, threshold="running" if cold else "fitted"
    ).fit(x[:200])
    raw = detector.scores(x)
    expected = public_alarms(raw, 200, 3, cold=cold)
    assert expected.sum() >= 2
    found = detector.predict(x)[40:] if cold else detector.predict(x[200:], past=x[:200])
    np.testing.assert_array_equal(found, expected)


def write_s5(folder: Path) -> None:
    """Two series a part of 300 hours with three outliers in the second half."""
    rng = np.random.default_rng(0)
    for part, stem, time, label in (
        ("A1", "real_{}", "timestamp", "is_anomaly"),
        ("A2", "synthetic_{}", "timestamp", "is_anomaly"),
        ("A3", "A3Benchmark-TS{}", "timestamps", "anomaly"),
        ("A4", "A4Benchmark-TS{}", "timestamps", "anomaly"),
    ):
        (folder / f"{part}Benchmark").mkdir(parents=True)
        for number in range(1, 3):
            x, labels = np.sin(np.arange(300) / 3) + 0.1 * rng.normal(size=300), np.zeros(300, int)
            labels[[200, 240, 280]] = 1
            frame = pd.DataFrame({time: np.arange(300), "value": x + 8 * labels, label: labels})
            name = f"{stem.format(number)}.csv"
            frame.to_csv(folder / f"{part}Benchmark" / name, index=False)


def write_kpi(folder: Path) -> None:
    """Two indicators by the minute with gaps and outliers, as both files of the challenge."""
    rng, parts = np.random.default_rng(0), []
    minutes = np.setdiff1d(np.arange(320), np.arange(60, 80))
    for name in ("05f10d3a-239c-3bef-9bdc-a2feeb0037aa", "da10a69f-d836-3baa-ad40-3e548ecf1fbd"):
        x, labels = np.sin(np.arange(300) / 3) + 0.1 * rng.normal(size=300), np.zeros(300, int)
        labels[[200, 240, 280]] = 1
        values = {"timestamp": 1501475700 + 60 * minutes, "value": x + 8 * labels, "label": labels}
        parts.append(pd.DataFrame(values | {"KPI ID": name}))
    frame = pd.concat(parts).sample(frac=1, random_state=0)
    folder.mkdir()
    for name in ("train.csv", "truth.csv"):
        frame.to_csv(folder / name, index=False)


@pytest.mark.parametrize("data", ["yahoo", "kpi"])
def test_both_settings_on_files_of_the_real_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    pytest.importorskip("statsmodels")
    if data == "yahoo":
        write_s5(tmp_path / "s5")
        paths = [str(tmp_path / "s5")]
    else:
        write_kpi(tmp_path / "kpi")
        paths = [str(tmp_path / "kpi" / name) for name in ("train.csv", "truth.csv")]
    monkeypatch.setitem(recipe.SIZES, "small", (8, 8, 3))
    real = recipe.training
    monkeypatch.setattr(recipe, "training", lambda *a: {**real(*a), "max_steps": 10})
    words = [data, *paths, "--setting", "normal", "cold", "--seeds", "1"]
    words += ["--size", "small", "--window", "30", "--set", "GunPoint"]
    recipe.main([*words, "--out", str(tmp_path / "out")])
    lines = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["normal", "cold"]
    for line in lines[2:]:
        assert float(line.split("|")[4].split("±")[0]) > 0.8, line
    monkeypatch.setattr(recipe, "scores", pytest.fail)  # finished cells are not computed again
    recipe.main([*words, "--out", str(tmp_path / "out")])
