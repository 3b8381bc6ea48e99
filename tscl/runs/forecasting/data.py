"""From the data section of a configuration to scaled arrays, covariates and a split."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.series.catalog import (
    FORECASTING_DATASETS,
    forecasting_dataset,
    load_forecasting,
)
from data_loaders.series.series import (
    ForecastingSeries,
    load_csv,
    load_ett,
    read_frame,
    to_numbers,
)
from data_loaders.series.splits import (
    ForecastSplit,
    TrainScaler,
    ett_hourly,
    ett_minute,
    ratio_split,
)
from data_loaders.series.time_axis import (
    calendar_by_frequency,
    calendar_features,
    parse_times,
    regular_freq,
    seen_cycles,
)
from tscl.errors import ConfigError, DataError, check_choice
from tscl.evaluation.forecasting.baselines import season_of
from tscl.forecasters.choices import SHORT, season_lengths
from tscl.forecasters.direct_protocol import DirectRow, direct_protocol
from tscl.runs.forecasting.config import DataSection

FORMATS = ("csv", "ett")
"""Values of ``data.dataset`` that are no data set of their own but the form of a file."""
ETT_SPLITS: dict[float, Callable[[int], ForecastSplit]] = {3600: ett_hourly, 900: ett_minute}
"""The ETT's split by the seconds of a step."""


@dataclass(frozen=True)
class ForecastingData:
    """A series ready for a method.

    Attributes:
        series: as loaded.
        split: train, valid and test slices.
        scaler: fitted on the training part.
        inputs: (T, n_covariates + C) float32: covariates first, then scaled values.
        targets: (T, C_target) float32, scaled.
        n_covariates: leading channels of ``inputs`` that are covariates, of the calendar and known.
        target_scaler: scaler of the target columns.
        instances: every column is a series of its own.
        known: columns known ahead, a series of the same steps, or None.
        known_scaler: theirs.
    """

    series: ForecastingSeries
    split: ForecastSplit
    scaler: TrainScaler
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    n_covariates: int
    target_scaler: TrainScaler
    instances: bool = False
    known: ForecastingSeries | None = None
    known_scaler: TrainScaler | None = None

    def arrays(self, steps: slice = slice(None)) -> NDArray[np.float32]:
        """The inputs of a span as series (n, T, K): one, or with ``instances`` one a column."""
        part = self.inputs[steps]
        if not self.instances:
            return part[None]
        n = self.n_covariates
        values = part[:, n:].T[..., None]
        marks = np.broadcast_to(part[:, :n], (len(values), *part[:, :n].shape))
        return np.concatenate([marks, values], axis=2)

    def times_ahead(self, horizon: int) -> pd.DatetimeIndex:
        """The times of ``horizon`` steps after a series of regular steps."""
        series = self.series
        return pd.date_range(series.timestamps[-1], periods=horizon + 1, freq=series.freq)[1:]

    @property
    def width(self) -> int:
        """Channels that an encoder sees."""
        return self.n_covariates + 1 if self.instances else self.inputs.shape[1]


def load_series(section: DataSection) -> ForecastingSeries:
    """Read the series a configuration names.

    Raises:
        ConfigError: no file, no column to forecast, or one of all columns.
        DataError: an unknown data set, or whatever is wrong in its file; the remedy is in keys of
            the configuration.
    """
    if section.features == "M" and section.target is not None:
        remedy = "M forecasts every column: for data.target alone choose S, or MS to read them all"
        raise ConfigError("data.features", "M", remedy)
    try:
        return _load(section)
    except DataError as error:
        remedy = error.remedy
        for pattern, words in _REMEDIES:
            remedy = re.sub(pattern, words, remedy)
        raise DataError(error.field, error.value, remedy) from error


_REMEDIES = [
    (r",?( or)? (keep|read) them with missing='allow'|, missing='allow' keeps them", ""),
    (r"read with irregular='allow', or |, or read with irregular='allow'", ""),
    (r"\b(irregular|missing)='(\w+)'", r"-s data.\1=\2"),
    (r"; use a ratio$", "; use shares: -s data.split=[0.6,0.2,0.2]"),
    (r"^drop the column:", "leave the column out of -s data.columns=[...]:"),
    (r"leave the column out or clean it$", "clean it, or leave it out of -s data.columns=[...]"),
]
"""What loaders advise in arguments, in keys of the configuration; it has no ``allow``."""


