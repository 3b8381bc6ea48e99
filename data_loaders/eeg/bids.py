"""EEG laid out as BIDS: subjects, sessions and runs, with their tables of channels and events.

Files are found by mne-bids; signals are read and checked by this package's own readers. The
standard: Pernet et al. 2019, EEG-BIDS, https://doi.org/10.1038/s41597-019-0104-8.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.standardize import standardize_groups
from data_loaders.eeg.participants import find_column, read_participants
from data_loaders.eeg.protocol import EEGProtocol
from data_loaders.eeg.recording import EXTENSIONS, read_eeg
from data_loaders.filters import referenced
from data_loaders.own_recordings import PROTOCOL, further_columns
from data_loaders.protocol import Entry, load_records
from data_loaders.record_log import RecordError, RecordOutcome
from data_loaders.signals import Recording
from data_loaders.vetting.paths import inside
from tscl.errors import DataError, InputError, MissingExtraError, check_choice

BADS = ("keep", "interpolate", "leave_out")
TABLES = ("participants.tsv", "events.tsv")
UNKNOWN = ("", "n/a")


@dataclass(frozen=True)
class EventProtocol(EEGProtocol):
    """Windows around events, each a trial of one sample, in place of trials from the start.

    Attributes:
        event_seconds: a window's begin and end, in seconds from the event's onset.
    """

    event_seconds: tuple[float, float] = (0.0, 1.0)

    def as_source(self) -> dict[str, Any]:
        """See :meth:`EEGProtocol.as_source`."""
        return {**super().as_source(), "event_seconds": list(self.event_seconds)}

    def samples(
        self, recording: Recording, at: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Windows (n, steps, C) that lie within the recording, and the event of each."""
        begin, end = (round(edge * recording.rate) for edge in self.event_seconds)
        first = np.asarray(at, np.int64) + begin
        whole = np.flatnonzero((first >= 0) & (first + end - begin <= len(recording.signal)))
        if not len(whole):
            raise RecordError(recording.name, "too_short", "no window around an event fits in")
        steps = first[whole, None] + np.arange(end - begin)
        values = referenced(recording.signal[steps].astype(np.float32), self.reference)
        if self.standardize == "trial":
            values = standardize_groups(values, None)
        return values, np.arange(len(whole)), whole


def load_bids(
    root: str | Path,
    *,
    task: str | None = None,
    session: str | None = None,
    label: str = "participants.tsv:group",
    label_names: Sequence[str] | None = None,
    events: Sequence[str] | None = None,
    event_seconds: tuple[float, float] = (0.0, 1.0),
    bads: str = "keep",
    name: str = "BIDS",
    cache: str | Path | None = None,
    strict: bool = False,
    **changes: Any,
) -> MedicalDataset:
    """Load the EEG of a BIDS folder: EDF, BDF, BrainVision, FIF or SET.

    A subject is a patient; every session and run is a record, cut into trials. Channels are those
    that ``channels.tsv`` calls EEG, or, without one, by their label. Columns of
    ``participants.tsv`` are kept, as are ``session``, ``task`` and ``run``.

    Args:
        root: folder with ``participants.tsv``.
        task: which task; None takes all.
        session: which session; None takes all.
        label: table and column of the label: ``participants.tsv:COLUMN``, or
            ``events.tsv:COLUMN``, such as ``trial_type``, which labels each event's window.
            ``n/a`` is unknown. A number to predict: see :meth:`MedicalDataset.with_label`.
        label_names: classes in the order of their codes (default: sorted names); others are left
            out, with a line in the log.
        events: values of ``trial_type`` around which windows are cut, each a trial; None cuts
            whole recordings, unless events give the labels: then all of them.
        event_seconds: begin and end of such a window, in seconds from the onset.
        bads: what becomes of channels that ``channels.tsv`` marks bad: ``keep`` notes them in the
            log, ``interpolate`` takes spherical splines over the others at their standard places,
            ``leave_out`` leaves the recording out.
        name: name of the data set.
        cache: folder for the values when memory is short.
        strict: raise on the first bad record instead of leaving it out.
        **changes: fields of :class:`data_loaders.eeg.protocol.EEGProtocol` that differ from
            :data:`data_loaders.own_recordings.PROTOCOL`, such as ``trial_seconds=10``.

    Returns:
        Samples (n, steps, C) in microvolt (or standardised), and ``.log``.

    Raises:
        MissingExtraError: mne-bids is not installed; the extra ``bids``.
        DataError: no table, no such column, task or session, or no record could be used.
        InputError: a change that the protocol does not have, or a ``label`` of no such form.
        RecordError: with ``strict``, the first bad record.
    """
    table, column = _source(label)
    check_choice("bads", bads, BADS)
    protocol = PROTOCOL.changed(changes)
    by_event = events is not None or table == "events.tsv"
    if by_event:
        if not event_seconds[0] < event_seconds[1]:
            raise InputError("event_seconds", event_seconds, "give a begin and a later end")
        values = {field.name: getattr(protocol, field.name) for field in fields(protocol)}
        protocol = EventProtocol(**values, event_seconds=event_seconds)
    folder = _Folder.of(root, task, session)
    people = folder.people(column if table == "participants.tsv" else None)
    if label_names is not None:
        known = tuple(str(label) for label in label_names)
    elif table == "participants.tsv":
        known = tuple(sorted({person[0] for person in people.values()} - {*UNKNOWN}))
    else:
        known = folder.event_names(column, events)

    def read(record: str, line: RecordOutcome, channels: Sequence[str] | None) -> Entry | None:
        path = folder.files.get(record)
        if path is None:
            raise RecordError(record, "missing_signal", "no recording of this subject")
        subject = str(path.subject)
        if subject not in people:
            raise RecordError(record, "bad_metadata", "the subject has no row in participants.tsv")
        text, columns = people[subject]
        if table == "participants.tsv" and text not in (*known, *UNKNOWN):
            line.leave_out("no_label", "none of the classes")
            return None
        at = None
        labels: int | np.ndarray = known.index(text) if text in known else -1
        if by_event:
            own = column if table == "events.tsv" else None
            onset, names = folder.events(path, own, events, known)
            at = onset
            labels = (
                np.asarray([known.index(k) for k in names]) if own else np.full(len(at), labels)
            )
        recording = folder.recording(path, record, protocol.channels or channels, bads)
        if at is not None:
            at = np.round(at * recording.rate).astype(np.int64)
        further = {"session": path.session, "task": path.task, "run": path.run}
        further = {key: str(value or "") for key, value in further.items()}
        columns = {"record": record, **columns, **further}
        return Entry(recording, f"sub-{subject}", labels, at=at, columns=columns)

    return load_records(
        [*folder.files, *folder.silent(people)],
        read,
        protocol,
        name=name,
        label_names=known,
        channels=protocol.channels,
        source={"format": "BIDS", "task": task},
        cache=cache,
        strict=strict,
    )


