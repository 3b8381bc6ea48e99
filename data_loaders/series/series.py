"""Read forecasting series from tables: any CSV, the ETT files, and series that need no file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.series.time_axis import (
    describe_gaps,
    fill_forward,
    gap_remedy,
    offset_name,
    parse_times,
    regular_freq,
)
from tscl.disk import sha256_of
from tscl.errors import DataError, check_choice, nearest

MAX_LOSS = 0.01
"""Largest rounding error of float32 that is taken, in deviations of the column."""


@dataclass(frozen=True, eq=False)
class ForecastingSeries:
    """A series of T steps and C columns on a sorted time axis.

    Everything is checked on construction, so a series that exists can be used.

    Attributes:
        values: (T, C) float32.
        timestamps: T increasing time stamps without time zone.
        columns: names of the C columns.
        targets: the columns to forecast, each one of ``columns``.
        freq: pandas name of the step ("h", "15min", "D", ...); None for an irregular axis.
        name: what the series is called in tables.
        source: where it came from: ``path`` (file name), ``sha256``, ``rows``, ``filled``, ...
        allow_missing: accept NaN in ``values`` (infinite values are never accepted).

    Raises:
        DataError: shapes that do not fit, repeated or unsorted time stamps, unknown targets,
            NaN or infinite values (how many, and the first), constant columns, columns whose
            level is so large that float32 loses their differences.
    """

    values: NDArray[np.float32]
    timestamps: pd.DatetimeIndex
    columns: tuple[str, ...]
    targets: tuple[str, ...]
    freq: str | None = None
    name: str = "series"
    source: Mapping[str, Any] = field(default_factory=dict)
    allow_missing: bool = False

    def __post_init__(self) -> None:
        given = np.asarray(self.values, dtype=np.float64)
        with np.errstate(over="ignore"):
            values = np.array(given, dtype=np.float32, order="C")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "columns", tuple(str(c) for c in self.columns))
        object.__setattr__(self, "targets", tuple(str(c) for c in self.targets))
        object.__setattr__(self, "source", MappingProxyType(dict(self.source)))
        self._check_shapes()
        check_timestamps(self.timestamps, self.name)
        self._check_values(given)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return _rebuild, (values | {"source": dict(self.source)},)

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def target_index(self) -> list[int]:
        """Positions of the target columns in ``columns``."""
        return [self.columns.index(name) for name in self.targets]

    @property
    def target_values(self) -> NDArray[np.float32]:
        """Values of the target columns, (T, C_target) float32."""
        return self.values[:, self.target_index]

    def to_frame(self) -> pd.DataFrame:
        """The series as a DataFrame indexed by time."""
        return pd.DataFrame(self.values, index=self.timestamps, columns=list(self.columns))

    def _check_shapes(self) -> None:
        shape = self.values.shape
        if self.values.ndim != 2 or shape[1] == 0:
            raise DataError(f"{self.name}.values", shape, "pass (n_timesteps, n_channels)")
        if shape[0] < 2:
            raise DataError(f"{self.name}.values", f"{shape[0]} rows", "a series needs 2 or more")
        if shape[0] != len(self.timestamps):
            raise DataError(
                f"{self.name}.timestamps", len(self.timestamps), f"pass one for each of {shape[0]}"
            )
        if len(self.columns) != shape[1] or len(set(self.columns)) != shape[1]:
            raise DataError(
                f"{self.name}.columns", self.columns, f"pass {shape[1]} different names"
            )
        if not self.targets:
            raise DataError(f"{self.name}.targets", "()", "name at least one target column")
        for target in self.targets:
            check_choice(f"{self.name}.targets", target, self.columns, error=DataError)

    def _check_values(self, given: NDArray[np.float64]) -> None:
        finite = np.isfinite(given)
        for col in np.flatnonzero(~finite.any(axis=0)).tolist():
            value = "no values" if np.isnan(given[:, col]).all() else "infinite values only"
            remedy = "drop the column: it cannot be scaled or forecast"
            raise DataError(f"{self.name}.{self.columns[col]}", value, remedy)
        bad = ~(finite | np.isnan(given)) if self.allow_missing else ~finite
        if bad.any():
            row, col = (int(i) for i in np.argwhere(bad)[0])
            raise DataError(
                f"{self.name}.{self.columns[col]}",
                f"{int(bad.sum())} NaN or infinite values, the first at {self.timestamps[row]}",
                _missing_remedy(given, bad),
            )
        for col, column in enumerate(self.columns):
            field_name, seen = f"{self.name}.{column}", given[finite[:, col], col]
            if (seen == seen[0]).all():
                remedy = "drop the column: it cannot be scaled or forecast"
                raise DataError(field_name, f"the constant {seen[0]}", remedy)
            spread = float(seen.std())
            lost = float(np.abs(self.values[finite[:, col], col] - seen).max())
            if not lost <= MAX_LOSS * spread:
                raise DataError(
                    field_name,
                    f"values around {float(np.median(seen)):g} with a deviation of {spread:.3g}",
                    "float32 loses the differences; subtract the level or change the unit first",
                )


def _missing_remedy(given: NDArray[np.float64], bad: NDArray[np.bool_]) -> str:
    """What helps against NaN or infinite values; a fill cannot begin a column or end infinity."""
    if np.isinf(given).any():
        return "replace infinite values by numbers or empty cells"
    if bad[0].any():
        return (
            "fill or remove them (missing='forward' carries the last value on; a first row has "
            "nothing before it: leave it out), or keep them with missing='allow'"
        )
    return (
        "fill or remove them (missing='forward' carries the last value on, missing='allow' keeps "
        "them)"
    )


def _rebuild(values: dict[str, Any]) -> ForecastingSeries:
    return ForecastingSeries(**values)


def check_timestamps(timestamps: pd.DatetimeIndex, name: str) -> None:
    """Raise DataError at the first missing, repeated or backward time stamp."""
    if not isinstance(timestamps, pd.DatetimeIndex):
        raise DataError(f"{name}.timestamps", type(timestamps).__name__, "pass a DatetimeIndex")
    if timestamps.tz is not None:
        raise DataError(f"{name}.timestamps", timestamps.tz, "pass local times without time zone")
    if timestamps.hasnans:
        row = int(np.flatnonzero(timestamps.isna())[0])
        raise DataError(f"{name}.timestamps", f"no time in row {row}", "fill or drop the row")
    steps = np.diff(timestamps.to_numpy())
    zero = np.timedelta64(0)
    if (steps <= zero).any():
        row = int(np.flatnonzero(steps <= zero)[0]) + 1
        kind = (
            "repeats the row before" if steps[row - 1] == zero else "is earlier than the row before"
        )
        remedy = "sort the rows by time"
        if steps[row - 1] == zero:
            remedy = "drop duplicates; where clocks went back, give times of one offset such as UTC"
        elif timestamps.has_duplicates:
            remedy = "where several series stand one below the other, give each a column (pivot)"
        raise DataError(f"{name}.timestamps", f"row {row} ({timestamps[row]}) {kind}", remedy)


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
    """Read a CSV or Parquet file with one time column and one column per variable.

    Args:
        path: the file; in text cells are parted by the most frequent of ``, ; tab |`` in the first
            line, and with semicolons numbers may have decimal commas.
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
    frame = read_frame(path, text=(time_column,))
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


