"""Pandas tables and sktime panels in and out of containers of clinical series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import LABEL, as_list
from data_loaders.container.rows import narrow
from data_loaders.container.windows import pad_series, series_lengths
from tscl.errors import DataError, InputError, check_choice, nearest

MAX_DRIFT = 0.01
"""How far a sample's mean step may be from that of its sampling rate."""


def sorted_steps(
    column: pd.Series, owner: NDArray[Any], keys: Any, rate: float
) -> NDArray[np.int64]:
    """Order of the rows by sample and time, once the times are found to be even.

    Args:
        column: the times.
        owner: (n,) number of each row's sample.
        keys: name of each sample, for errors.
        rate: Hz.

    Raises:
        DataError: times that are no numbers, a time twice, a gap within a sample, or steps that
            contradict ``rate``. InputError: a rate that is no positive number.
    """
    if np.ndim(rate) or not math.isfinite(float(rate)) or not float(rate) > 0:
        raise InputError("sampling_rate", rate, "give one positive number of Hz")
    name = str(column.name)
    times, in_seconds = _elapsed(column, name)
    order = np.lexsort((times, owner))
    rows = np.flatnonzero(owner[order][1:] == owner[order][:-1])
    before, after = order[rows], order[rows + 1]
    if not len(rows):
        return order
    steps = times[after] - times[before]
    if (steps == 0).any():
        row = int(before[np.argmax(steps == 0)])
        value = f"{column.iloc[row]} twice in sample {keys[owner[row]]}"
        raise DataError(name, value, "keep one row a step")
    usual = float(np.median(steps))
    numbered = not in_seconds and math.isclose(usual, 1.0, rel_tol=1e-6)
    wanted = 1.0 if numbered else 1.0 / float(rate)
    if abs(usual - wanted) > wanted / 4:
        _contradict(name, usual, rate, "the usual step")
    uneven = np.abs(steps - wanted) >= wanted / 2 * (1 - 1e-9)
    if uneven.any():
        at = int(np.argmax(uneven))
        first, second = column.iloc[int(before[at])], column.iloc[int(after[at])]
        value = f"from {first} to {second} in sample {keys[owner[before[at]]]}"
        remedy = "add rows of NaN for the steps that are missing, or resample to even steps"
        raise DataError(name, f"a gap or uneven steps, {value}", remedy)
    counts = np.bincount(owner[before], minlength=len(keys))
    drift = np.abs(np.bincount(owner[before], steps, len(keys)) - counts * wanted)
    far = drift > wanted * np.maximum(MAX_DRIFT * counts, 0.25)
    if far.any():
        worst = int(np.argmax(far))
        mean = float(steps[owner[before] == worst].mean())
        _contradict(name, mean, rate, f"the mean step in sample {keys[worst]}")
    return order


def _contradict(name: str, step: float, rate: float, what: str) -> None:
    value = f"{what} is {step:.6g}, at {rate:g} Hz it is {1 / rate:.6g} s"
    remedy = "give the right sampling_rate and times in seconds, or number the steps"
    raise DataError(name, value, remedy)


