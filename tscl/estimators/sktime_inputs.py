"""What the sktime forecaster takes from data frames: scaled values, covariates, checked times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.calendar import calendar_fields
from data_loaders.time_axis import describe_gaps, regular_freq
from tscl.errors import ConfigError, InputError, nearest
from tscl.forecasters.intervals import check_levels
from tscl.forecasters.network import check_network_params

Float32 = NDArray[np.float32]
Part = tuple[pd.DataFrame, pd.DataFrame | None]
"""A series and its covariates."""
Stretch = tuple[Float32, Float32]
"""Scaled values (T, C) and covariates (T, K) of a series."""


def check_index(index: pd.Index) -> None:
    """Raise InputError when the steps of an index are uneven, naming the gaps."""
    if len(index) < 3:
        return
    if isinstance(index, pd.DatetimeIndex):
        if index.freq is None and regular_freq(index.tz_localize(None)) is None:
            raise InputError("timestamps", describe_gaps(index), "resample or fill the gaps first")
        return
    numbers = index.asi8 if isinstance(index, pd.PeriodIndex) else index.to_numpy()
    steps = np.diff(numbers)
    if (steps != steps[0]).any():
        row = int(np.flatnonzero(steps != steps[0])[0])
        raise InputError(
            "timestamps", f"an uneven step after {index[row]}", "resample or fill the gaps first"
        )
    if steps[0] != 1:  # horizons count in ones, so every second number would be named wrongly
        raise InputError("timestamps", f"steps of {steps[0]}", "number the steps one by one")


def check_values(field: str, frame: pd.DataFrame) -> None:
    """Raise InputError for the first value that is not finite."""
    bad = ~np.isfinite(frame.to_numpy(np.float64))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{field}[{frame.columns[column]!r}]",
            frame.iat[row, column],
            f"at {frame.index[row]}; fill it or cut the series there",
        )


def check_forecaster(options: Mapping[str, Any]) -> None:
    """Raise ConfigError or InputError for a setting of the forecaster that cannot be used."""
    if options["intervals"] not in ("conformal", "quantile"):
        raise ConfigError("intervals", options["intervals"], "choose conformal or quantile")
    if options["quantile_levels"] is not None:
        check_levels(options["quantile_levels"])
    if not 0 <= options["weight"] < 1:
        raise InputError("weight", options["weight"], "choose lambda in [0, 1)")
    if not 0 <= options["valid_share"] < 1:
        raise InputError("valid_share", options["valid_share"], "choose a share in [0, 1)")
    check_network_params(options["network_params"] or {})


@dataclass(frozen=True, eq=False)
class FrameScaler:
    """Zero mean and unit deviation of each column; constant columns keep their scale."""

    center: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> FrameScaler:
        """Statistics of the columns."""
        values = frame.to_numpy(np.float64)
        deviation = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(deviation > 1e-12, deviation, 1.0))

    def apply(self, frame: pd.DataFrame) -> Float32:
        """(T, C) float32."""
        return ((frame.to_numpy(np.float64) - self.center) / self.scale).astype(np.float32)

    def undo(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Back to the original unit."""
        return np.asarray(values * self.scale + self.center)


@dataclass(frozen=True, eq=False)
class Marks:
    """Covariates of any stretch of time: calendar fields and exogenous columns, standardised."""

    columns: tuple[str, ...] | None
    calendar: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    scaler: FrameScaler | None

    @classmethod
    def fit(cls, index: pd.Index, X: pd.DataFrame | None, *, calendar: bool) -> Marks:
        """Statistics of what is known at training."""
        fields = _fields(index) if calendar else None
        statistics = None
        if fields is not None:
            statistics = (fields.mean(axis=0), fields.std(axis=0))
        if X is None or X.shape[1] == 0:
            return cls(None, statistics, None)
        return cls(tuple(X.columns), statistics, FrameScaler.fit(X))

    @classmethod
    def fit_parts(cls, parts: list[Part], *, calendar: bool) -> Marks:
        """Statistics of several series together."""
        index = parts[0][0].index
        for one, _ in parts[1:]:
            index = index.append(one.index)
        frames = [X for _, X in parts if X is not None]
        return cls.fit(index, pd.concat(frames) if frames else None, calendar=calendar)

    @property
    def width(self) -> int:
        """Number of covariates."""
        return (7 if self.calendar is not None else 0) + len(self.columns or ())

    def make(self, index: pd.Index, X: pd.DataFrame | None) -> Float32:
        """(T, width) covariates; InputError when an exogenous column is missing."""
        parts: list[NDArray[np.floating]] = [np.zeros((len(index), 0))]
        if self.calendar is not None:
            fields = _fields(index)
            assert fields is not None
            mean, deviation = self.calendar
            varies = deviation > 0
            parts.append(np.where(varies, (fields - mean) / np.where(varies, deviation, 1.0), 0.0))
        if self.columns is not None:
            assert self.scaler is not None
            if X is None:
                raise InputError("X", None, f"fitted with columns {list(self.columns)}; pass them")
            for column in self.columns:
                if column not in X.columns:
                    known = [str(c) for c in X.columns]
                    raise InputError(f"X.{column}", "missing", nearest(str(column), known))
            parts.append(self.scaler.apply(X[list(self.columns)]))
        return np.concatenate(parts, axis=1).astype(np.float32)


