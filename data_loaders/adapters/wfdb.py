"""WFDB records held in memory as containers, with a signal's windows as samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import as_list
from data_loaders.container.windows import cut_windows
from data_loaders.signals import MAX_RATE, MIN_RATE
from tscl.errors import InputError, check_choice


def from_wfdb_record(
    record: Any,
    *,
    patient: str | int,
    label: str | int | None = None,
    label_names: Sequence[str] | None = None,
    leads: Sequence[str] | None = None,
    window: int | None = None,
    overlap: float = 0.0,
    name: str = "record",
) -> MedicalDataset:
    """A container of one ``wfdb.Record`` in the record's own unit; gaps stay NaN.

    Args:
        record: as ``wfdb.rdrecord`` gives it, with physical (``p_signal``) or digital
            (``d_signal``) values.
        patient: the patient's id.
        label: class code or name; None leaves it unknown.
        label_names: name of each class code.
        leads: names to take, in order; by default all.
        window: steps of a sample; by default the whole record is one.
        overlap: see :func:`data_loaders.container.windows.cut_windows`.
        name: of the data set.

    Raises:
        InputError: no signal, names or sampling rate, an unknown lead, or a window that does not
            fit.
    """
    signal = getattr(record, "p_signal", None)
    if signal is None and getattr(record, "d_signal", None) is not None:
        signal = record.dac()
    if signal is None or np.ndim(signal) != 2 or 0 in np.shape(signal):
        raise InputError("record", type(record).__name__, "pass a wfdb.Record with its signal")
    names = [str(name) for name in getattr(record, "sig_name", None) or ()]
    if len(names) != np.shape(signal)[1]:
        remedy = f"name each of the {np.shape(signal)[1]} signals"
        raise InputError("record.sig_name", names or None, remedy)
    rate = getattr(record, "fs", None)
    if not isinstance(rate, int | float | np.number) or not MIN_RATE <= float(rate) <= MAX_RATE:
        raise InputError("record.fs", rate, "set it to the sampling rate in Hz")
    chosen = names if leads is None else as_list("leads", leads)
    for name in chosen:
        check_choice("leads", name, names)
    series = np.asarray(signal)[None, :, [names.index(name) for name in chosen]]
    X = series if window is None else cut_windows(series, window, overlap)
    return MedicalDataset(
        X,
        None if label is None else [label] * len(X),
        [patient] * len(X),
        [str(record.record_name)] * len(X),
        float(rate),
        label_names=label_names,
        channel_names=chosen,
        name=name,
        source={"kind": "wfdb.Record", "window": window, "overlap": overlap},
        trial_scope="patient",
        allow_nan=True,
    )
