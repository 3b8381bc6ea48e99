"""Loaders of clinical and forecasting series into typed containers."""

from data_loaders.adapters.codes import codes_to_frame, codes_to_xarray, from_xarray, to_xarray
from data_loaders.adapters.frames import (
    from_long,
    from_sktime,
    from_wide,
    to_long,
    to_sktime,
    to_wide,
)
from data_loaders.adapters.wfdb import from_wfdb_record
from data_loaders.archive import (
    ClassificationData,
    bundled_classification,
    load_classification,
    load_ts,
)
from data_loaders.cohort.cohort import CohortConfig, load_cohort, make_cohort
from data_loaders.container.dataset import MedicalDataset
from data_loaders.container.recordings import Recordings
from data_loaders.container.standardize import ChannelStats
from data_loaders.container.targets import CropTargets
from data_loaders.container.windows import mask_after, pad_series, series_lengths, unpad
from data_loaders.ecg.beat_knowledge import BeatKnowledge, beat_knowledge
from data_loaders.ecg.beats import Beats, find_beats
from data_loaders.ecg.cinc2017 import load_cinc2017
from data_loaders.ecg.mitbih import load_mitbih
from data_loaders.ecg.ptb import load_ptb
from data_loaders.ecg.ptbxl import load_ptbxl
from data_loaders.eeg.ad import load_ad
from data_loaders.eeg.mne_objects import from_epochs, from_raw
from data_loaders.eeg.protocol import EEGFile, EEGProtocol, load_eeg_files
from data_loaders.eeg.recording import read_eeg
from data_loaders.eeg.tdbrain import load_tdbrain
from data_loaders.eeg.uci import load_uci_eeg
from data_loaders.own_recordings import load_eeg_table, load_wfdb
from data_loaders.processed import load_processed, save_processed
from data_loaders.record_log import RecordError, RecordLog
from data_loaders.recordings_windows import Windows
from data_loaders.series.catalog import FORECASTING_DATASETS, forecasting_dataset, load_forecasting
from data_loaders.series.series import (
    ForecastingSeries,
    from_frame,
    load_builtin,
    load_csv,
    load_ett,
)
from data_loaders.series.splits import (
    ForecastSplit,
    TrainScaler,
    ett_hourly,
    ett_minute,
    ratio_split,
)
from data_loaders.series.time_axis import calendar_by_frequency, calendar_features, frequency_fields
from data_loaders.splits.label_fraction import label_fraction
from data_loaders.splits.leakage import assert_disjoint, describe_parts
from data_loaders.splits.patients import (
    GroupKFold,
    LeaveOnePatientOut,
    fixed_split,
    group_split,
    sample_split,
)

__all__ = [
    "FORECASTING_DATASETS",
    "BeatKnowledge",
    "Beats",
    "ChannelStats",
    "ClassificationData",
    "CohortConfig",
    "CropTargets",
    "EEGFile",
    "EEGProtocol",
    "ForecastSplit",
    "ForecastingSeries",
    "GroupKFold",
    "LeaveOnePatientOut",
    "MedicalDataset",
    "RecordError",
    "RecordLog",
    "Recordings",
    "TrainScaler",
    "Windows",
    "assert_disjoint",
    "beat_knowledge",
    "bundled_classification",
    "calendar_by_frequency",
    "calendar_features",
    "codes_to_frame",
    "codes_to_xarray",
    "describe_parts",
    "ett_hourly",
    "ett_minute",
    "find_beats",
    "fixed_split",
    "forecasting_dataset",
    "frequency_fields",
    "from_epochs",
    "from_frame",
    "from_long",
    "from_raw",
    "from_sktime",
    "from_wfdb_record",
    "from_wide",
    "from_xarray",
    "group_split",
    "label_fraction",
    "load_ad",
    "load_builtin",
    "load_cinc2017",
    "load_classification",
    "load_cohort",
    "load_csv",
    "load_eeg_files",
    "load_eeg_table",
    "load_ett",
    "load_forecasting",
    "load_mitbih",
    "load_processed",
    "load_ptb",
    "load_ptbxl",
    "load_tdbrain",
    "load_ts",
    "load_uci_eeg",
    "load_wfdb",
    "make_cohort",
    "mask_after",
    "pad_series",
    "ratio_split",
    "read_eeg",
    "sample_split",
    "save_processed",
    "series_lengths",
    "to_long",
    "to_sktime",
    "to_wide",
    "to_xarray",
    "unpad",
]
