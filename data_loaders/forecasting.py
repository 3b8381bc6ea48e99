"""Read forecasting series from tables: any CSV, the ETT files, and series that need no file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from data_loaders.forecasting_series import ForecastingSeries, check_timestamps
from data_loaders.time_axis import describe_gaps, fill_forward, parse_times, regular_freq
from tscl.disk import sha256_of
from tscl.errors import DataError, nearest

Irregular = Literal["error", "fill", "allow"]
Missing = Literal["error", "forward", "allow"]

ETT_COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
BUILTIN_TEMPERATURES = ("seattle-temps", "sf-temps", "west-coast-temps")
BUILTIN_SERIES = (*BUILTIN_TEMPERATURES, "seattle-weather")


def load_csv(
    path: str | Path,
    *,
    time_column: str = "date",
    target: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    name: str | None = None,
    irregular: Irregular = "error",
    missing: Missing = "error",
    min_steps: int = 2,
) -> ForecastingSeries:
    """Read a CSV file with one time column and one column per variable.

    Args:
        path: the file.
        time_column: name of the column of times.
        target: column or columns to forecast; all value columns when None.
        columns: value columns to read, in this order; all but the time column when None.
        name: name of the series; the file's stem when None.
        irregular: what to do about an uneven step: refuse, "fill" gaps with the last value
            before them, or "allow" it (``freq`` is then None).
        missing: what to do about empty cells: refuse, carry the last value "forward", or "allow".
        min_steps: the least number of rows.

    Raises:
        DataError: missing, empty or unreadable file; missing column (with the nearest name);
            a cell that is no number (row and column); times that cannot be parsed, are unsorted,
            repeated or uneven; NaN or infinite values; constant columns; too few rows.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("path", path, "no such file: check the path")
    try:
        frame = pd.read_csv(path, dtype={time_column: "string"}, encoding="utf-8-sig")
    except pd.errors.EmptyDataError:
        raise DataError("path", path, "the file is empty") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError("path", path, f"not a CSV file: {error}") from error
    source = {"path": path.name, "sha256": sha256_of(path), "rows": len(frame)}
    return from_frame(
        frame,
        time_column=time_column,
        target=target,
        columns=columns,
        name=name or path.stem,
        irregular=irregular,
        missing=missing,
        min_steps=min_steps,
        source=source,
    )


def from_frame(
    frame: pd.DataFrame,
    *,
    time_column: str | None = "date",
    target: str | Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    name: str = "series",
    irregular: Irregular = "error",
    missing: Missing = "error",
    min_steps: int = 2,
    source: dict[str, Any] | None = None,
) -> ForecastingSeries:
    """Make a series from a DataFrame; ``time_column=None`` takes the index as the time.

    Arguments and errors are those of :func:`load_csv`. Row numbers in errors count from 0
    below the header.
    """
    known = [str(c) for c in frame.columns]
    frame = frame.set_axis(known, axis=1)
    if len(frame) < max(min_steps, 2):
        raise DataError(name, f"{len(frame)} rows", f"at least {max(min_steps, 2)} are needed")
    if time_column is None:
        raw_times = pd.Series(frame.index)
    elif time_column in known:
        raw_times = frame[time_column]
    elif len(known) == 1 and (other := [mark for mark in ";\t|" if mark in known[0]]):
        raise DataError(
            "time_column", time_column, f"the columns are parted by {other[0]!r}; part them by ','"
        )
    else:
        raise DataError("time_column", time_column, nearest(time_column, known))
    values_of = [c for c in known if c != time_column] if columns is None else list(columns)
    targets = values_of if target is None else [target] if isinstance(target, str) else list(target)
    for label, wanted in (("columns", values_of), ("target", targets)):
        for column in wanted:
            if column not in known or column == time_column:
                raise DataError(label, column, nearest(column, set(known) - {time_column}))
    for column in targets:
        if column not in values_of:
            raise DataError("target", column, nearest(column, values_of))
    times = parse_times(raw_times, f"{name}.{time_column or 'index'}")
    check_timestamps(times, name)
    table = pd.DataFrame(
        {c: _numbers(frame[c], f"{name}.{c}", times) for c in values_of}, index=times
    )
    info = {"rows": len(frame), **(source or {})}
    if missing == "forward":
        info["filled_cells"] = int(table.isna().to_numpy().sum())
        table = table.ffill()
    freq = regular_freq(times)
    if freq is None and irregular == "error":
        raise DataError(
            f"{name}.timestamps", describe_gaps(times), "resample, or read with irregular='fill'"
        )
    if freq is None and irregular == "fill":
        table, info["filled_rows"] = fill_forward(table, f"{name}.timestamps")
        freq = regular_freq(pd.DatetimeIndex(table.index))
    return ForecastingSeries(
        values=table.to_numpy(np.float64),
        timestamps=pd.DatetimeIndex(table.index),
        columns=tuple(values_of),
        targets=tuple(targets),
        freq=freq,
        name=name,
        source=info,
        allow_missing=missing == "allow",
    )


