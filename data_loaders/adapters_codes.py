"""Codes back to tables that know patient, trial and time: pandas and xarray."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders.container import MedicalDataset
from data_loaders.variable_length import series_lengths
from tscl.errors import InputError, MissingExtraError


def codes_to_frame(codes: NDArray[np.floating[Any]], data: MedicalDataset) -> pd.DataFrame:
    """Codes as a frame indexed by (patient, trial, sample), and time (s) where there is one a step.

    Args:
        codes: (n, D), or (n, T, D) for every step of ``data``; steps after a sample's last value
            are left out.
        data: what was encoded.

    Raises:
        InputError: codes that do not fit ``data``.
    """
    _check(codes, data)
    names = ["patient", "trial", "sample"]
    sample = np.arange(len(data))
    if codes.ndim == 2:
        index = pd.MultiIndex.from_arrays([data.patient, data.trial, sample], names=names)
        return pd.DataFrame(codes, index=index, columns=_dims(codes))
    lengths = series_lengths(np.asarray(data.X))
    sample = np.repeat(sample, lengths)
    step = np.concatenate([np.arange(n) for n in lengths])
    levels = [data.patient[sample], data.trial[sample], sample, step / data.sampling_rate[sample]]
    index = pd.MultiIndex.from_arrays(levels, names=[*names, "time"])
    return pd.DataFrame(codes[sample, step], index=index, columns=_dims(codes))


def codes_to_xarray(codes: NDArray[np.floating[Any]], data: MedicalDataset) -> Any:
    """Codes as a DataArray with dimensions sample, time (of (n, T, D) codes) and code.

    ``patient``, ``trial`` and ``label`` are coordinates of sample, ``time`` is in seconds.

    Raises:
        InputError: codes that do not fit ``data``, or samples of several rates.
        MissingExtraError: xarray is not installed.
    """
    _check(codes, data)
    dims = ("sample", "code") if codes.ndim == 2 else ("sample", "time", "code")
    return _array(codes, data, dims, {"code": _dims(codes)}, timed=codes.ndim == 3)


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
        array: ``patient`` is a coordinate of sample; ``trial`` and ``label`` may be.
        sampling_rate: Hz; by default from the ``time`` coordinate in seconds.

    Raises:
        InputError: a missing dimension or coordinate, or uneven times.
    """
    wanted = {"sample", "time", "channel"}
    if set(getattr(array, "dims", ())) != wanted:
        found = getattr(array, "dims", type(array).__name__)
        raise InputError("array.dims", found, "pass dimensions sample, time and channel")
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
        _rate(column("time")) if sampling_rate is None else sampling_rate,
        channel_names=None if names is None else [str(one) for one in names],
        name=str(ordered.name or "xarray"),
        source={"kind": "xarray"},
        allow_nan=True,
    )


def _rate(times: NDArray[Any] | None) -> float:
    if times is None or len(times) < 2 or times.dtype.kind not in "fiu":
        raise InputError("sampling_rate", None, "give it, or a time coordinate in seconds")
    steps = np.diff(times)
    if not (steps > 0).all() or np.ptp(steps) > 1e-6 * steps.mean() + 1e-12:
        raise InputError("time", "uneven steps", "resample first, or give sampling_rate")
    return float(1.0 / steps.mean())


def _array(
    values: NDArray[Any],
    data: MedicalDataset,
    dims: tuple[str, ...],
    names: dict[str, list[str]],
    *,
    timed: bool,
) -> Any:
    try:
        import xarray
    except ImportError:
        raise MissingExtraError("xarray", "xarray") from None
    coords: dict[str, Any] = {
        "sample": np.arange(len(data)),
        "patient": ("sample", data.patient),
        "trial": ("sample", data.trial),
        "label": ("sample", data.label),
        **names,
    }
    if timed:
        if len(np.unique(data.sampling_rate)) > 1:
            raise InputError("sampling_rate", "several", "xarray has one time axis; split by rate")
        coords["time"] = np.arange(data.n_timesteps) / data.sampling_rate[0]
    return xarray.DataArray(values, dims=dims, coords=coords, name=data.name)


def _dims(codes: NDArray[Any]) -> list[str]:
    return [f"code{i}" for i in range(codes.shape[-1])]


def _check(codes: NDArray[Any], data: MedicalDataset) -> None:
    fits = codes.ndim in (2, 3) and len(codes) == len(data)
    if not fits or (codes.ndim == 3 and codes.shape[1] != data.n_timesteps):
        remedy = f"pass ({len(data)}, D) or ({len(data)}, {data.n_timesteps}, D)"
        raise InputError("codes", codes.shape, remedy)
