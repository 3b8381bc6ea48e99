"""Gaps of calendar steps, changes of the clock, frequencies without a name, remedies that help."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders import from_frame, load_csv
from data_loaders.series.time_axis import describe_gaps, likely_axis, offset_name, regular_freq
from tscl.errors import DataError


def frame(times: pd.DatetimeIndex, column: str = "date") -> pd.DataFrame:
    return pd.DataFrame({column: times, "y": np.random.default_rng(0).normal(size=len(times))})


CALENDAR = ["MS", "ME", "BMS", "BME", "QS", "QE-FEB", "BQE-MAR", "YS", "YE-JUN", "2MS", "6MS"]


@pytest.mark.parametrize("freq", [*CALENDAR, "B", "D", "h", "W-SUN"])
def test_the_one_gap_is_named_and_filled(freq):
    times = pd.date_range("2020-01-01", periods=30, freq=freq)
    kept = times.delete(10)
    with pytest.raises(DataError, match="1 irregular steps") as caught:
        from_frame(frame(kept))
    assert f"({times[10]} is missing)" in str(caught.value)
    assert "irregular='fill'" in caught.value.remedy
    series = from_frame(frame(kept), irregular="fill")
    assert series.timestamps.equals(times)
    assert series.source["filled_rows"] == 1
    assert series.values[10] == series.values[9]


def test_business_days_stay_without_weekends():
    times = pd.date_range("2020-01-01", periods=300, freq="B")
    rng = np.random.default_rng(3)
    kept = times.delete(rng.choice(np.arange(1, 299), 40, replace=False))
    series = from_frame(frame(kept), irregular="fill")
    assert series.timestamps.equals(times)
    assert series.freq == "B"


def test_a_stamp_off_the_calendar_is_named():
    times = pd.date_range("2020-01-01", periods=30, freq="MS")
    moved = times.delete(10).insert(10, times[10] + pd.Timedelta(days=2))
    assert f"{moved[10]} is off the regular axis" in describe_gaps(moved)
    with pytest.raises(DataError, match="irregular='allow'"):
        from_frame(frame(moved))
    with pytest.raises(DataError, match="off the regular axis"):
        from_frame(frame(moved), irregular="fill")
    assert from_frame(frame(moved), irregular="allow").freq is None


@pytest.mark.parametrize("day", [5, 15, 28])
def test_months_by_another_day_have_no_name(day):
    first = pd.Timestamp(2020, 1, day)
    times = pd.DatetimeIndex([first + pd.DateOffset(months=i) for i in range(30)])
    for kept, says in ((times, f"steps of 1 month on day {day}"), (times.delete(9), "1 irregular")):
        for irregular in ("error", "fill"):
            with pytest.raises(DataError, match=r"irregular='allow'") as caught:
                from_frame(frame(kept), irregular=irregular)
            assert says in str(caught.value) or irregular == "fill"
        assert len(from_frame(frame(kept), irregular="allow")) == len(kept)
    moved = frame(times.to_period("M").to_timestamp())
    assert from_frame(moved).freq == "MS"


def test_the_last_friday_is_not_taken_for_the_fourth():
    fridays = pd.date_range("2020-01-01", periods=40, freq=pd.offsets.LastWeekOfMonth(weekday=4))
    assert pd.infer_freq(fridays) == "WOM-4FRI"  # pandas' guess, which does not give the stamps
    assert regular_freq(pd.DatetimeIndex(list(fridays))) is None
    fourth = pd.date_range("2020-01-01", periods=40, freq="WOM-4FRI")
    assert regular_freq(pd.DatetimeIndex(list(fourth))) == "WOM-4FRI"


NAMELESS = [
    pd.offsets.CustomBusinessDay(holidays=["2020-04-10", "2020-04-13"]),
    pd.offsets.BusinessHour(start="10:00", end="15:00"),
    pd.DateOffset(months=1),
    pd.DateOffset(months=1, day=15),
    pd.offsets.CBMonthEnd(holidays=["2020-01-31"]),
    pd.offsets.LastWeekOfMonth(weekday=4),
]


@pytest.mark.parametrize("offset", NAMELESS, ids=repr)
def test_frequencies_without_a_name_are_refused_by_name(offset):
    assert offset_name(offset) is None
    times = pd.date_range("2020-01-15 10:00", periods=40, freq=offset)
    table = pd.DataFrame({"y": np.arange(40.0) ** 2}, index=times)
    for irregular in ("error", "fill"):
        with pytest.raises(DataError, match=r"timestamps\.freq: .*read with irregular='allow'"):
            from_frame(table, time_column=None, irregular=irregular)
    series = from_frame(table, time_column=None, irregular="allow")
    assert series.timestamps.equals(pd.DatetimeIndex(list(times)))
    assert series.freq is None


@pytest.mark.parametrize("freq", ["MS", "B", "2h", "W-WED", "QS-FEB", "bh"])
def test_frequencies_with_a_name_are_kept(freq):
    times = pd.date_range("2020-01-01 10:00", periods=40, freq=freq)
    assert offset_name(times.freq) == times.freqstr


@pytest.mark.parametrize("how", ["column", "index"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Sydney"])
@pytest.mark.parametrize("start", ["2024-03-09", "2024-03-30", "2024-04-06", "2024-10-05"])
def test_a_change_of_the_clock_is_no_gap(how, zone, start):
    for freq, n in (("h", 72), ("15min", 300), ("6h", 40)):
        times = pd.date_range(start, periods=n, freq=freq, tz=zone)
        table = frame(times)
        if how == "index":
            series = from_frame(table.set_index("date"), time_column=None)
        else:
            series = from_frame(table)
        assert len(series) == n
        assert series.freq == freq
        assert series.timestamps[0] == times[0].tz_localize(None)
        gap = from_frame(table.drop(index=n // 2), irregular="fill")
        assert gap.timestamps.equals(series.timestamps)


def test_days_of_a_zone_stay_days_over_a_change_of_the_clock():
    for freq in ("D", "MS", "W-SUN", "B"):
        times = pd.date_range("2024-02-01", periods=60, freq=freq, tz="Europe/Berlin")
        series = from_frame(frame(times))
        assert series.timestamps.equals(times.tz_localize(None))
        assert from_frame(frame(times.delete(30)), irregular="fill").timestamps.equals(
            times.tz_localize(None)
        )


def test_seconds_with_and_without_their_fraction_are_one_format():
    times = pd.date_range("2020-01-01", periods=20, freq="500ms")
    series = from_frame(frame(times).astype({"date": str}))
    assert series.timestamps.equals(times)


def test_likely_axis_prefers_the_plain_step():
    days = pd.date_range("2020-01-06", periods=5, freq="D").delete(2)  # Monday to Friday
    assert likely_axis(days).name == "1 days 00:00:00"


def written(tmp_path, text: str):
    path = tmp_path / "a.csv"
    path.write_text(text)
    return path


def test_lines_that_end_in_a_comma(tmp_path):
    days = [f"2024-01-{i:02d},{i}," for i in range(1, 20)]
    for head in ("date,a,", "date,a"):
        series = load_csv(written(tmp_path, "\n".join([head, *days])))
        assert series.columns == ("a",)
        assert series.values[:, 0].tolist() == list(range(1, 20))
    with pytest.raises(DataError, match="not a CSV file: Length of header"):
        load_csv(written(tmp_path, "\n".join(["date,a", *[day + "7" for day in days]])))


HOURS = pd.date_range("2024-01-01", periods=48, freq="h")


def set_cell(rows, value):
    def change(table):
        table.loc[rows, "y"] = value
        return table

    return change


REMEDIES = [
    # what is wrong, what the error must say, what its remedy does to the table, and the options
    (lambda t: t.drop(index=4), "irregular='fill'", lambda t: t, {"irregular": "fill"}),
    (lambda t: t.drop(index=4), "resample", lambda t: t.set_index("date").resample("h").mean()
        .interpolate().reset_index(), {}),
    (lambda t: t.drop(index=[*range(1, 40, 3)]).assign(date=lambda f: f["date"]
        + pd.to_timedelta(np.arange(len(f)) % 7, unit="min")), "irregular='allow'", lambda t: t,
        {"irregular": "allow"}),
    (set_cell([5, 9], np.nan), "missing='forward'", lambda t: t, {"missing": "forward"}),
    (set_cell([5, 9], np.nan), "missing='allow'", lambda t: t, {"missing": "allow"}),
    (set_cell([0, 9], np.nan), "leave it out", lambda t: t.iloc[1:], {"missing": "forward"}),
    (set_cell([0, 9], np.nan), "missing='allow'", lambda t: t, {"missing": "allow"}),
    (set_cell([5], np.inf), "replace infinite values", lambda t: t.replace(np.inf, 3.0), {}),
    (set_cell([5], -np.inf), "or empty cells", lambda t: t.replace(-np.inf, np.nan),
        {"missing": "forward"}),
    (lambda t: t.assign(b=2.0), "drop the column", lambda t: t.drop(columns="b"), {}),
    (lambda t: t.assign(b=np.nan), "drop the column", lambda t: t.drop(columns="b"), {}),
    (lambda t: t.assign(b=np.inf), "drop the column", lambda t: t.drop(columns="b"), {}),
    (lambda t: t.assign(y=1e9 + t["y"]), "subtract the level", lambda t: t.assign(y=t["y"] - 1e9),
        {}),
    (lambda t: t.iloc[::-1], "sort the rows by time", lambda t: t.sort_values("date"), {}),
    (lambda t: pd.concat([t[:5], t[4:]]), "drop duplicates", lambda t: t.drop_duplicates("date"),
        {}),
    (lambda t: t.assign(y=[*t["y"][:-1], "x"]), "clean it", lambda t: t[:-1], {}),
    (lambda t: t.assign(b="x"), "leave the column out", lambda t: t, {"columns": ["y"]}),
    (lambda t: t.assign(date=[*t["date"][:-1].astype(str), "soon"]), "2016-07-01 00:00:00",
        lambda t: t.assign(date=HOURS.astype(str)), {}),
    (lambda t: t.rename(columns={"date": "dates"}), "did you mean 'dates'", lambda t: t,
        {"time_column": "dates"}),
    (lambda t: t[:12].assign(date=[f"{i:02d}/01/2024" for i in range(1, 13)]),
        "write dates as 2016-07-01",
        lambda t: t.assign(date=[f"2024-01-{i:02d}" for i in range(1, 13)]), {}),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(REMEDIES)))
def test_the_remedy_of_an_error_makes_it_go_away(case):
    spoil, says, mend, options = REMEDIES[case]
    table = spoil(frame(HOURS))
    with pytest.raises(DataError) as caught:
        from_frame(table)
    assert says in str(caught.value)
    from_frame(mend(table), **options)


def test_mixed_offsets_are_read_after_their_remedy():
    times = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
    table = frame(times).astype({"date": str})
    with pytest.raises(DataError, match="use one time offset, such as UTC"):
        from_frame(table)
    assert from_frame(table.assign(date=times.tz_convert("UTC").astype(str))).freq == "h"


def test_a_clock_that_went_back_is_read_after_its_remedy():
    times = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
    with pytest.raises(DataError, match="where clocks went back, give times of one offset"):
        from_frame(frame(times.tz_localize(None)))
    assert len(from_frame(frame(times.tz_convert("UTC")))) == 72
