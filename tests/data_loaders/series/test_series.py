from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_loaders.series.catalog import (
    FORECASTING_DATASETS,
    ForecastingDataset,
    load_forecasting,
    register_forecasting,
)
from data_loaders.series.series import (
    ForecastingSeries,
    from_frame,
    load_builtin,
    load_csv,
    load_ett,
)
from tscl.errors import DataError


def table(n: int = 8) -> pd.DataFrame:
    times = pd.date_range("2020-01-01", periods=n, freq="h").astype(str)
    return pd.DataFrame({"date": times, "a": np.arange(n) * 1.5, "OT": np.arange(n)[::-1] * 2.0})


def write(tmp_path: Path, frame: pd.DataFrame | str) -> Path:
    path = tmp_path / "made.csv"
    path.write_text(frame if isinstance(frame, str) else frame.to_csv(index=False))
    return path


def test_csv_is_read_with_axis_targets_and_checksum(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    series = load_csv(path, target="OT")
    assert series.values.shape == (8, 2)
    assert series.values.dtype == np.float32
    assert series.columns == ("a", "OT")
    np.testing.assert_array_equal(series.target_values[:, 0], np.arange(8)[::-1] * 2.0)
    assert series.freq == "h"
    assert series.timestamps[1] == pd.Timestamp("2020-01-01 01:00")
    assert series.source["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert series.source["rows"] == 8
    assert series.source["path"] == "made.csv"


def test_columns_choose_and_order(tmp_path: Path) -> None:
    series = load_csv(write(tmp_path, table()), columns=["OT", "a"], target=["a"])
    assert series.columns == ("OT", "a")
    assert series.target_index == [1]


def edit(row: int, column: str, value: object) -> pd.DataFrame:
    frame = table().astype(object)
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "options", "says"),
    [
        (table(), {"time_column": "dat"}, "did you mean 'date'"),
        (table(), {"target": "OTT"}, "did you mean 'OT'"),
        (table(), {"columns": ["a"], "target": "OT"}, "target"),
        (edit(3, "date", "soon"), {}, "'soon' in row 3"),
        (edit(3, "date", "2020-01-01 02:00:00"), {}, "row 3 .*repeats"),
        (edit(3, "date", "2020-01-01 01:30:00"), {}, "row 3 .*earlier"),
        (edit(5, "a", "x1"), {}, r"made.a: got 'x1' in row 5"),
        (edit(5, "a", None), {}, "made.a: got 1 NaN .* 2020-01-01 05:00:00"),
        (edit(5, "a", "inf"), {"missing": "allow"}, "made.a: got 1 NaN or inf"),
        (table().assign(a=4.0), {}, "made.a: got the constant 4.0"),
        (table().drop(index=4), {}, "1 irregular steps .* after 2020-01-01 03:00:00"),
        (table(1), {}, "1 rows"),
        (table(), {"min_steps": 9}, "8 rows; at least 9"),
        (edit(0, "a", None), {"missing": "forward"}, "a first row has nothing before it"),
        (table().assign(a=1e7 + 0.3 * np.arange(8)), {}, "around 1e.07 with a deviation of 0.687"),
        (table().assign(a=1e9 + np.arange(8)), {}, "float32 loses the differences"),
        (pd.concat([table(), table()]), {}, "row 8 .*earlier .*several series"),
        ("", {}, "empty"),
        ("date,a\n", {}, "0 rows"),
    ],
)
def test_bad_tables_are_named_errors(
    tmp_path: Path, frame: pd.DataFrame | str, options: dict, says: str
) -> None:
    with pytest.raises(DataError, match=says):
        load_csv(write(tmp_path, frame), **options)


@pytest.mark.parametrize("mark", [";", "\t", "|", "parquet", "indexed"])
def test_other_forms_of_a_table_are_read_as_it_is(tmp_path: Path, mark: str) -> None:
    wanted = load_csv(write(tmp_path, table()))
    frame = table().assign(date=pd.to_datetime(table()["date"]))
    path = tmp_path / ("made.parquet" if len(mark) > 1 else "made.txt")
    if mark == "indexed":
        frame = frame.set_index("date")
    if len(mark) > 1:
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep=mark, decimal="," if mark == ";" else ".")
    series = load_csv(path)
    pd.testing.assert_frame_equal(series.to_frame(), wanted.to_frame())
    assert series.freq == wanted.freq


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not a Parquet file"):
        load_csv(tmp_path / "x.parquet")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_csv(tmp_path / "absent.csv")


def test_gap_is_filled_with_the_value_before(tmp_path: Path) -> None:
    series = load_csv(write(tmp_path, table().drop(index=[3, 4])), irregular="fill")
    assert len(series) == 8
    assert series.source["filled_rows"] == 2
    np.testing.assert_array_equal(series.values[2:6, 0], [3.0, 3.0, 3.0, 7.5])


def test_fill_refuses_off_grid_times(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="off the regular axis"):
        load_csv(write(tmp_path, edit(3, "date", "2020-01-01 03:20:00")), irregular="fill")


def test_irregular_and_missing_can_be_allowed(tmp_path: Path) -> None:
    series = load_csv(write(tmp_path, table().drop(index=4)), irregular="allow")
    assert series.freq is None
    holed = load_csv(write(tmp_path, edit(5, "a", None)), missing="allow")
    assert np.isnan(holed.values[5, 0])
    forward = load_csv(write(tmp_path, edit(5, "a", None)), missing="forward")
    assert forward.values[5, 0] == forward.values[4, 0] == 6.0
    assert forward.source["filled_cells"] == 1


