"""What objectives read beside the series: labels, ids of patients and trials."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import type_of_target

from data_loaders.container.windows import series_lengths
from tscl.errors import InputError, is_whole
from tscl.estimators.inputs import Float32, id_codes
from tscl.losses.base import Need

logger = logging.getLogger(__name__)


def say_missing(values: Float32) -> None:
    """One line in the log on the values missing before the series' ends, when there are any."""
    held = series_lengths(values)
    inside = np.arange(values.shape[1]) < held[:, None]
    missing = np.isnan(values) & inside[:, :, None]
    share = missing.sum(axis=(0, 1)) / inside.sum()
    if missing.any():
        channel = int(share.argmax())
        logger.warning(
            "%.3g %% of the values are missing, most (%.3g %%) in channel %d",
            100 * share.mean(), 100 * share[channel], channel,
        )  # fmt: skip


def check_labelled(y: ArrayLike) -> None:
    """Raise InputError when a label is missing (None, NaN or pandas' NA)."""
    missing = int(np.sum(pd.isna(np.asarray(y, dtype=object))))
    if missing:
        raise InputError("y", f"{missing} missing labels", "label every series, or leave it out")


def supervision(
    y: ArrayLike | None, n: int, needs: set[Need], background: Any
) -> tuple[NDArray[Any], dict[str, NDArray[np.int64]]]:
    """Labels as the objectives read them, and the column that tells background samples apart.

    Args:
        y: (n,) labels.
        n: samples.
        needs: what the losses need (:attr:`tscl.losses.ContrastiveLoss.needs`): ``targets`` stay
            numbers (float32), others are class codes (int64) unless they are continuous.
        background: label of the background samples.

    Raises:
        InputError: missing labels, no number where the objective reads numbers, or a background
            that no sample has.
    """
    if y is None:
        raise InputError("y", None, "this objective is supervised; pass labels to fit")
    check_labelled(y)
    array = np.asarray(y)
    if len(array) != n:
        raise InputError("y", f"{len(array)} labels", f"give one a sample, {n}")
    column = {}
    if "background" in needs:
        known = np.unique(array).tolist()
        if background is None or not (array == background).any():
            remedy = f"name the label of samples that lack what the others have, one of {known}"
            raise InputError("background", background, remedy)
        column["background"] = (array == background).astype(np.int64)
    if "targets" in needs:
        if array.dtype.kind not in "biuf":
            raise InputError("y", array.dtype, "this objective reads numbers")
        return array.astype(np.float32), column
    if type_of_target(array).startswith("continuous"):
        return array.astype(np.float32), column
    if array.ndim != 1:
        raise InputError("y", f"shape {array.shape}", f"give one label a sample, ({n},)")
    return np.unique(array, return_inverse=True)[1].astype(np.int64), column


def pair_ids(patient: Any, trial: Any, n: int) -> dict[str, NDArray[np.int64]]:
    """Codes (n,) of patients and of trials, the same trial id in two patients being two trials.

    Args:
        patient: (n,) ids, or None.
        trial: (n,) ids; None makes every sample a trial.
        n: samples.

    Raises:
        InputError: trials without patients, or ids that cannot be used.
    """
    patients, trials = id_codes("patient", patient, n), id_codes("trial", trial, n)
    if patients is None:
        if trials is not None:
            raise InputError("patient", None, "trials belong to patients; pass patient too")
        return {}
    if trials is None:
        trials = np.arange(n)
    pairs = np.stack([patients, trials], axis=1)
    own = np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
    return {"patient": patients, "trial": own.astype(np.int64)}


def labelled_rows(y: Any) -> NDArray[np.bool_]:
    """(n,), False where a label is missing: None, NaN, NA, or -1 beside two other whole numbers."""
    labels = np.asarray(y, dtype=object)
    if labels.ndim == 0:
        return np.ones(1, bool)
    labels = labels.reshape(len(labels), -1)
    missing = pd.isna(labels).any(axis=1)
    known = set(labels[~missing].ravel().tolist())
    if -1 in known and len(known) > 2 and all(is_whole(label) for label in known):
        missing |= (labels == -1).any(axis=1)
    return np.asarray(~missing, bool)