def _source(label: str) -> tuple[str, str]:
    """Table and column of ``TABLE:COLUMN``."""
    table, _, column = str(label).partition(":")
    if table not in TABLES or not column:
        remedy = "name table and column, such as participants.tsv:group or events.tsv:trial_type"
        raise InputError("label", label, remedy)
    return table, column


@dataclass(frozen=True)
class _Folder:
    """The recordings of a BIDS folder, by record."""

    root: Path
    files: dict[str, Any]

    @classmethod
    def of(cls, root: str | Path, task: str | None, session: str | None) -> _Folder:
        try:
            mne_bids: Any = importlib.import_module("mne_bids")
        except ImportError:
            raise MissingExtraError("mne-bids", "bids") from None
        folder = Path(root)
        if not folder.is_dir():
            raise DataError("root", root, "give the folder of the BIDS data")
        for key, value in (("task", task), ("session", session)):
            if value is not None:
                there = mne_bids.get_entity_vals(folder, key)
                check_choice(key, value, there, error=DataError)
        paths = mne_bids.find_matching_paths(
            folder,
            tasks=task,
            sessions=session,
            datatypes="eeg",
            suffixes="eeg",
            extensions=list(EXTENSIONS),
        )
        by_name = {path.fpath.relative_to(folder).as_posix(): path for path in paths}
        if not by_name:
            raise DataError("root", folder, f"no EEG recording there ({', '.join(EXTENSIONS)})")
        return cls(folder, dict(sorted(by_name.items())))

    def people(self, column: str | None) -> dict[str, tuple[str, dict[str, Any]]]:
        """Label and further columns of every subject; no label without a column."""
        table = read_participants(self.root)
        ids = table[find_column(table, ["participant_id"], "id")].str.strip()
        values = table[find_column(table, [column], "label")].str.strip() if column else ids
        rest = table.drop(columns=ids.name).replace("n/a", "")
        lines = zip(ids, values, further_columns(rest), strict=True)
        return {
            subject.removeprefix("sub-"): (value if column else "", further)
            for subject, value, further in lines
        }

    def silent(self, people: dict[str, Any]) -> list[str]:
        """Subjects of the table without a recording."""
        heard = {str(path.subject) for path in self.files.values()}
        return [f"sub-{subject}" for subject in people if subject not in heard]

    def sidecar(self, path: Any, suffix: str) -> pd.DataFrame | None:
        """A recording's table of channels or events, as text; None where there is none."""
        file = path.find_matching_sidecar(suffix=suffix, extension=".tsv", on_error="ignore")
        if file is None:
            return None
        where = inside(self.root, Path(file).relative_to(self.root).as_posix(), path.basename)
        try:
            return pd.read_csv(where, sep="\t", dtype=str, keep_default_na=False)
        except (ValueError, UnicodeDecodeError) as error:
            raise RecordError(path.basename, "bad_metadata", f"{suffix}.tsv: {error}") from None

    def event_names(self, column: str, events: Sequence[str] | None) -> tuple[str, ...]:
        """Values of a column of all tables of events."""
        tables = (self.sidecar(path, "events") for path in self.files.values())
        there = [frame for frame in tables if frame is not None]
        if not any(column in frame for frame in there):
            names = sorted({str(name) for frame in there for name in frame})
            raise DataError(f"events.tsv: {column}", "no such column", f"it has {names}")
        values = {
            value
            for frame in there
            if column in frame
            for value in frame[_chosen(frame, events)][column].str.strip()
        }
        return tuple(sorted(values - {*UNKNOWN}))

    def events(
        self, path: Any, column: str | None, events: Sequence[str] | None, known: tuple[str, ...]
    ) -> tuple[np.ndarray, list[str]]:
        """Onset in seconds and value of every event that is wanted, in the order of time."""
        frame, record = self.sidecar(path, "events"), str(path.basename)
        needed = ["onset", *([column] if column else []), *(["trial_type"] if events else [])]
        if frame is None or not {*needed} <= {*frame.columns}:
            detail = f"no events.tsv with {', '.join(needed)}"
            raise RecordError(record, "missing_annotation", detail)
        frame = frame[_chosen(frame, events)]
        names = frame[column].str.strip() if column else pd.Series("", index=frame.index)
        frame = frame[names.isin(known)] if column else frame
        onset = pd.to_numeric(frame["onset"], errors="coerce").to_numpy(np.float64)
        if not np.isfinite(onset).all():
            raise RecordError(record, "bad_metadata", "events.tsv: an onset that is no number")
        if not len(onset):
            raise RecordError(record, "no_label", "no event of those wanted")
        order = np.argsort(onset, kind="stable")
        return onset[order], [str(name) for name in names[frame.index].to_numpy()[order]]

    def recording(
        self, path: Any, record: str, wanted: Sequence[str] | None, bads: str
    ) -> Recording:
        """The signal of the EEG channels, with bad ones treated."""
        table = self.sidecar(path, "channels")
        bad: set[str] = set()
        if table is not None and {"name", "type"} <= {*table.columns}:
            kinds = table["type"].str.strip().str.upper()
            if wanted is None:
                wanted = table["name"][kinds == "EEG"].tolist()
                if not wanted:
                    raise RecordError(record, "missing_channel", "channels.tsv names no EEG")
            if "status" in table:
                status = table["status"].str.strip().str.lower()
                bad = {*table["name"][status == "bad"]}
        file = inside(self.root, record, record)
        recording = read_eeg(file, name=record, channels=wanted, check=False)
        used = [name for name in recording.channels if name in bad]
        if not used:
            return recording
        if bads == "leave_out":
            raise RecordError(record, "missing_channel", f"marked bad: {', '.join(used)}")
        return _interpolated(recording, used) if bads == "interpolate" else _noted(recording, used)


