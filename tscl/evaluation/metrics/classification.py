"""Classification metrics of one set of predictions."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from tscl.evaluation.metrics.calibration import check_probabilities, expected_calibration_error

METRICS: tuple[str, ...] = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "auroc",
    "auprc",
    "auprc_macro",
    "ece",
)


@dataclass(frozen=True)
class ClassificationMetrics:
    """Metrics of n predictions over K classes.

    Attributes:
        accuracy: share of samples whose most probable class is right.
        precision: mean over classes; a class never predicted counts as 0.
        recall: mean over classes.
        f1: mean over classes of the class's F1.
        auroc: area under ROC; for K > 2 the mean of one class against the rest, over classes
            that occur and are not alone. NaN where only one class occurs.
        auprc: average precision of class 1 for K = 2, for K > 2 the mean as for ``auroc``.
            NaN where only one class occurs.
        auprc_macro: average precision, mean over the classes that occur, also for K = 2.
        ece: expected calibration error of the top label, 15 bins.
        confusion: (K, K) counts, rows true, columns predicted.
        n: number of predictions.

    Precision, recall and F1 are means over the classes that occur among labels or predictions.
    """

    accuracy: float
    precision: float
    recall: float
    f1: float
    auroc: float
    auprc: float
    auprc_macro: float
    ece: float
    confusion: NDArray[np.int64]
    n: int

    def as_dict(self) -> dict[str, float]:
        """The scalar metrics by name, in the order of :data:`METRICS`."""
        return {f.name: float(getattr(self, f.name)) for f in fields(self) if f.name in METRICS}


def classification_metrics(y_true: ArrayLike, proba: ArrayLike) -> ClassificationMetrics:
    """All metrics of predicted class probabilities.

    Args:
        y_true: (n,) class codes 0..K-1.
        proba: (n, K) probabilities, rows summing to 1.

    Raises:
        InputError: shapes that do not fit, labels out of range, values that are not finite,
            negative, or rows that do not sum to 1.
    """
    y, p = check_probabilities(y_true, proba)
    n_classes = p.shape[1]
    predicted = p.argmax(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        y, predicted, average="macro", zero_division=0
    )
    present = [k for k in range(n_classes) if 0 < (y == k).sum() < len(y)]
    auroc = auprc = auprc_macro = float("nan")
    if present:
        ranked = [1] if n_classes == 2 else present
        auroc = float(np.mean([roc_auc_score(y == k, p[:, k]) for k in ranked]))
        average = {k: float(average_precision_score(y == k, p[:, k])) for k in present}
        auprc_macro = float(np.mean(list(average.values())))
        auprc = average[1] if n_classes == 2 else auprc_macro
    return ClassificationMetrics(
        accuracy=float(accuracy_score(y, predicted)),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        auroc=auroc,
        auprc=auprc,
        auprc_macro=auprc_macro,
        ece=expected_calibration_error(y, p),
        confusion=confusion_matrix(y, predicted, labels=np.arange(n_classes)),
        n=len(y),
    )
