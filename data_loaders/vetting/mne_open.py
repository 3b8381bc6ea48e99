"""Opening FIF and SET files by MNE: checked before, held against their headers, one named error."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from data_loaders.record_log import RecordError
from data_loaders.signals import usable_rate
from data_loaders.vetting.arrays import FREE_BYTES, MAX_RATIO
from data_loaders.vetting.fif import check_fif
from data_loaders.vetting.mat import check_mat
from tscl.errors import MissingExtraError


def open_mne(path: Path, record: str) -> Any:
    """The recording of a ``.fif`` or ``.set`` file as an MNE ``Raw``, loaded.

    Raises:
        RecordError: the file is damaged, of a kind that is not read, names data outside its
            folder, or holds another number of steps than its header says.
        MissingExtraError: a SET file without the ``eeglab`` extra.
    """
    import mne

    settings: dict[str, Any] = {"preload": False, "verbose": "error"}
    if path.suffix.lower() == ".set":
        try:
            import pymatreader  # noqa: F401
        except ImportError:
            raise MissingExtraError("pymatreader", "eeglab") from None
        check_mat(path, record)
        reader = mne.io.read_raw_eeglab
    else:
        settings |= {"on_split_missing": "raise", "allow_maxshield": False}
        check_fif(path, record)
        reader = mne.io.read_raw_fif
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = reader(path, **settings)
            # A damaged FIF file loads and then fails where its channels are looked at.
            raw.get_channel_types()
            usable_rate(record, float(raw.info["sfreq"]))
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
    files = [Path(name) for name in raw.filenames if name is not None]
    for file in files:
        if file.absolute().parent != path.absolute().parent:
            raise RecordError(record, "unsafe_path", f"it names data in {str(file.parent)[:60]!r}")
    held = sum(file.stat().st_size for file in {path, *files} if file.is_file())
    steps, channels = int(raw.n_times), len(raw.ch_names)
    if 8 * steps * channels > max(FREE_BYTES, MAX_RATIO * held):
        detail = f"{steps} steps of {channels} channels in {held} bytes"
        raise RecordError(record, "bad_header", detail)
    if path.suffix.lower() == ".set" and files and files[0].suffix.lower() == ".fdt":
        size = files[0].stat().st_size
        value = f"{size / (4 * channels):g} steps in {files[0].name}, the header says {steps}"
        if size < 4 * channels * steps:
            raise RecordError(record, "truncated_dat", value)
        if size > 4 * channels * steps:
            raise RecordError(record, "length_mismatch", value)
