"""The container of clinical series: samples, their labels, patients and trials."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from data_loaders.container.fields import (
    FIXED,
    LABEL,
    as_channels,
    as_columns,
    as_ids,
    as_labels,
    as_rates,
    as_samples,
    check_trials,
    count_labels,
    known_labels,
    label_kind,
)
from data_loaders.container.relabel import labels_from
from data_loaders.container.rows import (
    Rows,
    RowView,
    chosen_rows,
    find_non_finite,
    row_digests,
    same_recordings,
    take_rows,
)
from data_loaders.container.standardize import ChannelStats, apply_stats, standardize_groups
from data_loaders.record_log import RecordLog
from tscl.errors import InputError, check_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MedicalDataset:
    """Samples cut from trials of patients.

    Args:
        X: (n_samples, n_timesteps, n_channels). Kept as it is when float32 (a memory-mapped
            array stays on disk), otherwise converted to float32, or to float64 where float32
            would lose the differences (a large level). Masked values become NaN.
        label: (n,) class codes from 0, or names; -1 or missing (None, NaN, an empty
            text) where unknown. (n, L): several labels a sample, each 0, 1 or NaN (unknown).
        patient: (n,) strings or integers.
        trial: (n,) strings or integers.
        sampling_rate: Hz, one number or (n,).
        label_names: name of each class code; by default the names found in ``label``. Of several
            labels the L names, by default the columns of a frame.
        label_kind: ``"target"`` takes ``label`` as numbers to predict, such as an age (NaN:
            unknown). By default two dimensions are several labels and one is classes.
        channel_names: (n_channels,); by default ``ch0``, ``ch1``, ...
        name: what the data are called in reports.
        source: where the data come from and how they were cut; plain JSON values, no names or
            dates of people.
        columns: further values per sample, such as an official fold, age or site; each (n,). They
            stand in :attr:`table`, for splits, levels and subgroups.
        trial_scope: ``"global"``: a trial id names one trial of one patient; ``"patient"``: ids
            count within a patient and are stored as ``patient/trial``.
        allow_nan: let NaN pass as missing values (infinities never pass).
        allow_mixed_rates: let samples of several rates stand together.
        log: outcome of every record the data were read from.

    Raises:
        InputError: wrong rank or length, no samples, values that are not finite, rates that are
            mixed or not positive, a trial id shared by two patients, labels out of range.

    Attributes:
        X: (n, T, C) float32, or float64 of a large level.
        label: (n,) int64, -1 where unknown; (n, L) float32 or (n,) float64 with NaN where unknown.
        patient: (n,) int64 or strings.
        trial: (n,) int64 or strings; one id never spans two patients.
        sampling_rate: (n,) float64.
        patient_index: (n,) int64, patients numbered by sorted id.
        trial_index: (n,) int64, trials numbered by sorted id.
    """

    def __init__(
        self,
        X: Rows,
        label: Sequence[Any] | np.ndarray | None,
        patient: Sequence[Any] | np.ndarray,
        trial: Sequence[Any] | np.ndarray,
        sampling_rate: float | Sequence[float] | np.ndarray,
        *,
        label_names: Sequence[str] | None = None,
        label_kind: str | None = None,
        channel_names: Sequence[str] | None = None,
        name: str = "dataset",
        source: Mapping[str, Any] | None = None,
        columns: Mapping[str, Any] | pd.DataFrame | None = None,
        trial_scope: str = "global",
        allow_nan: bool = False,
        allow_mixed_rates: bool = False,
        log: RecordLog | None = None,
    ) -> None:
        self.X = as_samples(X)
        n, _, n_channels = self.X.shape
        self.label, self.label_names = as_labels(label, label_names, n, label_kind)
        self.patient = as_ids("patient", patient, n)
        trial_ids = as_ids("trial", trial, n)
        self.trial = check_trials(self.patient, trial_ids, trial_scope)
        self.sampling_rate = as_rates(sampling_rate, n, allow_mixed_rates)
        self.channel_names = as_channels(channel_names, n_channels)
        self.name = str(name)
        self.source: dict[str, Any] = dict(source or {})
        self.columns = as_columns(columns, n)
        self.allow_nan = allow_nan
        self.allow_mixed_rates = allow_mixed_rates
        self.log = log
        self._digests: np.ndarray | None = None
        count, first = find_non_finite(self.X, allow_nan=allow_nan)
        if count:
            kind = "infinite" if allow_nan else "NaN or infinite"
            raise InputError(
                "X",
                f"{count} {kind} values, first in sample {first} (patient {self.patient[first]})",
                "fill or leave out the gaps" + ("" if allow_nan else ", or pass allow_nan=True"),
            )
        self._number()

    def _number(self) -> None:
        self.patient_index = np.unique(self.patient, return_inverse=True)[1].astype(np.int64)
        self.trial_index = np.unique(self.trial, return_inverse=True)[1].astype(np.int64)

    @property
    def patient_codes(self) -> np.ndarray:
        """Earlier name of ``patient_index``."""
        return self.patient_index

    @property
    def trial_codes(self) -> np.ndarray:
        """Earlier name of ``trial_index``."""
        return self.trial_index

    def _with(self, X: Rows | None = None, index: np.ndarray | None = None) -> MedicalDataset:
        """A copy of the checked fields, with other values or fewer rows (values not rescanned)."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.source = dict(self.source)
        if X is not None:
            new.X = X
        if index is not None:
            for field in FIXED:
                setattr(new, field, getattr(self, field)[index])
            if self._digests is not None:
                new._digests = self._digests[index]
            new.columns = self.columns.iloc[index].reset_index(drop=True)
            new._number()
        return new

    # -- what it holds ---------------------------------------------------------------------

    def __len__(self) -> int:
        return int(self.X.shape[0])

    @property
    def n_timesteps(self) -> int:
        """Time steps per sample."""
        return int(self.X.shape[1])

    @property
    def n_channels(self) -> int:
        """Channels per sample."""
        return int(self.X.shape[2])

    @property
    def lazy(self) -> bool:
        """True when the values are on disk and read when indexed."""
        return isinstance(self.X, RowView | np.memmap)

    @property
    def label_kind(self) -> str:
        """``"classes"``, ``"multilabel"`` or ``"target"``."""
        return label_kind(self.label)

    @property
    def same_recordings(self) -> list[tuple[Any, Any]]:
        """Pairs of patients under whose names one recording stands, byte for byte.

        Found by whole trials; the values are read once for it. Splits keep such patients on one
        side and the guard refuses a split that does not.
        """
        if self._digests is None:
            self._digests = row_digests(self.X)
        return same_recordings(self._digests, self.patient, self.trial)

    @property
    def table(self) -> pd.DataFrame:
        """One row a sample: label, patient, trial, sampling_rate, and further columns.

        Several labels stand in a column each, ``label: NAME``. ``attrs`` tell the names of the
        labels and, for the splitters, :attr:`same_recordings`.
        """
        fields: dict[str, Any] = {name: getattr(self, name) for name in FIXED}
        if self.label_kind == "multilabel":
            own = dict(zip(self.label_names, fields.pop("label").T, strict=True))
            fields = {f"{LABEL}{name}": values for name, values in own.items()} | fields
        table = pd.concat([pd.DataFrame(fields), self.columns], axis=1)
        table.attrs["label_names"] = list(self.label_names)
        table.attrs["same_recordings"] = self.same_recordings
        return table

    def __repr__(self) -> str:
        rates = "/".join(f"{rate:g}" for rate in np.unique(self.sampling_rate))
        return (
            f"MedicalDataset({self.name!r}: {len(self)} samples x {self.n_timesteps} steps x "
            f"{self.n_channels} channels at {rates} Hz, {len(np.unique(self.patient_index))} "
            f"patients, {len(np.unique(self.trial_index))} trials; "
            f"{count_labels(self.label, self.label_names)}"
            f"{'; on disk' if self.lazy else ''})"
        )

    def label_name(self, code: int) -> str:
        """Name of a class code; ``unlabelled`` for -1."""
        return "unlabelled" if code < 0 else self.label_names[code]

    def label_text(self, row: int) -> str:
        """The label of a sample in words: its class, its labels joined by ``+``, or the number."""
        if not known_labels(self.label[row : row + 1])[0]:
            return "unlabelled"
        if self.label_kind == "multilabel":
            here = zip(self.label_names, self.label[row].tolist(), strict=True)
            return "+".join(name for name, value in here if value == 1) or "none"
        value = self.label[row].item()
        return self.label_name(value) if self.label_kind == "classes" else f"{value:g}"

    def describe(self, by: str = "patient") -> pd.DataFrame:
        """Counts per patient (trials, samples, samples of each label) or per group of samples.

        Args:
            by: ``"patient"``; or ``"label"`` or one of ``columns``, such as site or sex: patients,
                trials and samples of each value.

        Raises:
            InputError: no such column.
        """
        texts = [self.label_text(row) for row in range(len(self))]
        ids = {"patient": self.patient, "trial": self.trial_index, "label": texts}
        frame = pd.DataFrame(ids)
        if by != "patient":
            check_choice("by", by, ("patient", "label", *self.columns))
            values = texts if by == "label" else self.columns[by]
            groups = frame.groupby(pd.Series(values, name=by), dropna=False)
            counts = groups.agg(patients=("patient", "nunique"), trials=("trial", "nunique"))
            return counts.assign(samples=groups.size())
        groups = frame.groupby("patient")
        counts = pd.DataFrame({"trials": groups["trial"].nunique(), "samples": groups.size()})
        classes = pd.crosstab(frame["patient"], frame["label"])
        own = {name: f"label {name}" for name in classes if name in counts}  # such as "trials"
        return counts.join(classes.rename(columns=own))

    # -- parts -----------------------------------------------------------------------------

    def subset(self, which: Sequence[Any] | np.ndarray, *, lazy: bool = False) -> MedicalDataset:
        """The samples at ``which``: indices or a boolean mask of length n.

        With ``lazy`` the values are not copied but read when indexed (for data on disk).

        Raises:
            InputError: nothing chosen, a mask of another length, an index out of range.
        """
        index = chosen_rows(which, len(self), "sample")
        return self._with(take_rows(self.X, index, lazy=lazy), index)

    def with_label(self, columns: str | Sequence[str], kind: str | None = None) -> MedicalDataset:
        """The same samples with a label from :attr:`columns`, such as ``age`` or ``["MI", "CD"]``.

        ``label`` names the present classes, whose names may hold several labels, ``NORM;MI``, or
        be numbers. See :func:`data_loaders.container.relabel.labels_from` for both arguments.

        Raises:
            InputError: no such column, or values that are not of the kind.
        """
        table = self.columns
        if self.label_kind == "classes":
            names = np.asarray([*self.label_names, ""], dtype=object)
            table = table.assign(label=names[self.label])
        new = self._with()
        new.label, new.label_names = labels_from(table, columns, kind)
        return new

    def by_patient(self, ids: object | Iterable[Any], *, lazy: bool = False) -> MedicalDataset:
        """The samples of one patient id or of several.

        Raises:
            InputError: an id that does not occur.
        """
        single = isinstance(ids, str) or not isinstance(ids, Iterable)
        chosen: list[Any] = [ids] if single else list(cast(Iterable[Any], ids))
        wanted = as_ids("ids", chosen, len(chosen))
        if wanted.dtype.kind != self.patient.dtype.kind:
            wanted = wanted.astype(str) if self.patient.dtype.kind == "U" else wanted
        unknown = [
            patient_id
            for patient_id in wanted.tolist()
            if patient_id not in set(self.patient.tolist())
        ]
        if unknown:
            raise InputError("ids", unknown, f"choose among {np.unique(self.patient).tolist()}")
        return self.subset(np.isin(self.patient, wanted), lazy=lazy)

    @classmethod
    def concat(
        cls, parts: Sequence[MedicalDataset], *, name: str | None = None, prefix: bool = False
    ) -> MedicalDataset:
        """Stack data sets of equal length and channels.

        Classes are matched by name, so parts may lack some of them; of several labels those that a
        part does not have are unknown there.

        Args:
            parts: the data sets, in order.
            name: name of the result (default: the first part's).
            prefix: put ``name:`` before patient and trial ids, so equal ids of two sources stay
                two patients. Without it equal patient ids mean the same patient, and equal trial
                ids in two parts are an error.
        """
        return concat(parts, name=name, prefix=prefix)

    # -- values ----------------------------------------------------------------------------

    def standardize(self, per: str | ChannelStats = "trial") -> MedicalDataset:
        """Zero mean and unit variance of each channel, as a new data set in memory.

        Args:
            per: ``"trial"`` or ``"sample"`` use that unit's own figures only; a
                :class:`ChannelStats` applies figures fitted on training patients.
        """
        if isinstance(per, ChannelStats):
            return self._with(apply_stats(self.X, per))
        if per == "trial":
            return self._with(standardize_groups(self.X, self.trial_index))
        if per == "sample":
            return self._with(standardize_groups(self.X, None))
        raise InputError("per", per, "choose 'trial', 'sample', or pass a fitted ChannelStats")

    def hash_patients(
        self, salt: str, *, keep_columns: Sequence[str] = ("strat_fold", "split")
    ) -> MedicalDataset:
        """Patient and trial ids replaced by keyed SHA-256 digests (HMAC, 16 hex digits).

        Further columns are dropped except ``keep_columns``; in the record log the names are
        digests too and the details are empty, since both may point back to a record.

        Raises:
            InputError: a salt of less than 8 characters.
        """
        if len(salt) < 8:
            raise InputError("salt", f"{len(salt)} characters", "give a secret of 8 or more")

        def digest(kind: str, name: object) -> str:
            text = f"{kind}\0{name}".encode()
            return hmac.new(salt.encode(), text, hashlib.sha256).hexdigest()[:16]

        def digests(kind: str, ids: np.ndarray) -> np.ndarray:
            unique, inverse = np.unique(ids, return_inverse=True)
            return np.asarray([digest(kind, name) for name in unique.tolist()])[inverse]

        new = self._with()
        new.patient = digests("patient", self.patient)
        new.trial = digests("trial", self.trial)
        new.columns = self.columns[[c for c in self.columns.columns if c in set(keep_columns)]]
        if self.log is not None:
            new.log = self.log.renamed(lambda record: digest("record", record))
        new._number()
        return new

    def plot_patient(
        self, patient: object, *, channel: int | str = 0, max_trials: int = 8
    ) -> Figure:
        """One panel a trial of a patient: its samples in order, one below the other.

        Args:
            patient: id.
            channel: name or number of the channel that is drawn.
            max_trials: at most so many panels.
        """
        from data_loaders.container.plots import plot_patient

        return plot_patient(self, patient, channel=channel, max_trials=max_trials)

    # -- files -----------------------------------------------------------------------------

    def save(self, directory: str | Path, *, overwrite: bool = False, form: str = "npy") -> Path:
        """Write X.npy (or X.npz), table.parquet and dataset.json with SHA-256 sums in one step.

        Args:
            directory: the folder, made when missing.
            overwrite: replace an earlier data set; a folder of anything else is an error.
            form: ``npy``, or ``npz`` (compressed, read into memory).
        """
        from data_loaders.container.saving import save_dataset

        return save_dataset(self, Path(directory), overwrite=overwrite, form=form)

    @classmethod
    def load(
        cls, directory: str | Path, *, in_memory: bool = False, verify: bool = True
    ) -> MedicalDataset:
        """Read what :meth:`save` wrote.

        Args:
            directory: the folder.
            in_memory: read the values now; by default they stay on disk.
            verify: compare the files with their SHA-256 sums first.
        """
        from data_loaders.container.saving import load_fields

        return cls(**load_fields(Path(directory), in_memory=in_memory, verify=verify))


