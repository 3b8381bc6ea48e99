"""Whole recordings of unequal length: one flat array, and a table with one row a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.fields import (
    as_channels,
    as_columns,
    as_ids,
    as_labels,
    as_rates,
    check_trials,
)
from data_loaders.container.recordings_fields import (
    MISSING,
    as_places,
    as_values,
    int16_unit,
    per_channel,
    signal_figures,
    to_int16,
)
from data_loaders.container.recordings_storage import load_fields, save_recordings
from data_loaders.container.recordings_windows import Windows
from data_loaders.container.rows import RowView, chosen_rows
from data_loaders.container.standardize import ChannelStats, figures_of
from data_loaders.record_log import RecordLog
from tscl.errors import DataError, InputError, check_choice


class Recordings:
    """Recordings kept whole, each with its own length; crops and windows are read from them.

    A value in physical units is ``values * scale + shift``, with a scale and a shift for each
    recording and channel, so recordings are standardised and chosen without touching the values.

    Args:
        values: (total steps, n_channels) int16 or float32, the recordings one after the other. A
            memory map stays on disk. Missing values are -32768 in int16, NaN in float32.
        lengths: (n,) steps of each recording, 1 or more.
        sampling_rate: Hz, of all recordings.
        label: (n,) class codes from 0, or names; -1 or missing where unknown. None: all unknown.
        patient: (n,) strings or integers; None: each recording is a patient of its own.
        trial: (n,) strings or integers; None: each recording is a trial of its own.
        record: (n,) names; None numbers them.
        starts: (n,) first step of each recording in ``values``; None: they follow one another.
        scale: one number, (n,) or (n, n_channels): unit of the stored values.
        shift: as ``scale``: what a stored zero stands for.
        label_names: name of each class code; by default the names found in ``label``.
        channel_names: (n_channels,); by default ``ch0``, ``ch1``, ...
        name: what the data are called in reports.
        source: where the data come from and how they were prepared; plain JSON values.
        columns: further values per recording, such as an official fold; each (n,).
        trial_scope: see :class:`MedicalDataset`.
        log: outcome of every record the data were read from.

    Raises:
        InputError: another type or rank, no recordings, lengths that do not fit into ``values``,
            infinite values (looked for in memory only), a trial id shared by two patients.

    Attributes:
        starts, lengths: (n,) int64.
        scale, shift: (n, n_channels) float32.
        label: (n,) int64, -1 where unknown.
        record, patient, trial: (n,) int64 or strings.
        patient_codes, trial_codes: (n,) int64, numbered by sorted id.

    Example:
        >>> data = Recordings.from_arrays([np.zeros((300, 1)), np.ones((450, 1))], 100.0)
        >>> data.crops(np.array([1]), np.array([200]), 250).shape
        (1, 250, 1)
    """

    def __init__(
        self,
        values: np.ndarray,
        lengths: Sequence[int] | np.ndarray,
        sampling_rate: float,
        *,
        label: Sequence[Any] | np.ndarray | None = None,
        patient: Sequence[Any] | np.ndarray | None = None,
        trial: Sequence[Any] | np.ndarray | None = None,
        record: Sequence[Any] | np.ndarray | None = None,
        starts: Sequence[int] | np.ndarray | None = None,
        scale: Any = 1.0,
        shift: Any = 0.0,
        label_names: Sequence[str] | None = None,
        channel_names: Sequence[str] | None = None,
        name: str = "recordings",
        source: Mapping[str, Any] | None = None,
        columns: Mapping[str, Any] | pd.DataFrame | None = None,
        trial_scope: str = "global",
        log: RecordLog | None = None,
    ) -> None:
        self.values, self.on_disk = as_values(values)
        self.starts, self.lengths = as_places(starts, lengths, len(self.values))
        n, channels = len(self.lengths), self.values.shape[1]
        self.scale = per_channel("scale", scale, n, channels)
        self.shift = per_channel("shift", shift, n, channels)
        self.sampling_rate = float(as_rates(sampling_rate, 1, False)[0])
        self.label, self.label_names = as_labels(label, label_names, n)
        self.record = np.arange(n) if record is None else as_ids("record", record, n)
        self.patient = self.record if patient is None else as_ids("patient", patient, n)
        trials = np.arange(n) if trial is None else as_ids("trial", trial, n)
        if trial is None and record is not None and len(np.unique(self.record)) == n:
            trials = self.record
        self.trial = check_trials(self.patient, trials, trial_scope)
        self.channel_names = as_channels(channel_names, channels)
        self.name, self.source, self.log = str(name), dict(source or {}), log
        self.columns = as_columns(columns, n)
        if "record" in self.columns:
            raise InputError("columns", "record", "pass it as record=")
        self._number()

    def _number(self) -> None:
        self.patient_codes = np.unique(self.patient, return_inverse=True)[1].astype(np.int64)
        self.trial_codes = np.unique(self.trial, return_inverse=True)[1].astype(np.int64)

    def _with(self, index: np.ndarray | None = None, **fields: Any) -> Recordings:
        """A copy with other fields, or fewer rows, over the same values."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.source = dict(self.source)
        if index is not None:
            rows = ("starts", "lengths", "scale", "shift", "label", "record", "patient", "trial")
            for field in rows:
                setattr(new, field, getattr(self, field)[index])
            new.columns = self.columns.iloc[index].reset_index(drop=True)
            new._number()
        new.__dict__.update(fields)
        return new

    # -- what it holds ---------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_channels(self) -> int:
        """Channels of every recording."""
        return int(self.values.shape[1])

    @property
    def seconds(self) -> np.ndarray:
        """Duration of each recording, (n,) float64."""
        result: np.ndarray = np.asarray(self.lengths / self.sampling_rate)
        return result

    @property
    def table(self) -> pd.DataFrame:
        """One row a recording: label, patient, trial, sampling_rate, record, steps, and further
        columns; what splitters take."""
        fixed = pd.DataFrame(
            {
                "label": self.label,
                "patient": self.patient,
                "trial": self.trial,
                "sampling_rate": self.sampling_rate,
                "record": self.record,
                "steps": self.lengths,
            }
        )
        table = pd.concat([fixed, self.columns.drop(columns="steps", errors="ignore")], axis=1)
        table.attrs["label_names"] = list(self.label_names)
        return table

    def label_name(self, code: int) -> str:
        """Name of a class code; ``unlabelled`` for -1."""
        return "unlabelled" if code < 0 else self.label_names[code]

    def __repr__(self) -> str:
        codes, counts = np.unique(self.label, return_counts=True)
        labels = ", ".join(
            f"{self.label_name(int(c))} {k}" for c, k in zip(codes, counts, strict=True)
        )
        seconds = self.seconds
        return (
            f"Recordings({self.name!r}: {len(self)} recordings of {seconds.min():.3g} to "
            f"{seconds.max():.3g} s, {seconds.sum() / 3600:.3g} h, {self.n_channels} channels at "
            f"{self.sampling_rate:g} Hz, {self.values.dtype}, {len(np.unique(self.patient_codes))} "
            f"patients; {labels}{'; on disk' if self.on_disk else ''})"
        )

    # -- values ----------------------------------------------------------------------------

    def __getitem__(self, row: int) -> np.ndarray:
        """One recording in physical units, (steps, n_channels) float32."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"recording {row} of {len(self)}")
        row = int(row) % len(self)
        start = int(self.starts[row])
        raw = self.values[start : start + int(self.lengths[row])]
        result: np.ndarray = self._physical(raw[None], np.asarray([row]))[0]
        return result

    def crops(
        self, rows: np.ndarray, starts: np.ndarray, length: int, *, wrap: bool = False
    ) -> np.ndarray:
        """Pieces of ``length`` steps, read in one go.

        Args:
            rows: (k,) recordings.
            starts: (k,) first step in the recording; may be negative or reach beyond its end.
            length: steps of every piece, 1 or more.
            wrap: repeat the recording outside its range; otherwise steps there are NaN.

        Returns:
            (k, length, n_channels) float32 in physical units.
        """
        short = self.values.dtype == np.int16
        fill = MISSING if short else np.nan
        raw = np.full((len(rows), length, self.n_channels), fill, self.values.dtype)
        first, steps = self.starts[rows].tolist(), self.lengths[rows].tolist()
        values = self.values
        for k, (begin, n, start) in enumerate(zip(first, steps, starts.tolist(), strict=True)):
            if start >= 0 and start + length <= n:
                raw[k] = values[begin + start : begin + start + length]
            elif wrap:
                raw[k] = values[begin + (start + np.arange(length)) % n]
            else:
                low, high = max(start, 0), min(start + length, n)
                if low < high:
                    raw[k, low - start : high - start] = values[begin + low : begin + high]
        return self._physical(raw, np.asarray(rows))

    def _physical(self, raw: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Stored values (k, T, C) of ``rows`` in physical units, float32."""
        out = raw * self.scale[rows][:, None]
        out += self.shift[rows][:, None]
        if raw.dtype == np.int16:
            missing = raw == MISSING
            if missing.any():
                out[missing] = np.nan
        result: np.ndarray = out
        return result

    def windows(self, length: int, stride: int | None = None) -> Windows:
        """All windows of the recordings, for evaluation; see :class:`Windows`.

        Args:
            length: steps of a window.
            stride: steps from one window to the next; None: ``length``. The last window of a
                recording ends with it; one that is shorter than ``length`` is a single window
                that ends in NaN.

        Raises:
            InputError: a length or stride below 1.
        """
        return Windows(self, length, stride)

    def standardize(self, per: str | ChannelStats = "recording") -> Recordings:
        """Zero mean and unit variance of each channel, by new scales over the same values.

        Args:
            per: ``"recording"`` uses each recording's own figures; a :class:`ChannelStats`
                applies figures fitted on training patients.
        """
        if isinstance(per, ChannelStats):
            if len(per.mean) != self.n_channels:
                remedy = f"fit it on data of {self.n_channels} channels"
                raise InputError("stats", f"{len(per.mean)} channels", remedy)
            mean, std = np.asarray(per.mean), np.asarray(per.std)
        elif per == "recording":
            figures = [signal_figures(self[row]) for row in range(len(self))]
            mean, std = (np.stack(part) for part in zip(*figures, strict=True))
        else:
            raise InputError("per", per, "choose 'recording', or pass a fitted ChannelStats")
        return self._with(
            scale=(self.scale / std).astype(np.float32),
            shift=((self.shift - mean) / std).astype(np.float32),
        )

    def channel_stats(self) -> ChannelStats:
        """Mean and deviation of each channel over all values present, for :meth:`standardize`."""
        signals = partial(map, self.__getitem__, range(len(self)))
        mean, std, _ = figures_of(signals, self.n_channels)
        return ChannelStats(mean, std, len(self), tuple(np.unique(self.patient).tolist()))

    # -- parts -----------------------------------------------------------------------------

    def subset(self, which: Sequence[Any] | np.ndarray) -> Recordings:
        """The recordings at ``which``, indices or a boolean mask; the values are shared.

        Raises:
            InputError: nothing chosen, a mask of another length, an index out of range.
        """
        return self._with(chosen_rows(which, len(self), "recording"))

    # -- from and to other forms -----------------------------------------------------------

    @classmethod
    def from_arrays(
        cls,
        arrays: Iterable[np.ndarray],
        sampling_rate: float,
        *,
        store: str = "int16",
        **fields: Any,
    ) -> Recordings:
        """Recordings from one array each.

        Args:
            arrays: (steps, n_channels) each, NaN where missing; read one by one.
            sampling_rate: Hz.
            store: ``"int16"``: half the memory, with a unit for each recording and channel of its
                largest absolute value over 32767; ``"float32"``: as they are.
            fields: the other arguments of :class:`Recordings`, except values, lengths and scale.

        Raises:
            InputError: arrays of different channels, an infinite value, or another ``store``.
        """
        check_choice("store", store, ("int16", "float32"))
        stored: list[np.ndarray] = []
        units: list[np.ndarray] = []
        for k, given in enumerate(arrays):
            array = np.asarray(given, np.float32)
            if (
                array.ndim != 2
                or len(array) == 0
                or (stored and array.shape[1] != stored[0].shape[1])
            ):
                remedy = "give (steps, n_channels), the same channels in all"
                raise InputError(f"arrays[{k}]", f"shape {array.shape}", remedy)
            if np.isinf(array).any():
                raise InputError(f"arrays[{k}]", "infinite values", "write NaN where missing")
            unit = int16_unit(array) if store == "int16" else np.ones(array.shape[1], np.float32)
            units.append(unit)
            stored.append(to_int16(array, unit) if store == "int16" else array)
        if not stored:
            raise InputError("arrays", "none", "give at least one recording")
        lengths = [len(array) for array in stored]
        return cls(np.concatenate(stored), lengths, sampling_rate, scale=np.stack(units), **fields)

    @classmethod
    def from_dataset(cls, data: MedicalDataset) -> Recordings:
        """Each sample of ``data`` as a recording, over the same values; steps at a sample's end
        that are all NaN are left off.

        Raises:
            InputError: samples of several sampling rates.
        """
        steps, rows = data.n_timesteps, np.arange(len(data))
        if isinstance(data.X, RowView):
            base, rows = data.X.base, data.X.index
        else:
            base = data.X
        lengths = np.full(len(data), steps)
        if data.allow_nan:
            for row in range(len(data)):
                present = np.flatnonzero(~np.isnan(data.X[row]).all(axis=1))
                lengths[row] = present[-1] + 1 if len(present) else 1
        single = len(np.unique(data.trial_codes)) == len(data)
        names = data.columns.get("record")
        record = data.trial if single else np.arange(len(data))
        return cls(
            base.reshape(-1, data.n_channels),
            lengths,
            as_rates(data.sampling_rate, len(data), False)[0],
            starts=rows * steps,
            label=data.label,
            label_names=data.label_names,
            patient=data.patient,
            trial=data.trial,
            record=record if names is None else names.to_numpy(),
            channel_names=data.channel_names,
            name=data.name,
            source=data.source,
            columns=data.columns.drop(columns="record", errors="ignore"),
            log=data.log,
        )

    def to_dataset(self, length: int | None = None, stride: int | None = None) -> MedicalDataset:
        """Windows of the recordings as a :class:`MedicalDataset` in memory.

        Args:
            length: steps of a window; None: the longest recording's, one sample a recording.
            stride: see :meth:`windows`.

        Returns:
            Samples with the label, patient, trial and columns of their recording, and its name in
            the column ``record``; NaN where values are missing or a recording has ended.
        """
        windows = self.windows(int(self.lengths.max()) if length is None else length, stride)
        rows = windows.row
        columns = self.columns.iloc[rows].reset_index(drop=True).assign(record=self.record[rows])
        return MedicalDataset(
            np.asarray(windows),
            self.label[rows],
            self.patient[rows],
            self.trial[rows],
            self.sampling_rate,
            label_names=self.label_names,
            channel_names=self.channel_names,
            name=self.name,
            source=self.source,
            columns=columns,
            allow_nan=True,
            log=self.log,
        )

    # -- files -----------------------------------------------------------------------------

    def save(self, directory: str | Path, *, overwrite: bool = False) -> Path:
        """Write values.npy, places.npz, table.parquet and recordings.json in one step.

        Only the recordings held are written. ``overwrite`` replaces earlier recordings; a folder
        of anything else is an error.
        """
        return save_recordings(self, Path(directory), overwrite=overwrite)

    @classmethod
    def load(
        cls, directory: str | Path, *, in_memory: bool = False, verify: bool = True
    ) -> Recordings:
        """Read what :meth:`save` wrote; values stay on disk unless ``in_memory``.

        Args:
            directory: the folder.
            in_memory: read the values now instead of mapping the file.
            verify: compare the SHA-256 sums (reads the whole file once).
        """
        fields = load_fields(Path(directory), in_memory=in_memory, verify=verify)
        try:
            return cls(**fields)
        except InputError as error:
            raise DataError(str(directory), error, "write the recordings again") from None