def _elapsed(column: pd.Series, name: str) -> tuple[NDArray[np.float64], bool]:
    """Times from the first one on as float64, and whether they are in seconds for sure."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    column = column.infer_objects()
    if column.dtype.kind in "mM":
        return (column - column.min()).dt.total_seconds().to_numpy(np.float64), True
    try:
        numbers = pd.to_numeric(column)
        times = (numbers - numbers.min()).to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):
        times = np.array([np.nan])
    if not np.isfinite(times).all() or pd.api.types.is_bool_dtype(column.dtype):
        remedy = "give seconds, numbers of the steps, or dates (pandas.to_datetime)"
        raise DataError(name, f"{column.dtype} such as {column.iloc[0]!r}", remedy)
    return times, False


PANELS = ("pd-multiindex", "numpy3D", "nested_univ")


def from_wide(
    frame: pd.DataFrame,
    *,
    patient: str,
    sampling_rate: float,
    label: str | Sequence[str] | None = None,
    label_kind: str | None = None,
    trial: str | None = None,
    steps: Sequence[str] | None = None,
    name: str = "wide",
) -> MedicalDataset:
    """One univariate series a row, one step a column.

    Args:
        frame: the table; missing values are NaN.
        patient: column of patient ids.
        sampling_rate: Hz.
        label: column of classes, or columns of several labels (0, 1, NaN).
        label_kind: see :class:`data_loaders.container.dataset.MedicalDataset`.
        trial: column of trial ids; by default every row is a trial.
        steps: columns of the values in order of time; by default all others, as they stand.
        name: of the data set.

    Raises:
        InputError: an unknown column, or values that are no numbers.
    """
    taken = [patient, *_names(label), *_names(trial)]
    rest = [c for c in frame.columns if c not in taken]
    values = rest if steps is None else as_list("steps", steps)
    _known(frame, [*taken, *values])
    if not len(frame) or not values:
        raise InputError("frame", frame.shape, "pass at least one row and one step")
    return MedicalDataset(
        _numbers(frame, values)[:, :, None],
        _labels(frame, label),
        frame[patient].to_numpy(),
        np.arange(len(frame)) if trial is None else frame[trial].to_numpy(),
        sampling_rate,
        label_kind=label_kind,
        name=name,
        source={"kind": "wide table"},
        trial_scope="global" if trial is None else "patient",
        allow_nan=True,
    )


def to_wide(data: MedicalDataset, channel: int = 0) -> pd.DataFrame:
    """One row a sample: ``patient``, ``trial``, ``label`` and a column ``t0``, ``t1``, ... a step.

    Raises:
        InputError: an unknown channel.
    """
    if not 0 <= channel < data.n_channels:
        raise InputError("channel", channel, f"choose 0 to {data.n_channels - 1}")
    values = np.asarray(data.X[:, :, channel])
    table = pd.DataFrame(values, columns=[f"t{i}" for i in range(data.n_timesteps)])
    return pd.concat([_ids(data), table], axis=1)


def from_long(
    frame: pd.DataFrame,
    *,
    sample: str,
    time: str,
    channels: Sequence[str],
    patient: str,
    sampling_rate: float,
    label: str | Sequence[str] | None = None,
    label_kind: str | None = None,
    trial: str | None = None,
    name: str = "long",
) -> MedicalDataset:
    """One time step a row; series may differ in length and end in NaN then.

    Args:
        frame: the table. Rows of one sample need not stand together nor in order.
        sample: column that tells samples apart; they keep the order of their first rows.
        time: column that orders the steps of a sample: seconds, numbers of the steps (one apart),
            dates or durations. Steps must be even and agree with ``sampling_rate``: a step left
            out is no row of NaN, see :mod:`data_loaders.adapters.frames`.
        channels: columns of the values.
        patient: column of patient ids.
        sampling_rate: Hz.
        label: column of classes, or columns of several labels, constant within a sample.
        label_kind: see :class:`data_loaders.container.dataset.MedicalDataset`.
        trial: column constant within a sample; by default every sample is a trial.
        name: of the data set.

    Raises:
        InputError: an unknown column, or values that are no numbers. DataError: a missing or
            repeated time of a sample, a gap between its times, times that are no numbers or
            contradict ``sampling_rate``, or an id that changes within a sample.
    """
    facts = [patient, *_names(label), *_names(trial)]
    channels = as_list("channels", channels)
    _known(frame, [sample, time, *channels, *facts])
    if not len(frame):
        raise DataError("frame", "no rows", "pass at least one sample")
    if frame[sample].isna().any() or frame[time].isna().any():
        raise DataError(f"{sample}, {time}", "missing", "name the sample and time of every row")
    owner, keys = pd.factorize(frame[sample])
    order = sorted_steps(frame[time], owner, keys, sampling_rate)
    for column in facts:
        several = frame[column].groupby(owner).nunique(dropna=False).to_numpy() > 1
        if several.any():
            value = f"several in sample {keys[int(np.argmax(several))]}"
            raise DataError(column, value, "give one a sample")
    values = np.split(_numbers(frame, list(channels))[order], np.cumsum(np.bincount(owner))[:-1])
    X, _ = pad_series(values)
    first_rows = frame[~pd.Series(owner).duplicated().to_numpy()]
    return MedicalDataset(
        X,
        _labels(first_rows, label),
        first_rows[patient].to_numpy(),
        np.arange(len(keys)) if trial is None else first_rows[trial].to_numpy(),
        sampling_rate,
        label_kind=label_kind,
        channel_names=[str(channel) for channel in channels],
        name=name,
        source={"kind": "long table"},
        trial_scope="global" if trial is None else "patient",
        allow_nan=True,
    )


def to_long(data: MedicalDataset) -> pd.DataFrame:
    """One row a step: ``sample``, ``time`` (s), ``patient``, ``trial``, ``label`` and the channels.

    Steps after the last value of a sample are left out.
    """
    X = np.asarray(data.X)
    lengths = series_lengths(X)
    sample = np.repeat(np.arange(len(X)), lengths)
    step = np.concatenate([np.arange(n) for n in lengths])
    times = pd.DataFrame({"sample": sample, "time": step / data.sampling_rate[sample]})
    values = pd.DataFrame(X[sample, step], columns=list(data.channel_names))
    return pd.concat([times, _ids(data).iloc[sample].reset_index(drop=True), values], axis=1)


def _ids(data: MedicalDataset) -> pd.DataFrame:
    """Patient, trial and label (a column each of several labels) of every sample."""
    table = data.table
    labels = [column for column in table if column == "label" or str(column).startswith(LABEL)]
    return table[["patient", "trial", *labels]]


def _labels(frame: pd.DataFrame, label: str | Sequence[str] | None) -> Any:
    """Values of the label's column, or a frame of those of several labels."""
    if label is None:
        return None
    return frame[label].to_numpy() if isinstance(label, str) else frame[list(label)]