def _load(section: DataSection) -> ForecastingSeries:
    if section.dataset in FORMATS and section.path is None:
        raise ConfigError("data.path", None, f"dataset {section.dataset} is read from a file")
    if section.dataset == "ett":
        return load_ett(str(section.path), section.features or "S", section.target or "OT")
    if section.dataset == "csv":
        return _load_csv(section, Path(str(section.path)))
    series = load_forecasting(section.dataset, section.path, features=section.features or "S")
    return replace(series, targets=(section.target,)) if section.target else series


def _load_csv(section: DataSection, path: Path) -> ForecastingSeries:
    """A CSV of one time column; a single value column is forecast without being named."""
    names = column_names(path)
    time_column = section.time_column or find_time_column(path, names)
    known = section.future_covariates
    values = section.columns or [name for name in names if name not in (time_column, *known)]
    for name in known if names else ():
        others = {time_column, section.target, *(section.columns or [])}
        allowed = [column for column in names if column not in others]
        check_choice("data.future_covariates", name, allowed, error=ConfigError)
    if section.target is not None and names:
        check_choice("data.target", section.target, values, error=ConfigError)
    if names and not values:
        raise ConfigError("data.future_covariates", known, "no column is left to forecast")
    target, features = section.target, section.features
    if target is None and len(values) == 1:
        target = values[0]
    features = features or ("M" if target is None else "S")
    if features != "M" and target is None and names:
        remedy = f"features {features} needs the column to forecast, one of {', '.join(values)}"
        raise ConfigError("data.target", None, remedy)
    return load_csv(
        path,
        time_column=time_column,
        target=values if features == "M" else target,
        columns=[*([str(target)] if features == "S" else values), *known],
        irregular=section.irregular,
        missing=section.missing,
    )


def column_names(path: Path) -> list[str]:
    """Column names of a table; none where the file cannot be read, which its loader then says."""
    try:
        return [str(name) for name in read_frame(path, rows=1).columns]
    except (OSError, ValueError):
        return []


def find_time_column(path: Path, names: Sequence[str]) -> str:
    """``date``, or else the first column whose first cells are times and no numbers.

    Raises:
        ConfigError: there is none.
    """
    if "date" in names or not names:
        return "date"
    head = read_frame(path, text=names, rows=5).astype("string")
    for name in names:
        if pd.to_numeric(head[name], errors="coerce").isna().all() and len(head):
            with contextlib.suppress(DataError):
                parse_times(head[name], name)
                return name
    remedy = (
        f"no times in {', '.join(names)}: add a column such as date, or name the one that has them"
    )
    raise ConfigError("data.time_column", None, remedy)


def make_split(section: DataSection, series: ForecastingSeries) -> ForecastSplit:
    """Train, valid and test slices."""
    if isinstance(section.split, tuple):
        return ratio_split(len(series), *section.split)
    if section.split == "own" and section.dataset not in FORMATS:
        return forecasting_dataset(section.dataset).split(len(series))
    if section.split == "own" and section.dataset == "csv":
        return ratio_split(len(series))
    step = (series.timestamps[1] - series.timestamps[0]).total_seconds()
    if step not in ETT_SPLITS:
        raise ConfigError("data.split", "ett", f"is for steps of 1 h or 15 min, not {step:g} s")
    return ETT_SPLITS[step](len(series))


def cell_facts(section: DataSection) -> dict[str, Any]:
    """The section as digests of cells have it: under the keys it had when they were first written.

    Options that came later are left out at their neutral value. So no finished cell is run again.
    """
    values = section.model_dump(mode="json")
    dataset, path = values.pop("dataset"), values.pop("path")
    if dataset == "csv":
        values |= {"layout": "csv", "source": path}
    elif dataset == "ett" or (path and forecasting_dataset(dataset).split in ETT_SPLITS.values()):
        values |= {"layout": "ett", "source": path}
    elif path is None:
        values |= {"layout": "builtin", "source": dataset}
    else:
        values |= {"layout": "named", "source": path, "dataset": dataset}
    if values["split"] == "own":
        own = {"ett": "ett", "named": "named"}
        values["split"] = own.get(values["layout"], [0.6, 0.2, 0.2])
    values["features"] = values["features"] or "S"
    values["time_column"] = values["time_column"] or "date"
    if values["calendar"] == "standard":
        del values["calendar"]
    for name in ("instances", "future_covariates"):
        if not values[name]:
            del values[name]
    return values


