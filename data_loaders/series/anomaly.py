"""Series with labelled anomalies: Yahoo's S5 and the KPI set, as TS2Vec prepares them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.series.series import read_frame
from tscl.errors import DataError, MissingExtraError

YAHOO = {
    "A1": ("real_*.csv", "timestamp", "is_anomaly"),
    "A2": ("synthetic_*.csv", "timestamp", "is_anomaly"),
    "A3": ("A3Benchmark-TS*.csv", "timestamps", "anomaly"),
    "A4": ("A4Benchmark-TS*.csv", "timestamps", "anomaly"),
}
"""Files of each part of S5 and their columns of times and labels; 67, 100, 100 and 100 series."""
DELAYS: Mapping[str, int] = {"yahoo": 3, "kpi": 7}
"""Steps in which an anomaly has to be found, as in TS2Vec's code: by the hour and by the minute."""
LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class LabelledSeries:
    """One series and its labels in order of time; steps may be missing.

    Attributes:
        name: what it is called.
        values: (T,) float64.
        labels: (T,) int64, 1 where there is an anomaly.
        times: (T,) int64, increasing: seconds, or numbers of steps (Yahoo's A1).

    Raises:
        DataError: unequal lengths, fewer than two steps, missing or infinite values, other labels
            than 0 and 1, a time that stands twice.
    """

    name: str
    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    times: NDArray[np.int64]

    def __post_init__(self) -> None:
        shapes = {self.values.shape, self.labels.shape, self.times.shape}
        again = np.flatnonzero(np.diff(self.times) <= 0)
        faults = {
            "one (T,) each of values, labels and times, T > 1": len(shapes) > 1
            or self.values.ndim != 1
            or len(self.values) < 2,
            "a number at every step": not np.isfinite(self.values).all(),
            "labels 0 and 1": not np.isin(self.labels, (0, 1)).all(),
            f"increasing times, one a step (see step {[*again[:1] + 1]})": len(again) > 0,
        }
        for remedy, wrong in faults.items():
            if wrong:
                raise DataError(self.name, f"shapes {sorted(shapes)}", f"give {remedy}")

    def __len__(self) -> int:
        return len(self.values)


def load_yahoo(folder: str | Path, parts: tuple[str, ...] = tuple(YAHOO)) -> list[LabelledSeries]:
    """Read Yahoo's S5 (Webscope, ydata-labeled-time-series-anomalies-v1_0): 367 series by the hour.

    Args:
        folder: holds ``A1Benchmark`` to ``A4Benchmark``.
        parts: of ``A1`` to ``A4``.

    Raises:
        DataError: a part without files, a file without its columns, or what
            :class:`LabelledSeries` refuses.

    Example:
        >>> folder = Path("S5", "A1Benchmark")
        >>> folder.mkdir(parents=True)
        >>> rows = "timestamp,value,is_anomaly\\n1,0.5,0\\n2,7.5,1\\n"
        >>> _ = (folder / "real_1.csv").write_text(rows)
        >>> load_yahoo("S5", parts=("A1",))[0].labels
        array([0, 1])
    """
    result = []
    for part in parts:
        if part not in YAHOO:
            raise DataError("parts", part, f"choose of {', '.join(YAHOO)}")
        pattern, time, label = YAHOO[part]
        files = sorted((Path(folder) / f"{part}Benchmark").glob(pattern))
        if not files:
            place = Path(folder) / f"{part}Benchmark" / pattern
            raise DataError("folder", place, "no such file: give the folder that S5 unpacks to")
        result += [_series(path.stem, read_frame(path), time, "value", label) for path in files]
    return result


def load_kpi(*paths: str | Path) -> list[LabelledSeries]:
    """Read the KPI set (AIOps challenge 2018, final): series by the minute with missing minutes.

    ``load_kpi("phase2_train.csv", "phase2_ground_truth.hdf")`` gives 29 series of each, named
    ``ID_t1`` and ``ID_t2``: TS2Vec cuts both in halves, so they count as 58.

    Args:
        paths: files with columns ``timestamp``, ``value``, ``label`` and ``KPI ID``: CSV, Parquet,
            or ``.hdf``, which holds pickled text, so read only the published one.

    Raises:
        DataError: a file without its columns, or what :class:`LabelledSeries` refuses.
        MissingExtraError: an HDF file without PyTables.
    """
    result = []
    for number, path in enumerate(map(Path, paths), start=1):
        frame = _read_hdf(path) if path.suffix in (".hdf", ".h5") else read_frame(path)
        _require(frame, path.name, "KPI ID")
        for name, rows in frame.groupby(frame["KPI ID"].astype(str)):
            result.append(_series(f"{name}_t{number}", rows, "timestamp", "value", "label"))
    return result


def stationary_halves(series: LabelledSeries) -> tuple[LabelledSeries, LabelledSeries]:
    """Training and test half as in TS2Vec's preparation (arXiv 2106.10466, appendix).

    Values are differenced until the augmented Dickey-Fuller test finds the first half stationary
    (p <= .05 with one lag and with the usual number), and scaled by the training half.

    Raises:
        DataError: a first half that is constant, or too short to test.
        MissingExtraError: without statsmodels.
    """
    try:
        from statsmodels.tsa.stattools import adfuller  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("statsmodels", "stats") from None
    half = len(series) // 2
    values, times = series.values, 0
    try:
        while any(adfuller(values[:half], lag)[1] > LEVEL for lag in (1, None)):
            values, times = np.diff(values), times + 1
    except ValueError as error:
        remedy = "leave the series out: its first half cannot be tested for stationarity"
        raise DataError(series.name, str(error), remedy) from error
    cut = half - times
    values = (values - values[:cut].mean()) / values[:cut].std()
    labels, stamps = series.labels[times:], series.times[times:]
    parts = (slice(None, cut), slice(cut, None))
    train, test = (LabelledSeries(series.name, values[p], labels[p], stamps[p]) for p in parts)
    return train, test


def _read_hdf(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError("path", path, "no such file: check the path")
    try:
        return pd.DataFrame(pd.read_hdf(path))
    except ImportError:
        raise MissingExtraError("tables", "kpi") from None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise DataError("path", path, f"not an HDF file of pandas ({error})") from error


def _require(frame: pd.DataFrame, name: str, *columns: str) -> None:
    lacking = [column for column in columns if column not in frame]
    if lacking:
        raise DataError(name, f"columns {list(frame)}", f"it lacks {', '.join(lacking)}")


def _series(name: str, frame: pd.DataFrame, time: str, value: str, label: str) -> LabelledSeries:
    _require(frame, name, time, value, label)
    try:
        numbers = frame[[time, value, label]].astype(float).sort_values(time, kind="stable")
    except (ValueError, TypeError) as error:
        raise DataError(name, str(error), "give numbers in all three columns") from error
    whole = numbers[[time, label]].to_numpy()
    if not (np.isfinite(whole).all() and (whole == whole.round()).all()):
        raise DataError(name, "times or labels", "give whole numbers of seconds and 0 or 1")
    times, labels = whole.T.astype(np.int64)
    return LabelledSeries(name, numbers[value].to_numpy(), labels, times)
