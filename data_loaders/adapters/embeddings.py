"""Embeddings back to tables that know patient, trial and time: pandas and xarray."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import LABEL, RATE_TOLERANCE, as_list
from data_loaders.container.windows import series_lengths
from tscl.errors import InputError, MissingExtraError

SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}
"""Units of a time coordinate, ``time.attrs["units"]``, in seconds."""


def embeddings_to_frame(
    embeddings: NDArray[np.floating[Any]], data: MedicalDataset
) -> pd.DataFrame:
    """Embeddings as a frame indexed by (patient, trial, sample), and time (s) of one a step.

    Args:
        embeddings: (n, D), or (n, T, D) for every step of ``data``; steps after a sample's last
            value are left out.
        data: what was encoded.

    Raises:
        InputError: embeddings that do not fit ``data``, or are no numbers.
    """
    embeddings = _checked(embeddings, data)
    names = ["patient", "trial", "sample"]
    sample = np.arange(len(data))
    if embeddings.ndim == 2:
        index = pd.MultiIndex.from_arrays([data.patient, data.trial, sample], names=names)
        return pd.DataFrame(embeddings, index=index, columns=_dims(embeddings))
    lengths = series_lengths(np.asarray(data.X))
    sample = np.repeat(sample, lengths)
    step = np.concatenate([np.arange(n) for n in lengths])
    levels = [data.patient[sample], data.trial[sample], sample, step / data.sampling_rate[sample]]
    index = pd.MultiIndex.from_arrays(levels, names=[*names, "time"])
    return pd.DataFrame(embeddings[sample, step], index=index, columns=_dims(embeddings))


def embeddings_to_xarray(embeddings: NDArray[np.floating[Any]], data: MedicalDataset) -> Any:
    """Embeddings as a DataArray with dimensions sample, time (of (n, T, D)) and embedding.

    ``patient``, ``trial`` and ``label`` are coordinates of sample, ``time`` is in seconds.

    Raises:
        InputError: embeddings that do not fit ``data``, or samples of several rates.
        MissingExtraError: xarray is not installed.
    """
    embeddings = _checked(embeddings, data)
    dims = ("sample", "embedding") if embeddings.ndim == 2 else ("sample", "time", "embedding")
    return _array(
        embeddings, data, dims, {"embedding": _dims(embeddings)}, timed=embeddings.ndim == 3
    )


def to_xarray(data: MedicalDataset) -> Any:
    """The series as a DataArray (sample, time, channel) with ids as coordinates of sample.

    Raises:
        InputError: samples of several rates. MissingExtraError: xarray is not installed.
    """
    names = {"channel": list(data.channel_names)}
    return _array(np.asarray(data.X), data, ("sample", "time", "channel"), names, timed=True)


def from_xarray(array: Any, *, sampling_rate: float | None = None) -> MedicalDataset:
    """A container of a DataArray with dimensions sample, time and channel, in any order.

    Args:
        array: ``patient`` is a coordinate of sample; ``trial`` and ``label`` may be. Names of
            class codes are read from ``attrs["label_names"]`` of ``label``, a list or JSON text.
        sampling_rate: Hz; by default from the ``time`` coordinate: dates, durations, or numbers
            in seconds or the ``units`` of its attributes (``ms``, ...).

    Raises:
        InputError: no DataArray, a missing dimension or coordinate, unknown units, or uneven
            times. MissingExtraError: xarray is not installed.
    """
    xarray = _xarray()
    if not isinstance(array, xarray.DataArray):
        held = f", one of {sorted(map(str, array))}" if isinstance(array, xarray.Dataset) else ""
        raise InputError("array", type(array).__name__, f"pass an xarray.DataArray{held}")
    if set(array.dims) != {"sample", "time", "channel"}:
        raise InputError("array.dims", array.dims, "pass dimensions sample, time and channel")
    ordered = array.transpose("sample", "time", "channel")
    if "patient" not in ordered.coords:
        raise InputError("array.coords", list(ordered.coords), "add patient along sample")

    def column(name: str) -> NDArray[Any] | None:
        return np.asarray(ordered.coords[name].values) if name in ordered.coords else None

    trial = column("trial")
    names = column("channel")
    return MedicalDataset(
        np.asarray(ordered.values),
        column("label"),
        np.asarray(ordered.coords["patient"].values),
        np.arange(ordered.sizes["sample"]) if trial is None else trial,
        _rate(ordered.coords.get("time")) if sampling_rate is None else sampling_rate,
        label_names=_label_names(ordered.coords.get("label")),
        channel_names=None if names is None else [str(name) for name in names],
        name=str(ordered.name or "xarray"),
        source={"kind": "xarray"},
        allow_nan=True,
    )


def _xarray() -> Any:
    """The optional package."""
    try:
        import xarray
    except ImportError:
        raise MissingExtraError("xarray", "xarray") from None
    return xarray


def _label_names(label: Any) -> list[str] | None:
    """Names of class codes from the attributes of ``label``: a list, or one as JSON text."""
    named = None if label is None else label.attrs.get("label_names")
    if isinstance(named, str):
        try:
            named = json.loads(named)
        except ValueError:
            raise InputError("label_names", named, "give a list of names, or one as JSON") from None
    return None if named is None else [str(name) for name in as_list("label_names", named)]


def _rate(time: Any) -> float:
    """Hz of a time coordinate, whose steps must be even."""
    values = None if time is None else np.asarray(time.values)
    if values is None or values.size < 2 or values.dtype.kind not in "fiumM":
        raise InputError("sampling_rate", None, "give it, or a time coordinate in seconds")
    units = time.attrs.get("units", "s")
    if values.dtype.kind in "mM":
        seconds = (values - values[0]) / np.timedelta64(1, "s")
    elif str(units) in SECONDS:
        seconds = (values - values[0]) * SECONDS[str(units)]
    else:
        remedy = f"give sampling_rate, or units among {', '.join(SECONDS)}"
        raise InputError("time.units", units, remedy)
    steps = np.diff(seconds)
    if not (steps > 0).all() or np.ptp(steps) > 1e-6 * steps.mean() + 1e-12:
        raise InputError("time", "uneven steps", "resample first, or give sampling_rate")
    rate = float(len(steps) / seconds[-1])
    short = float(f"{rate:.7g}")  # 100 where steps of 0.01 give 100.00000000000001
    return short if abs(short - rate) <= RATE_TOLERANCE * rate else rate


def _array(
    values: NDArray[Any],
    data: MedicalDataset,
    dims: tuple[str, ...],
    names: dict[str, list[str]],
    *,
    timed: bool,
) -> Any:
    xarray = _xarray()
    # As one text: not every kind of netCDF file takes a list of them.
    named = {"label_names": json.dumps(list(data.label_names))} if data.label_names else {}
    coords: dict[str, Any] = {
        "sample": np.arange(len(data)),
        "patient": ("sample", data.patient),
        "trial": ("sample", data.trial),
        **_label_coords(data, named),
        **names,
    }
    if timed:
        if len(np.unique(data.sampling_rate)) > 1:
            raise InputError("sampling_rate", "several", "xarray has one time axis; split by rate")
        seconds = np.arange(data.n_timesteps) / data.sampling_rate[0]
        coords["time"] = ("time", seconds, {"units": "s"})
    return xarray.DataArray(values, dims=dims, coords=coords, name=data.name)


def _label_coords(data: MedicalDataset, named: dict[str, str]) -> dict[str, Any]:
    """``label``, or a coordinate ``label: NAME`` for each of several labels."""
    if data.label_kind != "multilabel":
        return {"label": ("sample", data.label, named)}
    columns = zip(data.label_names, data.label.T, strict=True)
    return {f"{LABEL}{name}": ("sample", values) for name, values in columns}


def _dims(embeddings: NDArray[Any]) -> list[str]:
    return [f"embedding{i}" for i in range(embeddings.shape[-1])]


def _checked(embeddings: Any, data: MedicalDataset) -> NDArray[Any]:
    if not isinstance(data, MedicalDataset):
        raise InputError("data", type(data).__name__, "pass the MedicalDataset that was encoded")
    remedy = f"pass ({len(data)}, D) or ({len(data)}, {data.n_timesteps}, D)"
    try:
        array = np.asarray(embeddings)
    except (TypeError, ValueError):
        array = np.empty((), object)
    if array.dtype.kind not in "fiub":
        raise InputError("embeddings", f"{type(embeddings).__name__} of no numbers", remedy)
    fits = array.ndim in (2, 3) and len(array) == len(data)
    if not fits or (array.ndim == 3 and array.shape[1] != data.n_timesteps):
        raise InputError("embeddings", array.shape, remedy)
    return array
