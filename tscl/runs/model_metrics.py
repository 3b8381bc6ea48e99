"""Results of a row, as they stand on the cards of its models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tscl.evaluation.metrics import classification_metrics
from tscl.evaluation.result_store import Cell


def mean_auroc(cells: Sequence[Cell]) -> dict[str, float]:
    """Mean AUROC over the samples and seeds of the cells of one row and fold, by protocol.

    Keys read ``partial, 0.1 of patients``; values that are undefined (test samples of one class)
    are left out.
    """
    found: dict[str, list[float]] = {}
    for cell in cells:
        name = f"{cell.key['protocol']}, {cell.key['fraction']:g} of {cell.key['by']}"
        value = float(classification_metrics(cell.arrays["y"], cell.arrays["proba"]).auroc)
        if np.isfinite(value):
            found.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}