def _chosen(frame: pd.DataFrame, events: Sequence[str] | None) -> pd.Series[bool]:
    """Which rows are of the events wanted."""
    if events is None or "trial_type" not in frame:
        return pd.Series(events is None, index=frame.index)
    return frame["trial_type"].str.strip().isin(list(events))


def _noted(recording: Recording, used: list[str], what: str = "kept") -> Recording:
    note = f"marked bad in channels.tsv, {what}: {', '.join(used)}"
    return replace(recording, notes=(*recording.notes, note))


def _interpolated(recording: Recording, used: list[str]) -> Recording:
    """Bad channels as spherical splines over the others (Perrin et al. 1989), by MNE."""
    import mne

    info = mne.create_info(list(recording.channels), recording.rate, "eeg")
    raw = mne.io.RawArray(recording.signal.T.astype(np.float64), info, verbose="error")
    try:
        raw.set_montage("standard_1005", match_case=False, on_missing="raise")
    except ValueError:
        detail = "a channel has no standard place to interpolate from"
        raise RecordError(recording.name, "missing_channel", detail) from None
    raw.info["bads"] = used
    raw.interpolate_bads(reset_bads=True, verbose="error")
    signal = np.ascontiguousarray(raw.get_data().T, np.float32)
    return _noted(replace(recording, signal=signal), used, "interpolated")