def _numbers(column: pd.Series, name: str, times: pd.DatetimeIndex) -> np.ndarray:
    """Float64 values of a column; DataError names the first cell that is not a number."""
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        numbers = pd.to_numeric(column, errors="coerce")
        bad = (numbers.isna() & column.notna()).to_numpy()
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                name,
                f"{column.iloc[row]!r} in row {row} ({times[row]})",
                "every cell must be a number; leave the column out or clean it",
            )
        column = numbers
    return column.to_numpy(np.float64, na_value=np.nan)


def load_ett(
    path: str | Path, features: Literal["S", "M", "MS"] = "S", target: str = "OT"
) -> ForecastingSeries:
    """Read an ETT file (arXiv 2012.07436): hourly ETTh1, ETTh2 or 15-minute ETTm1, ETTm2.

    Args:
        path: the CSV file.
        features: "S" for the target alone, "M" for all seven columns, each a target;
            "MS" for all seven columns with the univariate target.
        target: the univariate target.

    Raises:
        DataError: as :func:`load_csv`, and an unknown ``features``.
    """
    if features not in ("S", "M", "MS"):
        known = "use 'S' (univariate), 'M' (all seven columns) or 'MS' (all seven for one target)"
        raise DataError("features", features, known)
    columns = [target] if features == "S" else list(ETT_COLUMNS)
    targets = columns if features == "M" else [target]
    return load_csv(path, target=targets, columns=columns)


def load_builtin(name: str = "west-coast-temps") -> ForecastingSeries:
    """A series that ships in the vega_datasets wheel; nothing is downloaded.

    ``seattle-temps`` and ``sf-temps`` are a year of hourly temperatures (degrees Fahrenheit, a
    climate average) with one column, of that name; ``west-coast-temps`` has both. The hour skipped
    when summer time begins is filled with the hour before (``source["filled_rows"]`` counts such
    rows). ``seattle-weather`` is the weather of each day of 2012 to 2015: ``precipitation`` (mm),
    ``temp_max``, ``temp_min`` (degrees Celsius) and ``wind`` (m/s), with ``temp_max`` to forecast.

    Raises:
        DataError: unknown name, with the nearest known one.
    """
    if name not in BUILTIN_SERIES:
        raise DataError("name", name, nearest(name, BUILTIN_SERIES))
    cities = ("seattle-temps", "sf-temps") if name == "west-coast-temps" else (name,)
    folder = resources.files("vega_datasets") / "_data"
    if name == "seattle-weather":
        columns = ["precipitation", "temp_max", "temp_min", "wind"]
        with resources.as_file(folder / f"{name}.csv") as path:
            return load_csv(path, target="temp_max", columns=columns, name=name)
    parts, digests = [], []
    for city in cities:
        with resources.as_file(folder / f"{city}.csv") as path:
            series = load_csv(path, target="temp", name=city, irregular="fill")
        parts.append(series.to_frame().rename(columns={"temp": city}))
        digests.append(series.source)
    return from_frame(
        pd.concat(parts, axis=1, join="inner"),
        time_column=None,
        name=name,
        source={
            "path": " + ".join(d["path"] for d in digests),
            "sha256": " + ".join(d["sha256"] for d in digests),
            "filled_rows": digests[0].get("filled_rows", 0),
        },
    )