def concat(
    parts: Sequence[MedicalDataset], *, name: str | None = None, prefix: bool = False
) -> MedicalDataset:
    """Arguments as :meth:`data_loaders.container.dataset.MedicalDataset.concat`.

    Raises:
        InputError: no parts, parts of different length, channels or kind of label, named beside
            numbered classes, mixed rates, or one trial id in two parts.
    """
    if not parts:
        raise InputError("parts", "none", "give at least one data set")
    head = parts[0]
    for part in parts[1:]:
        for field in ("n_timesteps", "channel_names", "label_kind"):
            mine, other = getattr(head, field), getattr(part, field)
            if mine != other:
                raise InputError("parts", f"{field} {mine} and {other}", "make them equal")
    label, label_names = _joined_labels(parts)
    ids = {}
    for field in ("patient", "trial"):
        arrays = [getattr(part, field) for part in parts]
        if prefix:
            arrays = [
                np.asarray([f"{part.name}:{trial}" for trial in array.tolist()])
                for part, array in zip(parts, arrays, strict=True)
            ]
        elif len({array.dtype.kind for array in arrays}) > 1:
            arrays = [array.astype(str) for array in arrays]
        ids[field] = arrays
    seen: set[Any] = set()
    for array in ids["trial"]:
        here = set(array.tolist())
        if seen & here:
            trial = min(seen & here)
            raise InputError("trial", f"id {trial} in two parts", "pass prefix=True or rename")
        seen |= here
    return MedicalDataset(
        np.concatenate([np.asarray(part.X) for part in parts]),
        label,
        np.concatenate(ids["patient"]),
        np.concatenate(ids["trial"]),
        np.concatenate([part.sampling_rate for part in parts]),
        label_names=label_names,
        label_kind=head.label_kind,
        channel_names=head.channel_names,
        name=name or head.name,
        source={"parts": [{"name": part.name, **part.source} for part in parts]},
        columns=pd.concat([part.columns for part in parts], ignore_index=True),
        allow_nan=any(part.allow_nan for part in parts),
        allow_mixed_rates=any(part.allow_mixed_rates for part in parts),
        log=_joined(parts),
    )