def from_sktime(panel: Any) -> NDArray[Any]:
    """An sktime panel as (n_samples, n_timesteps, n_channels) float32, NaN after short series.

    Where float32 would lose the differences (a large level), it is float64.

    Args:
        panel: ``pd-multiindex`` (instance, time), ``numpy3D`` in sktime's order (instances,
            channels, time), or ``nested_univ`` (a frame whose cells are series).

    Raises:
        DataError: none of these, no numbers, or channels of one instance that differ in length.
    """
    if isinstance(panel, np.ndarray):
        if panel.ndim != 3:
            raise DataError("panel", panel.shape, "pass (instances, channels, time)")
        return narrow(np.ascontiguousarray(panel.transpose(0, 2, 1)))
    if not isinstance(panel, pd.DataFrame) or not len(panel):
        raise DataError("panel", type(panel).__name__, f"pass one of {', '.join(PANELS)}")
    if isinstance(panel.index, pd.MultiIndex):
        if panel.index.nlevels != 2 or panel.index.has_duplicates:
            raise DataError("panel.index", panel.index.names, "pass unique (instance, time)")
        parts = [part.sort_index() for _, part in panel.groupby(level=0, sort=False)]
        return pad_series([_numbers(part, list(part.columns)) for part in parts])[0]
    series = []
    for key, row in zip(panel.index, panel.to_numpy(), strict=True):
        if not all(isinstance(cell, pd.Series | np.ndarray) for cell in row):
            raise DataError("panel", type(row[0]).__name__, "cells must be series")
        if len({len(cell) for cell in row}) > 1:
            raise DataError(f"instance {key}", "channels of several lengths", "align them first")
        series.append(np.stack([np.asarray(cell, np.float64) for cell in row], axis=1))
    return pad_series(series)[0]


def to_sktime(X: NDArray[np.floating[Any]], kind: str = "pd-multiindex") -> Any:
    """X (n, T, C) as an sktime panel; series lose the NaN at their end but in ``numpy3D``.

    Raises:
        InputError: an unknown kind, another rank, or a series without values.
    """
    check_choice("kind", kind, PANELS)
    if X.ndim != 3:
        raise InputError("X", X.shape, "pass (n_samples, n_timesteps, n_channels)")
    if kind == "numpy3D":
        return np.ascontiguousarray(np.asarray(X).transpose(0, 2, 1))
    lengths = series_lengths(X)
    if (lengths == 0).any():
        value = f"series {int(np.argmin(lengths))} holds no value"
        raise InputError("X", value, "leave it out, or use numpy3D")
    names = [f"var_{c}" for c in range(X.shape[2])]
    if kind == "nested_univ":
        cells = {
            name: [pd.Series(row[:n, c]) for row, n in zip(X, lengths, strict=True)]
            for c, name in enumerate(names)
        }
        return pd.DataFrame(cells)
    sample = np.repeat(np.arange(len(X)), lengths)
    step = np.concatenate([np.arange(n) for n in lengths])
    index = pd.MultiIndex.from_arrays([sample, step], names=["instances", "timepoints"])
    return pd.DataFrame(np.asarray(X)[sample, step], index=index, columns=names)


def _names(columns: str | Sequence[str] | None) -> list[str]:
    return [] if columns is None else [columns] if isinstance(columns, str) else list(columns)


def _known(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    for column in columns:
        if column not in frame.columns:
            raise InputError(
                "columns", column, nearest(str(column), [str(c) for c in frame.columns])
            )


def _numbers(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.float64]:
    try:
        return frame[list(columns)].to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise InputError(
            "values", f"columns {list(columns)[:5]}", f"pass numbers ({error})"
        ) from None
