"""Loaders of clinical and forecasting series into typed containers."""

from data_loaders.ad import load_ad
from data_loaders.adapters_codes import codes_to_frame, codes_to_xarray, from_xarray, to_xarray
from data_loaders.adapters_frames import (
    from_long,
    from_sktime,
    from_wide,
    to_long,
    to_sktime,
    to_wide,
)
from data_loaders.adapters_records import from_wfdb_record
from data_loaders.archive import (
    ClassificationData,
    bundled_classification,
    load_classification,
    load_ts,
)
from data_loaders.calendar import calendar_by_frequency, calendar_features, frequency_fields
from data_loaders.cinc2017 import load_cinc2017
from data_loaders.cohort import CohortConfig, load_cohort, make_cohort
from data_loaders.container import MedicalDataset
from data_loaders.ecg_table import load_wfdb
from data_loaders.eeg import read_eeg
from data_loaders.eeg_files import EEGFile, EEGProtocol, load_eeg_files
from data_loaders.eeg_table import load_eeg_table
from data_loaders.epochs import from_epochs, from_raw
from data_loaders.forecasting import from_frame, load_builtin, load_csv, load_ett
from data_loaders.forecasting_series import ForecastingSeries
from data_loaders.forecasting_sets import (
    FORECASTING_DATASETS,
    forecasting_dataset,
    load_forecasting,
)
from data_loaders.forecasting_splits import (
    ForecastSplit,
    TrainScaler,
    ett_hourly,
    ett_minute,
    ratio_split,
)
from data_loaders.fractions import label_fraction
from data_loaders.leakage import assert_disjoint, describe_parts
from data_loaders.mitbih import load_mitbih
from data_loaders.processed import load_processed, save_processed
from data_loaders.ptb import load_ptb
from data_loaders.ptbxl import load_ptbxl
from data_loaders.record_log import RecordError, RecordLog
from data_loaders.recordings import Recordings
from data_loaders.recordings_windows import Windows
from data_loaders.splits import (
    GroupKFold,
    LeaveOnePatientOut,
    fixed_split,
    group_split,
    sample_split,
)
from data_loaders.standardize import ChannelStats
from data_loaders.tdbrain import load_tdbrain
from data_loaders.uci_eeg import load_uci_eeg
from data_loaders.variable_length import mask_after, pad_series, series_lengths, unpad

__all__ = [
    "FORECASTING_DATASETS",
    "ChannelStats",
    "ClassificationData",
    "CohortConfig",
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
    "bundled_classification",
    "calendar_by_frequency",
    "calendar_features",
    "codes_to_frame",
    "codes_to_xarray",
    "describe_parts",
    "ett_hourly",
    "ett_minute",
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
