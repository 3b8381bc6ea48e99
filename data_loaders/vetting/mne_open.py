"""Opening EEG files by MNE: checked before, held against their headers, one named error."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from data_loaders.record_log import RecordError
from data_loaders.vetting.arrays import FREE_BYTES, MAX_RATIO
from data_loaders.vetting.eeg_headers import check_brainvision
from data_loaders.vetting.fif import check_fif
from data_loaders.vetting.mat import check_mat
from tscl.errors import MissingExtraError


def open_eeg(path: Path, record: str, include: list[str] | None = None) -> Any:
    """The recording as an MNE ``Raw``, loaded.

    Args:
        path: a file of one of :data:`data_loaders.eeg.recording.EXTENSIONS`.
        record: what the log calls it.
        include: patterns of the channels that are decoded (EDF and BDF); None for all.

    Raises:
        RecordError: the file is damaged, of a kind that is not read, names data outside its
            folder, or holds another number of steps than its header says.
        MissingExtraError: a SET file without the ``eeglab`` extra.
    """
    import mne

    settings: dict[str, Any] = {"preload": False, "verbose": "error"}
    ending = path.suffix.lower()
    readers = {
        ".edf": mne.io.read_raw_edf,
        ".bdf": mne.io.read_raw_bdf,
        ".vhdr": mne.io.read_raw_brainvision,
        ".fif": mne.io.read_raw_fif,
        ".set": mne.io.read_raw_eeglab,
    }
    if include is not None:
        settings["include"] = "|".join(include)
    if ending == ".vhdr":
        check_brainvision(path, record)
    elif ending == ".set":
        try:
            import pymatreader  # noqa: F401
        except ImportError:
            raise MissingExtraError("pymatreader", "eeglab") from None
        check_mat(path, record)
    elif ending == ".fif":
        settings |= {"on_split_missing": "raise", "allow_maxshield": False}
        check_fif(path, record)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = readers[ending](path, **settings)
            # A damaged FIF file loads and then fails where its channels are looked at.
            raw.get_channel_types()
            rate = float(raw.info["sfreq"])
            if not (math.isfinite(rate) and 0 < rate < 1e6):
                raise RecordError(record, "bad_header", f"sampling rate {rate:g} Hz")
            _check_claim(raw, path, record)
            return raw.load_data(verbose="error")
    except RecordError:
        raise
    except Exception as error:
        raise _named(error, path, record) from None


def _named(error: Exception, path: Path, record: str) -> RecordError:
    """What MNE's readers raise for sound files that are not read, and for all others."""
    if path.suffix.lower() == ".set":
        if isinstance(error, FileNotFoundError):
            return RecordError(record, "missing_signal", f"no .fdt file beside {path.name}")
        if isinstance(error, TypeError) and "number of trials" in str(error):
            detail = f"{path.name} holds epochs, not a continuous recording"
            return RecordError(record, "unsupported_format", detail)
        if isinstance(error, NotImplementedError):
            detail = f"{path.name} is of an old form, or holds several recordings"
            return RecordError(record, "unsupported_format", detail)
    detail = f"{path.name} cannot be decoded: {type(error).__name__}"
    return RecordError(record, "corrupt_file", detail)


def _check_claim(raw: Any, path: Path, record: str) -> None:
    """Data in the recording's folder only, and no more memory than the files can hold."""
    files = [Path(one) for one in raw.filenames if one is not None]
    for one in files:
        if one.absolute().parent != path.absolute().parent:
            raise RecordError(record, "unsafe_path", f"it names data in {str(one.parent)[:60]!r}")
    held = sum(one.stat().st_size for one in {path, *files} if one.is_file())
    steps, channels = int(raw.n_times), len(raw.ch_names)
    if 8 * steps * channels > max(FREE_BYTES, MAX_RATIO * held):
        detail = f"{steps} steps of {channels} channels in {held} bytes"
        raise RecordError(record, "bad_header", detail)
    if path.suffix.lower() == ".set" and files and files[0].suffix.lower() == ".fdt":
        size = files[0].stat().st_size
        found = f"{size / (4 * channels):g} steps in {files[0].name}, the header says {steps}"
        if size < 4 * channels * steps:
            raise RecordError(record, "truncated_dat", found)
        if size > 4 * channels * steps:
            raise RecordError(record, "length_mismatch", found)