def read_frame(path: Path, *, text: Sequence[str] = (), rows: int | None = None) -> pd.DataFrame:
    """The table in a CSV or Parquet file.

    Args:
        path: the file.
        text: columns that are read as text.
        rows: read so many alone.

    Raises:
        DataError: missing, empty or unreadable file.
    """
    if not path.is_file():
        raise DataError("path", path, "no such file: check the path")
    if path.suffix.lower() == ".parquet":
        try:
            frame = pd.read_parquet(path)
        except (ValueError, OSError) as error:
            raise DataError("path", path, f"not a Parquet file: {error}") from error
        return (frame if isinstance(frame.index, pd.RangeIndex) else frame.reset_index())[:rows]
    try:
        with path.open(encoding="utf-8-sig") as file:
            head = file.readline()
        sep = max(",;\t|", key=head.count)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells that would be lost
            frame = pd.read_csv(
                path,
                sep=sep,
                decimal="," if sep == ";" else ".",
                dtype=dict.fromkeys(text, "string"),
                encoding="utf-8-sig",
                index_col=False,
                nrows=rows,
            )
    except pd.errors.EmptyDataError:
        raise DataError("path", path, "the file is empty") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        raise DataError("path", path, f"not a CSV file: {error}") from error
    # Lines that end in a comma have one more cell, which is nameless and always empty.
    nameless = [c for c in frame if str(c).startswith("Unnamed: ") and frame[c].isna().all()]
    return frame.drop(columns=nameless)


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
    frame = frame.set_axis([str(c) for c in frame.columns], axis=1)
    if len(frame) < max(min_steps, 2):
        raise DataError(name, f"{len(frame)} rows", f"at least {max(min_steps, 2)} are needed")
    raw_times = _time_of(frame, time_column)
    values_of, targets = _chosen(frame, time_column, columns, target)
    times = parse_times(raw_times, f"{name}.{time_column or 'index'}")
    check_timestamps(times, name)
    table = pd.DataFrame(
        {c: to_numbers(frame[c], f"{name}.{c}", times) for c in values_of}, index=times
    )
    info = {"rows": len(frame), **(source or {})}
    if missing == "forward":
        info["filled_cells"] = int(table.isna().to_numpy().sum())
        table = table.ffill()
    own = getattr(frame.index, "freq", None) if time_column is None else None
    nameless = own is not None and offset_name(own) is None
    if nameless and irregular != "allow":
        raise DataError(f"{name}.timestamps.freq", repr(own), NAMELESS)
    freq = None if nameless else regular_freq(times)
    if freq is None and irregular == "error":
        raise DataError(f"{name}.timestamps", describe_gaps(times), gap_remedy(times))
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


