"""Named data sets on small files with the real headers, and calendars by frequency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders.series.catalog import FORECASTING_DATASETS, load_forecasting
from data_loaders.series.time_axis import calendar_by_frequency, frequency_fields, frequency_step
from tscl.errors import DataError, InputError

WTH = [
    "Visibility",
    "DryBulbFarenheit",
    "DryBulbCelsius",
    "DewPointFarenheit",
    "DewPointCelsius",
    "RelativeHumidity",
    "WindSpeed",
    "WindDirection",
    "StationPressure",
    "Altimeter",
    "WetBulbFarenheit",
    "WetBulbCelsius",
]
ILI = ["% WEIGHTED ILI", "%UNWEIGHTED ILI", "AGE 0-4", "AGE 5-24", "ILITOTAL"]
LAYOUTS = {
    "ETTm1": ("15min", ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"], "OT"),
    "ETTh2": ("h", ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"], "OT"),
    "electricity": ("h", [f"MT_{i:03d}" for i in range(1, 6)], "MT_001"),
    "weather": ("h", WTH, "WetBulbCelsius"),
    "exchange": ("D", [*map(str, range(7)), "OT"], "OT"),
    "illness": ("7D", [*ILI, "NUM. OF PROVIDERS", "OT"], "OT"),
}


def table(freq: str, columns: list[str], n: int = 60) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(n, len(columns))).round(4)
    frame = pd.DataFrame(values, columns=columns)
    style = "%Y/%-m/%-d %-H:%M" if freq == "D" else "%Y-%m-%d %H:%M:%S"
    frame.insert(0, "date", pd.date_range("2016-07-01", periods=n, freq=freq).strftime(style))
    return frame


@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("features", ["S", "M", "MS"])
def test_every_layout_in_every_form(tmp_path: Path, name: str, features: str) -> None:
    freq, columns, target = LAYOUTS[name]
    frame = table(freq, columns)
    frame.to_csv(tmp_path / "f.csv", index=False)
    series = load_forecasting(name, tmp_path / "f.csv", features=features)  # type: ignore[arg-type]
    assert series.freq == freq
    assert series.columns == ((target,) if features == "S" else tuple(columns))
    assert series.targets == (tuple(columns) if features == "M" else (target,))
    np.testing.assert_allclose(
        series.values[:, series.columns.index(target)], frame[target], rtol=1e-6
    )
    entry = FORECASTING_DATASETS[name]
    assert entry.season == {"15min": 96, "h": 24, "D": 7, "7D": 52}[freq]
    split = entry.split(60_000)
    assert split.train.stop == split.valid.start < split.valid.stop == split.test.start


def test_electricity_with_the_other_common_header(tmp_path: Path) -> None:
    table("h", ["0", "1", "OT"]).to_csv(tmp_path / "f.csv", index=False)
    assert load_forecasting("electricity", tmp_path / "f.csv", features="MS").targets == ("OT",)
    table("h", ["0", "1"]).to_csv(tmp_path / "g.csv", index=False)
    with pytest.raises(DataError, match="no single target"):
        load_forecasting("electricity", tmp_path / "g.csv", features="MS")
    with pytest.raises(DataError, match="'MS'"):
        load_forecasting("electricity", tmp_path / "g.csv", features="SM")  # type: ignore[arg-type]


def test_uci_electricity_is_summed_by_hour(tmp_path: Path) -> None:
    times = pd.date_range("2011-12-31 20:15", periods=40, freq="15min")
    quarter = np.arange(40.0) + 0.5
    later = np.where(times <= pd.Timestamp("2012-01-01"), 0.0, np.arange(40) + 1.5)
    frame = pd.DataFrame({"": times.astype(str), "MT_001": quarter, "MT_002": later})
    path = tmp_path / "LD2011_2014.txt"
    frame.to_csv(path, sep=";", decimal=",", index=False)
    assert ";0,5;" in path.read_text()
    series = load_forecasting("electricity", path, features="M")
    # MT_002 used nothing before 2012; 20:15 .. 21:00 make the hour of 20:00
    assert series.columns == ("MT_001",)
    assert series.timestamps[0] == pd.Timestamp("2012-01-01")
    first = [i for i, t in enumerate(times) if pd.Timestamp("2012-01-01") < t][:4]
    assert series.values[0, 0] == pytest.approx(quarter[first].sum())
    assert len(series) == 6


def test_frequencies_have_the_fields_that_vary() -> None:
    wanted = {
        "s": "second", "min": "minute", "15min": "minute", "h": "hour", "12h": "hour", "D": "day",
        "B": "day", "W": "week", "7D": "week", "MS": "month", "QS": "month", "YS": "year",
    }  # fmt: skip
    assert {f: frequency_step(f) for f in wanted} == wanted
    for freq in ("s", "15min", "h", "D", "W", "MS"):
        times = pd.date_range("2016-01-01", periods=400, freq=freq)
        made = calendar_by_frequency(times, freq)
        assert made.shape == (400, len(frequency_fields(freq)))
        assert made.min() >= -0.5
        assert made.max() <= 0.5
        assert (made.max(axis=0) - made.min(axis=0))[0] > 0.7
    assert frequency_fields("YS") == ()
    noon = calendar_by_frequency(pd.DatetimeIndex(["2021-01-31 12:00"]), "h")[0]
    np.testing.assert_allclose(noon, [12 / 23 - 0.5, 0.5, 0.5, 30 / 365 - 0.5], rtol=1e-5)
    with pytest.raises(InputError, match="irregular"):
        frequency_fields(None)
    with pytest.raises(InputError, match="15min"):
        frequency_fields("sometimes")
