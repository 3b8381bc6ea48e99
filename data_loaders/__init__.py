"""Loaders of clinical and forecasting series into typed containers.

Names are imported when they are first used, so that ``import data_loaders`` stays cheap.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_loaders.adapters.embeddings import embeddings_to_frame as embeddings_to_frame
    from data_loaders.adapters.embeddings import embeddings_to_xarray as embeddings_to_xarray
    from data_loaders.adapters.embeddings import from_xarray as from_xarray
    from data_loaders.adapters.embeddings import to_xarray as to_xarray
    from data_loaders.adapters.frames import from_long as from_long
    from data_loaders.adapters.frames import from_sktime as from_sktime
    from data_loaders.adapters.frames import from_wide as from_wide
    from data_loaders.adapters.frames import to_long as to_long
    from data_loaders.adapters.frames import to_sktime as to_sktime
    from data_loaders.adapters.frames import to_wide as to_wide
    from data_loaders.adapters.wfdb import from_wfdb_record as from_wfdb_record
    from data_loaders.archive import ClassificationData as ClassificationData
    from data_loaders.archive import bundled_classification as bundled_classification
    from data_loaders.archive import load_classification as load_classification
    from data_loaders.archive import load_ts as load_ts
    from data_loaders.arrays import load_arrays as load_arrays
    from data_loaders.cohort.cohort import CohortConfig as CohortConfig
    from data_loaders.cohort.cohort import load_cohort as load_cohort
    from data_loaders.cohort.cohort import make_cohort as make_cohort
    from data_loaders.cohort.rhythm import load_rhythm_cohort as load_rhythm_cohort
    from data_loaders.cohort.rhythm import make_rhythm_cohort as make_rhythm_cohort
    from data_loaders.container.dataset import MedicalDataset as MedicalDataset
    from data_loaders.container.recordings import Recordings as Recordings
    from data_loaders.container.recordings_windows import Windows as Windows
    from data_loaders.container.standardize import ChannelStats as ChannelStats
    from data_loaders.container.targets import CropTargets as CropTargets
    from data_loaders.container.windows import mask_after as mask_after
    from data_loaders.container.windows import pad_series as pad_series
    from data_loaders.container.windows import series_lengths as series_lengths
    from data_loaders.container.windows import unpad as unpad
    from data_loaders.ecg.beat_knowledge import beat_knowledge as beat_knowledge
    from data_loaders.ecg.beats import find_beats as find_beats
    from data_loaders.ecg.cinc2017 import load_cinc2017 as load_cinc2017
    from data_loaders.ecg.mitbih import load_mitbih as load_mitbih
    from data_loaders.ecg.ptb import load_ptb as load_ptb
    from data_loaders.ecg.ptbxl import load_ptbxl as load_ptbxl
    from data_loaders.ecg.quality import ecg_quality as ecg_quality
    from data_loaders.eeg.ad import load_ad as load_ad
    from data_loaders.eeg.bids import load_bids as load_bids
    from data_loaders.eeg.mne_objects import from_epochs as from_epochs
    from data_loaders.eeg.mne_objects import from_raw as from_raw
    from data_loaders.eeg.protocol import EEGFile as EEGFile
    from data_loaders.eeg.protocol import EEGProtocol as EEGProtocol
    from data_loaders.eeg.protocol import load_eeg_files as load_eeg_files
    from data_loaders.eeg.recording import read_eeg as read_eeg
    from data_loaders.eeg.tdbrain import load_tdbrain as load_tdbrain
    from data_loaders.eeg.uci import load_uci_eeg as load_uci_eeg
    from data_loaders.own_recordings import load_eeg_table as load_eeg_table
    from data_loaders.own_recordings import load_wfdb as load_wfdb
    from data_loaders.processed import load_processed as load_processed
    from data_loaders.processed import save_processed as save_processed
    from data_loaders.record_log import RecordError as RecordError
    from data_loaders.record_log import RecordLog as RecordLog
    from data_loaders.series.anomaly import LabelledSeries as LabelledSeries
    from data_loaders.series.anomaly import load_kpi as load_kpi
    from data_loaders.series.anomaly import load_yahoo as load_yahoo
    from data_loaders.series.anomaly import stationary_halves as stationary_halves
    from data_loaders.series.catalog import FORECASTING_DATASETS as FORECASTING_DATASETS
    from data_loaders.series.catalog import forecasting_dataset as forecasting_dataset
    from data_loaders.series.catalog import load_forecasting as load_forecasting
    from data_loaders.series.series import ForecastingSeries as ForecastingSeries
    from data_loaders.series.series import from_frame as from_frame
    from data_loaders.series.series import load_builtin as load_builtin
    from data_loaders.series.series import load_csv as load_csv
    from data_loaders.series.series import load_ett as load_ett
    from data_loaders.series.splits import ForecastSplit as ForecastSplit
    from data_loaders.series.splits import TrainScaler as TrainScaler
    from data_loaders.series.splits import ett_hourly as ett_hourly
    from data_loaders.series.splits import ett_minute as ett_minute
    from data_loaders.series.splits import ratio_split as ratio_split
    from data_loaders.series.time_axis import calendar_by_frequency as calendar_by_frequency
    from data_loaders.series.time_axis import calendar_features as calendar_features
    from data_loaders.series.time_axis import frequency_fields as frequency_fields
    from data_loaders.splits.label_fraction import label_fraction as label_fraction
    from data_loaders.splits.leakage import assert_disjoint as assert_disjoint
    from data_loaders.splits.patients import GroupKFold as GroupKFold
    from data_loaders.splits.patients import LeaveOnePatientOut as LeaveOnePatientOut
    from data_loaders.splits.patients import fixed_split as fixed_split
    from data_loaders.splits.patients import group_split as group_split
    from data_loaders.whole_recordings import load_wfdb_recordings as load_wfdb_recordings

_HOMES = {
    "adapters.embeddings": "embeddings_to_frame embeddings_to_xarray from_xarray to_xarray",
    "adapters.frames": "from_long from_sktime from_wide to_long to_sktime to_wide",
    "adapters.wfdb": "from_wfdb_record",
    "archive": "ClassificationData bundled_classification load_classification load_ts",
    "arrays": "load_arrays",
    "cohort.cohort": "CohortConfig load_cohort make_cohort",
    "cohort.rhythm": "load_rhythm_cohort make_rhythm_cohort",
    "container.dataset": "MedicalDataset",
    "container.recordings": "Recordings",
    "container.recordings_windows": "Windows",
    "container.standardize": "ChannelStats",
    "container.targets": "CropTargets",
    "container.windows": "mask_after pad_series series_lengths unpad",
    "ecg.beat_knowledge": "beat_knowledge",
    "ecg.beats": "find_beats",
    "ecg.cinc2017": "load_cinc2017",
    "ecg.mitbih": "load_mitbih",
    "ecg.ptb": "load_ptb",
    "ecg.ptbxl": "load_ptbxl",
    "ecg.quality": "ecg_quality",
    "eeg.ad": "load_ad",
    "eeg.bids": "load_bids",
    "eeg.mne_objects": "from_epochs from_raw",
    "eeg.protocol": "EEGFile EEGProtocol load_eeg_files",
    "eeg.recording": "read_eeg",
    "eeg.tdbrain": "load_tdbrain",
    "eeg.uci": "load_uci_eeg",
    "own_recordings": "load_eeg_table load_wfdb",
    "processed": "load_processed save_processed",
    "record_log": "RecordError RecordLog",
    "series.anomaly": "LabelledSeries load_kpi load_yahoo stationary_halves",
    "series.catalog": "FORECASTING_DATASETS forecasting_dataset load_forecasting",
    "series.series": "ForecastingSeries from_frame load_builtin load_csv load_ett",
    "series.splits": "ForecastSplit TrainScaler ett_hourly ett_minute ratio_split",
    "series.time_axis": "calendar_by_frequency calendar_features frequency_fields",
    "splits.label_fraction": "label_fraction",
    "splits.leakage": "assert_disjoint",
    "splits.patients": "GroupKFold LeaveOnePatientOut fixed_split group_split",
    "whole_recordings": "load_wfdb_recordings",
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names.split()}
_EARLIER = {"codes_to_frame": "embeddings_to_frame", "codes_to_xarray": "embeddings_to_xarray"}
__all__ = [*_MODULES]


def homes() -> dict[str, str]:
    """Every public name and the module it comes from; nothing is imported."""
    return dict(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _EARLIER:
        text = f"data_loaders.{name} is called {_EARLIER[name]} now"
        warnings.warn(text, FutureWarning, stacklevel=2)
        name = _EARLIER[name]
    if name in _MODULES:
        return getattr(importlib.import_module(f"data_loaders.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'data_loaders' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