def test_months_are_regular() -> None:
    times = pd.date_range("2020-01-01", periods=6, freq="MS")
    series = from_frame(pd.DataFrame({"v": np.arange(6.0)}, index=times), time_column=None)
    assert series.freq == "MS"


MONTHS = [(1 + i % 12, 2020 + i // 12) for i in range(30)]


@pytest.mark.parametrize(
    ("dates", "second"),
    [
        ([f"01/{m:02d}/{y}" for m, y in MONTHS], "2020-02-01"),  # the first of each month
        ([f"01.{m}.{y} 06:00" for m, y in MONTHS], "2020-02-01 06:00"),
        ([f"{m:02d}/01/{y}" for m, y in MONTHS], "2020-02-01"),
        ([f"05/{d:02d}/2020" for d in range(1, 20)], "2020-05-02"),
        ([f"{d:02d}/05/2020" for d in range(1, 20)], "2020-05-02"),
    ],
)
def test_day_and_month_are_told_apart_by_the_steps(dates, second) -> None:
    frame = pd.DataFrame({"date": dates, "a": np.arange(len(dates)) ** 1.5})
    assert from_frame(frame).timestamps[1] == pd.Timestamp(second)


def test_dates_that_can_be_read_in_two_ways_are_refused() -> None:
    dates = [f"{i:02d}/01/2024" for i in range(1, 13)]  # twelve days, or twelve months
    with pytest.raises(DataError, match=r"date: got '01/01/2024' .*write dates as 2016-07-01"):
        from_frame(pd.DataFrame({"date": dates, "a": np.arange(12.0)}))


def test_offsets_across_a_clock_change_are_named() -> None:
    dates = ["2024-03-31T00:00:00+01:00", "2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"]
    with pytest.raises(DataError, match="use one time offset, such as UTC"):
        from_frame(pd.DataFrame({"date": dates, "a": [1.0, 2.0, 4.0]}))


def test_a_level_that_float32_can_hold_is_taken() -> None:
    values = 1e5 + 3 * np.sin(np.arange(100.0))
    dates = pd.date_range("2020", periods=100, freq="h").astype(str)
    series = from_frame(pd.DataFrame({"date": dates, "a": values}))
    assert np.abs(series.values[:, 0] - values).max() < 0.01


def test_local_times_of_one_offset_keep_their_hour() -> None:
    frame = table().assign(date=lambda f: f["date"] + "+02:00")
    assert from_frame(frame).timestamps[3].hour == 3


def test_container_checks_shapes_and_is_read_only() -> None:
    times = pd.date_range("2020", periods=3, freq="D")
    good = ForecastingSeries(np.arange(3.0)[:, None], times, ("a",), ("a",))
    with pytest.raises(ValueError, match="read-only"):
        good.values[0] = 1
    for values, stamps, columns, targets in [
        (np.arange(3.0), times, ("a",), ("a",)),
        (np.arange(3.0)[:, None], times[:2], ("a",), ("a",)),
        (np.arange(6.0).reshape(3, 2), times, ("a", "a"), ("a",)),
        (np.arange(3.0)[:, None], times, ("a",), ()),
        (np.arange(3.0)[:, None], times.tz_localize("UTC"), ("a",), ("a",)),
    ]:
        with pytest.raises(DataError):
            ForecastingSeries(values, stamps, columns, targets)


def test_builtin_temperatures_need_no_file() -> None:
    series = load_builtin("west-coast-temps")
    assert series.values.shape == (8760, 2)
    assert series.freq == "h"
    assert series.source["filled_rows"] == 1
    at = series.timestamps.get_loc(pd.Timestamp("2010-03-14 03:00"))
    np.testing.assert_array_equal(series.values[at], series.values[at - 1])
    one = load_forecasting("sf-temps")
    np.testing.assert_array_equal(one.values[:, 0], series.values[:, 1])
    with pytest.raises(DataError, match="did you mean 'sf-temps'"):
        load_builtin("sf-temp")


def test_builtin_weather_is_daily_and_whole() -> None:
    series = load_forecasting("seattle-weather")
    assert series.values.shape == (1461, 4)
    assert series.freq == "D"
    assert series.targets == ("temp_max",)
    frame = series.to_frame()
    assert (frame["temp_max"] >= frame["temp_min"]).all()


def test_data_sets_are_registered_and_ask_for_their_file() -> None:
    assert {"ETTh1", "ETTh2", "ETTm1", "ETTm2", "seattle-temps"} <= set(FORECASTING_DATASETS)
    with pytest.raises(DataError, match="did you mean 'ETTm2'"):
        load_forecasting("ETT-m2")
    with pytest.raises(DataError, match="pass its path"):
        load_forecasting("ETTh1")
    entry = FORECASTING_DATASETS["ETTh1"]
    with pytest.raises(DataError, match="not taken"):
        register_forecasting(
            ForecastingDataset("ETTh1", entry.load, entry.split, (1,), 1, needs_file=True)
        )


def test_ett_files(shared_data: Path) -> None:
    single = load_ett(shared_data / "ETTh1.csv")
    every = load_ett(shared_data / "ETTh1.csv", "M")
    assert single.values.shape == (17420, 1)
    assert every.values.shape == (17420, 7)
    assert every.targets == every.columns
    np.testing.assert_array_equal(single.values[:, 0], every.values[:, 6])
    with pytest.raises(DataError, match="'S'"):
        load_ett(shared_data / "ETTh1.csv", "X")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "rows", "freq"), [("exchange_rate", 7588, "D"), ("national_illness", 966, "7D")]
)
def test_other_real_files(shared_data: Path, name: str, rows: int, freq: str) -> None:
    series = load_csv(shared_data / "forecasting" / f"{name}.csv", target="OT")
    assert len(series) == rows
    assert series.freq == freq
