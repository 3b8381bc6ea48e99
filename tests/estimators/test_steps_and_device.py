"""Every estimator takes ``max_steps`` and ``device``, itself or by what it trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from data_loaders import to_sktime
from tests.estimators.tiny import SMALL, transformer, waves
from tscl import estimators
from tscl.errors import ConfigError, InputError
from tscl.estimators.sktime import panel
from tscl.estimators.sktime.forecaster import SSCLForecaster
from tscl.training.trainer import Trainer

X, Y = waves()
BASE = {"max_epochs": 5, "batch_size": 12}  # ten steps
SERIES = pd.Series(np.sin(np.arange(200.0)))
FITS: dict[str, Any] = {
    "AutoTCL": lambda: (estimators.AutoTCL(**SMALL | BASE), X),
    "ContinualTransformer": lambda: (estimators.ContinualTransformer(**SMALL | BASE), X, Y),
    "ContrastiveAnomalyDetector": lambda: (
        estimators.ContrastiveAnomalyDetector(
            transformer("ts2vec", max_train_length=20, **BASE), window=20
        ),
        np.tile(X[0], (5, 1)),
    ),
    "ContrastiveClassifier": lambda: (estimators.ContrastiveClassifier(**SMALL | BASE), X, Y),
    "ContrastiveClusterer": lambda: (
        estimators.ContrastiveClusterer(2, transformer=transformer(**BASE)),
        X,
    ),
    "ContrastiveTransformer": lambda: (transformer(**BASE), X),
    "PatientRetrieval": lambda: (estimators.PatientRetrieval(transformer(**BASE)), X),
    "Representation": lambda: (estimators.Representation(**SMALL | BASE), X),
    "ContrastivePanelTransformer": lambda: (
        panel.ContrastivePanelTransformer(transformer(**BASE)),
        to_sktime(X),
    ),
    "ContrastivePanelClassifier": lambda: (
        panel.ContrastivePanelClassifier(estimators.ContrastiveClassifier(**SMALL | BASE)),
        to_sktime(X),
        Y,
    ),
    "SSCLForecaster": lambda: (
        SSCLForecaster(12, 3, head="network", max_epochs=2, stride=7, batch_size=4),
        SERIES,
    ),
}


def test_none_is_left_out():
    assert set(FITS) >= set(estimators.__all__)


def with_setting(name: str, key: str, value: Any) -> tuple[Any, list[Any]]:
    """The estimator with one setting of what it trains, and the arguments of its fit."""
    model, *data = FITS[name]()
    (own,) = (k for k in model.get_params() if k.rpartition("__")[2] == key)
    return model.set_params(**{own: value}), data


def fit(name: str, model: Any, data: list[Any]) -> None:
    ids = {"patient": np.arange(len(X))} if name == "PatientRetrieval" else {}
    model.fit(*data, **ids)


@pytest.mark.parametrize("name", FITS)
def test_two_steps_are_two(name, monkeypatch):
    steps = []
    plain = Trainer.fit

    def counted(self: Trainer, *args: Any, **more: Any) -> Any:
        result = plain(self, *args, **more)
        steps.append(result.steps)
        return result

    monkeypatch.setattr(Trainer, "fit", counted)
    fit(name, *with_setting(name, "max_steps", 2))
    fit(name, *with_setting(name, "max_steps", None))
    assert steps[0] == 2
    assert steps[1] > 2


@pytest.mark.parametrize("name", FITS)
def test_a_device_is_checked_and_used(name):
    with pytest.raises(ConfigError, match=r"device: got banana; .*auto, cpu, cuda, gpu, mps"):
        fit(name, *with_setting(name, "device", "banana"))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"device, accelerator: got cuda; .*cpu or auto"):
            fit(name, *with_setting(name, "device", "cuda"))
    fit(name, *with_setting(name, "device", "auto"))
