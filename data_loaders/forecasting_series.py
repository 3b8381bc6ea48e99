"""One multivariate series with its time axis, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tscl.errors import DataError, nearest

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
            if target not in self.columns:
                raise DataError(f"{self.name}.targets", target, nearest(target, self.columns))

    def _check_values(self, given: NDArray[np.float64]) -> None:
        finite = np.isfinite(given)
        bad = ~(finite | np.isnan(given)) if self.allow_missing else ~finite
        if bad.any():
            row, col = (int(i) for i in np.argwhere(bad)[0])
            hint = "" if row else "; a first row has nothing before it: leave it out"
            raise DataError(
                f"{self.name}.{self.columns[col]}",
                f"{int(bad.sum())} NaN or infinite values, the first at {self.timestamps[row]}",
                f"fill or remove them (missing='forward' carries the last value on{hint})",
            )
        for col, column in enumerate(self.columns):
            field_name, seen = f"{self.name}.{column}", given[finite[:, col], col]
            if seen.size == 0 or (seen == seen[0]).all():
                raise DataError(
                    field_name,
                    f"the constant {seen[0]}" if seen.size else "no values",
                    "drop the column: it cannot be scaled or forecast",
                )
            spread = float(seen.std())
            lost = float(np.abs(self.values[finite[:, col], col] - seen).max())
            if not lost <= MAX_LOSS * spread:
                raise DataError(
                    field_name,
                    f"values around {float(np.median(seen)):g} with a deviation of {spread:.3g}",
                    "float32 loses the differences; subtract the level or change the unit first",
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
        remedy = "drop duplicates" if steps[row - 1] == zero else "sort the rows by time"
        raise DataError(f"{name}.timestamps", f"row {row} ({timestamps[row]}) {kind}", remedy)
