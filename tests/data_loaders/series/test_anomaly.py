"""Files in the layout of Yahoo's S5 and of the KPI set, whole and broken."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders.series.anomaly import (
    LabelledSeries,
    load_kpi,
    load_yahoo,
    stationary_halves,
)
from tscl.errors import DataError, MissingExtraError


def write_yahoo(folder: Path, steps: int = 200) -> None:
    """One series of A1 and A2 and two of A3 and A4, with the files of all series beside them."""
    rng = np.random.default_rng(0)
    start = 1416726000
    for part, stem, time, label in (
        ("A1", "real_1", "timestamp", "is_anomaly"),
        ("A2", "synthetic_1", "timestamp", "is_anomaly"),
        ("A3", "A3Benchmark-TS1", "timestamps", "anomaly"),
        ("A4", "A4Benchmark-TS1", "timestamps", "anomaly"),
    ):
        (folder / f"{part}Benchmark").mkdir(parents=True)
        times = np.arange(1, steps + 1) if part == "A1" else start + 3600 * np.arange(steps)
        labels = np.zeros(steps, int)
        labels[150:153] = 1
        frame = pd.DataFrame({time: times, "value": rng.normal(size=steps), label: labels})
        if part in ("A3", "A4"):
            for column in ("changepoint", "trend", "noise", "seasonality1"):
                frame[column] = 0
            frame.to_csv(folder / f"{part}Benchmark" / f"{part}Benchmark_all.csv", index=False)
            other = folder / f"{part}Benchmark" / f"{part}Benchmark-TS10.csv"
            frame.to_csv(other, index=False)
        frame.to_csv(folder / f"{part}Benchmark" / f"{stem}.csv", index=False)


def kpi_frame() -> pd.DataFrame:
    """Two indicators by the minute in mixed order; minutes are missing."""
    rng = np.random.default_rng(0)
    minutes = np.setdiff1d(np.arange(120), [7, 8, 60])
    parts = [
        pd.DataFrame(
            {
                "timestamp": 1501475700 + 60 * minutes,
                "value": rng.normal(size=len(minutes)),
                "label": (minutes > 110).astype(int),
                "KPI ID": name,
            }
        )
        for name in ("05f10d3a-239c-3bef-9bdc-a2feeb0037aa", "da10a69f-d836-3baa-ad40-3e548ecf1fbd")
    ]
    return pd.concat(parts).sample(frac=1, random_state=0)


def test_yahoo_has_its_four_parts(tmp_path: Path) -> None:
    write_yahoo(tmp_path)
    series = load_yahoo(tmp_path)
    assert [one.name for one in series] == [
        "real_1",
        "synthetic_1",
        "A3Benchmark-TS1",
        "A3Benchmark-TS10",
        "A4Benchmark-TS1",
        "A4Benchmark-TS10",
    ]
    for one in series:
        assert np.flatnonzero(one.labels).tolist() == [150, 151, 152]
    assert series[0].times[:2].tolist() == [1, 2]
    assert series[2].times[:2].tolist() == [1416726000, 1416729600]
    written = pd.read_csv(tmp_path / "A4Benchmark" / "A4Benchmark-TS1.csv")["value"]
    np.testing.assert_array_equal(series[4].values, written)
    assert len(load_yahoo(tmp_path, ("A3",))) == 2


def test_kpi_from_both_files(tmp_path: Path) -> None:
    frame = kpi_frame()
    frame.to_csv(tmp_path / "phase2_train.csv", index=False)
    frame.to_csv(tmp_path / "truth.csv", index=False)
    series = load_kpi(tmp_path / "phase2_train.csv", tmp_path / "truth.csv")
    assert [one.name[-3:] for one in series] == ["_t1", "_t1", "_t2", "_t2"]
    first = frame[frame["KPI ID"].str.startswith("05f")].sort_values("timestamp")
    np.testing.assert_array_equal(series[0].times, first["timestamp"])
    np.testing.assert_allclose(series[0].values, first["value"], rtol=1e-12)
    assert sorted(np.unique(np.diff(series[0].times)).tolist()) == [60, 120, 180]


def test_kpi_truth_is_hdf_of_pandas(tmp_path: Path) -> None:
    pytest.importorskip("tables")
    kpi_frame().to_hdf(tmp_path / "phase2_ground_truth.hdf", key="data")
    assert len(load_kpi(tmp_path / "phase2_ground_truth.hdf")) == 2
    (tmp_path / "broken.hdf").write_bytes(b"not HDF")
    with pytest.raises(DataError, match="not an HDF file"):
        load_kpi(tmp_path / "broken.hdf")


def test_hdf_without_pytables_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "truth.hdf").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "tables", None)
    with pytest.raises(MissingExtraError, match=r"tscl\[kpi\]"):
        load_kpi(tmp_path / "truth.hdf")
    with pytest.raises(DataError, match="no such file"):
        load_kpi(tmp_path / "none.hdf")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("value", np.nan, "a number at every step"),
        ("value", "high", "give numbers"),
        ("label", 2, "labels 0 and 1"),
        ("label", 0.5, "whole numbers"),
        ("timestamp", np.nan, "whole numbers"),
        ("timestamp", 1501475700, "increasing times"),
    ],
)
def test_broken_rows_are_named(tmp_path: Path, column: str, value: object, message: str) -> None:
    frame = kpi_frame().astype(object)
    frame.iloc[5, frame.columns.get_loc(column)] = value
    frame.to_csv(tmp_path / "phase2_train.csv", index=False)
    with pytest.raises(DataError, match=message):
        load_kpi(tmp_path / "phase2_train.csv")


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_yahoo(tmp_path)
    write_yahoo(tmp_path)
    with pytest.raises(DataError, match="choose of A1"):
        load_yahoo(tmp_path, ("A5",))
    path = tmp_path / "A2Benchmark" / "synthetic_1.csv"
    path.write_text(path.read_text().replace("is_anomaly", "anomaly"))
    with pytest.raises(DataError, match="lacks is_anomaly"):
        load_yahoo(tmp_path)
    path.write_text("")
    with pytest.raises(DataError, match="empty"):
        load_yahoo(tmp_path)
    kpi_frame().drop(columns="KPI ID").to_csv(path, index=False)
    with pytest.raises(DataError, match="lacks KPI ID"):
        load_kpi(path)


def test_halves_of_a_random_walk_are_differenced_and_scaled_by_the_first() -> None:
    pytest.importorskip("statsmodels")
    steps = np.random.default_rng(0).normal(size=400)
    labels, times = np.arange(400) % 7 == 0, np.arange(400)
    walk = LabelledSeries("walk", np.cumsum(steps), labels.astype(np.int64), times)
    train, test = stationary_halves(walk)
    assert (len(train), len(test)) == (199, 200)
    both = np.concatenate([train.values, test.values])
    expected = (steps[1:] - steps[1:200].mean()) / steps[1:200].std()
    np.testing.assert_allclose(both, expected, atol=1e-12)
    np.testing.assert_array_equal(np.concatenate([train.times, test.times]), times[1:])
    np.testing.assert_array_equal(np.concatenate([train.labels, test.labels]), labels[1:])
    noise = LabelledSeries("noise", steps, labels.astype(np.int64), times)
    assert [len(half) for half in stationary_halves(noise)] == [200, 200]
    flat = LabelledSeries("flat", np.r_[np.zeros(200), steps[:200]], noise.labels, times)
    with pytest.raises(DataError, match="flat"):
        stationary_halves(flat)