def prepare(section: DataSection, horizons: list[int]) -> ForecastingData:
    """Load, split, scale by the training part and put covariates in front.

    Raises:
        DataError, InputError, ConfigError: bad file, column, split or horizon, before training.
    """
    series, known, known_scaler = load_series(section), None, None
    split = make_split(section, series)
    split.check_horizons(horizons)
    if section.future_covariates:
        known = _columns_of(series, section.future_covariates)
        known_scaler = TrainScaler.fit(known.values, split.train, known.columns)
        own = [name for name in series.columns if name not in known.columns]
        series = _columns_of(series, own, series.targets)
    scaler = TrainScaler.fit(series.values, split.train, series.columns)
    index = series.target_index
    target_scaler = TrainScaler.fit(series.values[:, index], split.train)
    values = scaler.transform(series.values)
    blocks = [values]
    if section.input_form == "relative":
        blocks = [relative_form(values, split.train, section.relative_windows)]
    if known is not None and known_scaler is not None:
        blocks.insert(0, known_scaler.transform(known.values))
    if section.covariates:
        times = series.timestamps
        calendar = (
            calendar_by_frequency(times, series.freq)
            if section.calendar == "frequency"
            else calendar_features(times, split.train, fit_on=section.calendar_fit)
        )
        blocks.insert(0, calendar)
    return ForecastingData(
        series=series,
        split=split,
        scaler=scaler,
        inputs=np.ascontiguousarray(np.concatenate(blocks, axis=1)),
        targets=np.ascontiguousarray(values[:, index]),
        n_covariates=sum(block.shape[1] for block in blocks[:-1]),
        target_scaler=target_scaler,
        instances=section.instances,
        known=known,
        known_scaler=known_scaler,
    )


def direct_rows(
    data: ForecastingData,
    horizons: list[int],
    head: str,
    embeddings: NDArray[np.float32] | None = None,
    *,
    drop: int = 0,
    seed: int = 0,
    future: NDArray[np.float32] | None = None,
) -> list[DirectRow]:
    """Fitted heads on lags, calendar, columns known ahead and embeddings.

    They also forecast beyond the end of a series of regular steps; one with columns known ahead
    needs their future rows for that.

    Args:
        data: of a run.
        horizons: steps ahead.
        head: as of :func:`tscl.forecasters.direct_protocol.direct_protocol`; so are the others.
        embeddings: (T, D), or None.
        drop: steps at the start that are no origins.
        seed: of the trees.
        future: (H, K) scaled rows after the end.
    """
    series = data.series
    times, blocks = series.timestamps, []
    if series.freq is not None:
        times = pd.DatetimeIndex(times, freq=series.freq)
        more = times.append(data.times_ahead(max(horizons)))
        calendar = calendar_features(pd.DatetimeIndex(more, freq=series.freq), data.split.train)
        blocks.append(calendar * seen_cycles(times[: data.split.valid.stop]))
    if data.known is not None and data.known_scaler is not None:
        known = data.known_scaler.transform(data.known.values)
        blocks.append(known if future is None else np.concatenate([known, future]))
    shortest = min(map(len, blocks), default=0)
    return direct_protocol(
        embeddings,
        data.targets,
        data.split,
        horizons,
        head=head,
        marks=np.concatenate([b[:shortest] for b in blocks], axis=1) if blocks else None,
        seasons=season_lengths(times, data.targets[data.split.train]),
        drop=drop,
        scale=data.target_scaler.scale,
        seed=seed,
    )


def _columns_of(
    series: ForecastingSeries, names: Sequence[str], targets: Sequence[str] | None = None
) -> ForecastingSeries:
    """Some columns of a series, all targets unless they are named."""
    values = series.values[:, [series.columns.index(name) for name in names]]
    return replace(series, values=values, columns=tuple(names), targets=tuple(targets or names))