def _joined_labels(
    parts: Sequence[MedicalDataset],
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of all parts by one list of names, that of the first part followed by new ones."""
    named = [part.label_names for part in parts if part.label_names]
    numbered = [names == tuple(str(i) for i in range(len(names))) for names in named]
    if any(numbered) and not all(numbered):
        value = f"label_names {named[0]} and {named[numbered.index(not numbered[0])]}"
        raise InputError("parts", value, "give label_names to the part whose classes are numbers")
    names = tuple(dict.fromkeys(name for own in named for name in own))
    place = {name: i for i, name in enumerate(names)}
    labels = []
    for part in parts:
        own = np.asarray([place[name] for name in part.label_names], np.int64)
        if part.label_kind == "multilabel":
            wide = np.full((len(part), len(names)), np.nan, np.float32)
            wide[:, own] = part.label
            labels.append(wide)
        elif part.label_kind == "classes":
            labels.append(np.append(own, -1)[part.label])  # -1 (unknown) finds the last
        else:
            labels.append(part.label)
    return np.concatenate(labels), names


def _joined(parts: Sequence[MedicalDataset]) -> RecordLog | None:
    """The parts' record logs one below the other; None when no part has one."""
    logs = [part.log for part in parts if part.log is not None]
    if not logs:
        return None
    log = RecordLog(logs[0].name)
    for other in logs:
        log.lines += other.lines
    return log