NAMELESS = (
    "no frequency name holds its holidays, hours or steps: read with irregular='allow', or resample"
)


def _time_of(frame: pd.DataFrame, time_column: str | None) -> pd.Series:
    """The times of a frame, from a column or from the index."""
    known = list(frame.columns)
    if time_column is None:
        return pd.Series(frame.index)
    if time_column in known:
        return frame[time_column]
    raise DataError("time_column", time_column, nearest(time_column, known))


def _chosen(
    frame: pd.DataFrame,
    time_column: str | None,
    columns: Sequence[str] | None,
    target: str | Sequence[str] | None,
) -> tuple[list[str], list[str]]:
    """Value columns and targets by name, each of them there."""
    known = [c for c in frame.columns if c != time_column]
    values = known if columns is None else list(columns)
    targets = values if target is None else [target] if isinstance(target, str) else list(target)
    for field_name, wanted, among in (("columns", values, known), ("target", targets, values)):
        for column in wanted:
            check_choice(field_name, column, among, error=DataError)
    return values, targets


def to_numbers(column: pd.Series, name: str, times: pd.DatetimeIndex) -> np.ndarray:
    """Float64 values of a column.

    Args:
        column: T cells.
        name: of the column, for the error.
        times: T times, for the error.

    Raises:
        DataError: the first cell that is not a number.
    """
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        numbers = pd.to_numeric(column, errors="coerce")
        bad = (numbers.isna() & column.notna()).to_numpy()
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            remedy = "every cell must be a number; leave the column out or clean it"
            points = column.dropna().astype(str).str.replace(",", ".", regex=False)
            if pd.to_numeric(points, errors="coerce").notna().all():
                remedy = "write decimals with a point"
            raise DataError(name, f"{column.iloc[row]!r} in row {row} ({times[row]})", remedy)
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
    check_choice("name", name, BUILTIN_SERIES, error=DataError)
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
