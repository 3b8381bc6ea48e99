"""The monitor of clinical pretraining: a linear probe on validation patients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tscl.evaluation.clinical_job import pooled_codes
from tscl.evaluation.code_classifiers import partial_proba
from tscl.evaluation.metrics import classification_metrics


@dataclass(frozen=True)
class ProbeMonitor:
    """1 minus the validation score of a linear probe fitted on training labels.

    Attributes:
        X: (n, T, C) samples, also memory-mapped. label: (n,) class codes.
        train, valid: rows of ``X``; no others are read.
        n_classes: number of classes.
        metric: field of the classification metrics, higher is better.
        C: of the logistic regression.
        pooling: of the codes over time (:func:`tscl.pooling.pool_time`).
    """

    X: Any
    label: NDArray[np.int64]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    n_classes: int
    metric: str
    C: float
    pooling: str = "max"

    def __call__(self, encoder: nn.Module) -> float:
        """The score of ``encoder``; infinite when it is not defined."""
        codes = [
            pooled_codes(encoder, self.X, index, pooling=self.pooling)
            for index in (self.train, self.valid)
        ]
        train, valid = self.label[self.train], self.label[self.valid]
        proba, _ = partial_proba(codes[0], train, codes[1], self.n_classes, self.C)
        value = float(classification_metrics(valid, proba).as_dict()[self.metric])
        return 1.0 - value if math.isfinite(value) else math.inf
