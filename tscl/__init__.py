"""Contrastive representation learning for clinical and forecasting time series."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tscl.augmentations import AUGMENTATIONS as AUGMENTATIONS
    from tscl.encoders import ENCODERS as ENCODERS
    from tscl.estimators import AutoTCL as AutoTCL
    from tscl.estimators import ContinualTransformer as ContinualTransformer
    from tscl.estimators import ContrastiveAnomalyDetector as ContrastiveAnomalyDetector
    from tscl.estimators import ContrastiveClassifier as ContrastiveClassifier
    from tscl.estimators import ContrastiveClusterer as ContrastiveClusterer
    from tscl.estimators import ContrastiveTransformer as ContrastiveTransformer
    from tscl.estimators import PatientRetrieval as PatientRetrieval
    from tscl.estimators import Representation as Representation
    from tscl.estimators.pretrained import load_pretrained as load_pretrained
    from tscl.estimators.sktime.forecaster import SSCLForecaster as SSCLForecaster
    from tscl.inference.encode import encode as encode
    from tscl.inference.encode import encode_causal as encode_causal
    from tscl.losses import LOSSES as LOSSES
    from tscl.methods import METHODS as METHODS
    from tscl.saving.encoder import load_encoder as load_encoder
    from tscl.saving.encoder import save_encoder as save_encoder
    from tscl.training.trainer import Trainer as Trainer
    from tscl.training.trainer import TrainSettings as TrainSettings

__version__ = "0.1.0"

_HOMES = {
    "AUGMENTATIONS": "tscl.augmentations",
    "AutoTCL": "tscl.estimators",
    "ContinualTransformer": "tscl.estimators",
    "ContrastiveAnomalyDetector": "tscl.estimators",
    "ContrastiveClassifier": "tscl.estimators",
    "ContrastiveClusterer": "tscl.estimators",
    "ContrastiveTransformer": "tscl.estimators",
    "ENCODERS": "tscl.encoders",
    "LOSSES": "tscl.losses",
    "METHODS": "tscl.methods",
    "PatientRetrieval": "tscl.estimators",
    "Representation": "tscl.estimators",
    "SSCLForecaster": "tscl.estimators.sktime.forecaster",
    "TrainSettings": "tscl.training.trainer",
    "Trainer": "tscl.training.trainer",
    "encode": "tscl.inference.encode",
    "encode_causal": "tscl.inference.encode",
    "load_encoder": "tscl.saving.encoder",
    "load_pretrained": "tscl.estimators.pretrained",
    "save_encoder": "tscl.saving.encoder",
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tscl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