def future_rows(
    data: ForecastingData,
    path: Path | None,
    times: pd.DatetimeIndex,
    time_column: str | None = None,
) -> NDArray[np.float32]:
    """Columns known ahead at ``times``, scaled, (len(times), K).

    Args:
        data: with ``known``.
        path: CSV or Parquet file of a time column and these columns; other rows and columns in it
            are left aside.
        times: the steps to forecast.
        time_column: None finds it.

    Raises:
        ConfigError: no file. DataError: a column or step is missing, or no number.
    """
    assert data.known is not None
    assert data.known_scaler is not None
    columns, span = list(data.known.columns), f"{times[0]} to {times[-1]}"
    if path is None:
        remedy = f"the model needs a file of {', '.join(columns)} from {span}"
        raise ConfigError("--future", None, remedy)
    names = column_names(path)
    time = time_column or find_time_column(path, names)
    frame = read_frame(path, text=(time,))
    for name in (time, *columns):
        check_choice("--future", name, names, error=DataError)
    index = parse_times(frame[time], time)
    for problem, rows in (
        ("stands twice", index[index.duplicated()]),
        ("is missing", times.difference(index)),
    ):
        if len(rows):
            raise DataError("--future", f"{rows[0]} {problem}", f"give each step from {span} once")
    table = pd.DataFrame({name: to_numbers(frame[name], name, index) for name in columns}, index)
    table = table.loc[times]
    if not np.isfinite(table.to_numpy()).all():
        raise DataError("--future", "an empty cell or no finite number", f"fill {span}")
    return data.known_scaler.transform(table)


def relative_form(
    values: NDArray[np.float32], train: slice, windows: tuple[int, ...]
) -> NDArray[np.float32]:
    """Changes and distances from exponential means, (T, C * (1 + len(windows))).

    Each step uses itself and its past only; columns are divided by their deviation in the training
    part.

    Args:
        values: (T, C).
        train: the training part.
        windows: spans of the exponential means, in steps.
    """
    frame = pd.DataFrame(values.astype(np.float64))
    parts = [frame.diff().fillna(0.0)]
    parts += [frame - frame.ewm(span=span).mean() for span in windows]
    stacked = np.concatenate([p.to_numpy() for p in parts], axis=1)
    scale = stacked[train].std(axis=0)
    return (stacked / np.where(scale > 0, scale, 1.0)).astype(np.float32)


def named_dataset(path: Path) -> str:
    """The data set a file is named after, such as ``ETTh1.csv``, if it can be that; else ``csv``.

    It cannot with other columns, or with fewer steps than its split needs.
    """
    entry = FORECASTING_DATASETS.get(path.stem)
    if entry is None or not entry.needs_file:
        return "csv"
    names = column_names(path)
    if names and not set(names).intersection(entry.targets):
        return "csv"
    try:
        if names:
            entry.split(count_steps(path))
    except DataError:
        return "csv"
    return path.stem


def count_steps(path: Path) -> int:
    """Rows of a table, which need not be readable in all else; OSError where there is no file."""
    if path.suffix.lower() == ".parquet":
        with contextlib.suppress(DataError):
            return len(read_frame(path))
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip()) - 1


def fit_sizes(values: dict[str, Any], path: Path, sets: Sequence[str]) -> None:
    """Fit a configuration to a file's length and frequency, in place.

    The head is chosen (``evaluate.head: auto``). Horizons are one, two and seven seasons, of half
    the test part at most. Under 1,000 steps the encoder is smaller. Sections of half the training
    part and a context of a quarter of it are the most.

    Args:
        values: of the configuration, by section.
        path: of the CSV or Parquet file.
        sets: ``key=value`` overrides, whose keys stay as they are.
    """
    try:
        steps = count_steps(path)
    except OSError:
        return  # its loader says what is wrong
    train, rest = int(0.6 * steps), int(0.2 * steps)
    given = {item.partition("=")[0].strip() for item in sets}
    fitted = {
        "train.max_train_length": min(257, max(2, train // 2)),
        "evaluate.drop": min(32, train // 4),
        "evaluate.head": "auto",
        "evaluate.horizons": [h for h in _horizons(path) if h <= rest // 2] or [max(1, rest // 2)],
    }
    if steps < SHORT:
        fitted["encoder.params"] = {"output_dims": 32, "hidden_dims": 16, "depth": 4}
    for key, value in fitted.items():
        section, _, name = key.partition(".")
        if not any(item == key or item.startswith(f"{key}.") for item in given):
            values.setdefault(section, {})[name] = value


def _horizons(path: Path) -> list[int]:
    """One, two and seven seasons of the steps between the first rows of a file."""
    column = find_time_column(path, column_names(path))
    try:
        head = read_frame(path, text=(column,), rows=100)[column]
        season = season_of(regular_freq(parse_times(head, column)))
    except (OSError, ValueError, KeyError):
        season = 24  # no regular times: as for hours
    return [h for h in (season, 2 * season, 7 * season) if h > 1] or [1]