def future_rows(
    X: pd.DataFrame | None, columns: tuple[str, ...] | None, times: pd.Index, last: int
) -> pd.DataFrame | None:
    """Rows of ``X`` at ``times``; those after step ``last`` repeat the last known row.

    Raises:
        InputError: no ``X`` although the model needs it, or a step up to ``last`` is missing.
    """
    if columns is None:
        return None
    if X is None:
        raise InputError("X", None, f"forecasts need the future of {list(columns)}")
    if X.index.nlevels == 1 and len(X.index) == last and not X.index.isin(times[:last]).all():
        raise InputError("X.index", X.index[0], f"it must cover {times[0]} to {times[last - 1]}")
    missing = ~times[:last].isin(X.index)
    if missing.any():
        raise InputError(
            "X.index",
            f"{int(missing.sum())} of {last} steps missing, the first {times[:last][missing][0]}",
            "pass the covariates of every step up to the furthest one forecast",
        )
    return X.reindex(times[:last]).reindex(times).ffill()


def panel_parts(y: pd.DataFrame, X: pd.DataFrame | None = None) -> dict[Any, Part]:
    """The series of a panel by id, each with its covariates; a single one has the id ``()``.

    Raises:
        InputError: covariates of some series are missing.
    """
    if y.index.nlevels == 1:
        return {(): (y, X)}
    levels: list[Any] = list(range(y.index.nlevels - 1))
    made: dict[Any, Part] = {}
    for key, part in y.groupby(level=levels if len(levels) > 1 else levels[0], sort=False):
        name = key if isinstance(key, tuple) else (key,)
        covariates = None
        if X is not None:
            lack = ~part.index.isin(X.index)
            if lack.any():
                where = part.index[lack][0]
                raise InputError("X.index", f"no row at {where}", "pass covariates of every step")
            covariates = X.loc[part.index].droplevel(levels)
            covariates.index = with_freq(covariates.index)
        single = part.droplevel(levels)
        single.index = with_freq(single.index)
        made[name] = (single, covariates)
    return made


def checked_parts(y: pd.DataFrame, X: pd.DataFrame | None) -> dict[Any, Part]:
    """:func:`panel_parts`, each series with even steps and finite values, or InputError."""
    parts = panel_parts(y, X)
    for one, covariates in parts.values():
        check_index(one.index)
        check_values("y", one)
        if covariates is not None:
            check_values("X", covariates)
    return parts


def with_freq(index: pd.Index) -> pd.Index:
    """A time index with its frequency where it is regular; groups of a panel have lost it."""
    if isinstance(index, pd.DatetimeIndex) and index.freq is None and len(index) >= 3:
        freq = regular_freq(index.tz_localize(None))
        if freq is not None:
            return pd.DatetimeIndex(index, freq=freq)
    return index


def future_part(X: pd.DataFrame | None, key: Any) -> pd.DataFrame | None:
    """The rows of ``X`` of one series; InputError when it has none."""
    if X is None or key == ():
        return X
    known = panel_ids(X)
    if key not in known:
        raise InputError("X", f"no rows of series {_name(key)}", f"it has {_names(known)}")
    part = X.xs(key, level=list(range(X.index.nlevels - 1)))
    assert isinstance(part, pd.DataFrame)
    return part


def check_ids(field: str, data: pd.DataFrame | None, known: Iterable[Any]) -> None:
    """Raise InputError for the first series of ``data`` that was not there in ``fit``."""
    if data is None or data.index.nlevels == 1:
        return
    fitted = set(known)
    for key in panel_ids(data):
        if key not in fitted:
            raise InputError(
                field,
                f"unseen series {_name(key)}",
                f"fitted on {_names(fitted)}; fit again with it, or leave it out",
            )


def panel_ids(data: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Ids of the series of a panel, as tuples, in their order."""
    assert isinstance(data.index, pd.MultiIndex)
    keys = data.index.droplevel(-1).unique()
    return [key if isinstance(key, tuple) else (key,) for key in keys]


def _name(key: tuple[Any, ...]) -> str:
    return "/".join(map(str, key))


def _names(keys: Iterable[tuple[Any, ...]]) -> str:
    made = sorted(map(_name, keys))
    return ", ".join(made[:5]) + (f" and {len(made) - 5} more" if len(made) > 5 else "")


def _fields(index: pd.Index) -> NDArray[np.float64] | None:
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    return calendar_fields(index) if isinstance(index, pd.DatetimeIndex) else None
