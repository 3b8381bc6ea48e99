"""External validation: train on one hospital's recordings, test on another's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_loaders import ChannelStats, MedicalDataset, group_split
from data_loaders.container.fields import known_labels, label_kind
from data_loaders.container.recordings import Recordings
from tscl.errors import DataError, LeakageError
from tscl.runs.config import ExternalData
from tscl.runs.new_data import adapted, input_facts, load_new

logger = logging.getLogger(__name__)
SIDE = "data set"
"""The column that says which of the two a sample is of: ``training`` or ``external``."""
D = TypeVar("D", MedicalDataset, Recordings)


def with_external(
    data: D,
    section: ExternalData,
    loader: Mapping[str, Any],
    standardize: str = "none",
    stats: ChannelStats | None = None,
) -> D:
    """``data`` followed by the recordings of another hospital, which are brought to its form.

    Args:
        data: what is trained on, as loaded.
        section: where the other recordings are.
        loader: kind and parameters that ``data`` were loaded with.
        standardize: how ``data`` are scaled already, see :func:`tscl.runs.new_data.input_facts`.
        stats: the figures they are scaled by.

    Returns:
        Both, with the column :data:`SIDE`. Labels are matched by name.

    Raises:
        LeakageError: a patient id in both, unless the section says what it means.
        DataError: no recording of the other hospital is of a class of the training data.
    """
    facts = input_facts(data, standardize, stats)
    other = load_new(facts, loader, Path(section.root), section.kind, section.params)
    other = adapted(other, facts)
    assert type(other) is type(data)
    other = _of_known_labels(other, data)
    names = ["" if section.shared != "other_people" else f"{side}:" for side in ("train", "test")]
    mine, theirs = (
        np.asarray([f"{name}{patient}" for patient in part.patient])
        for name, part in zip(names, (data, other), strict=True)
    )
    shared = np.isin(theirs, mine)
    if shared.any() and section.shared == "refuse":
        who = np.unique(theirs[shared])
        raise LeakageError(
            "patient",
            f"{len(who)} patients of the external data are in the training data, such as {who[0]}",
            "say data.external.shared: leave_out, or other_people where equal ids are others'",
        )
    if shared.all():
        raise DataError("external", "every patient is in the training data", "give others")
    if shared.any():
        logger.warning("left out of the test: %d samples of patients trained on", shared.sum())
        other, theirs = other.subset(~shared), theirs[~shared]
    return _joined(data, other, mine, theirs, names)


def _of_known_labels(other: D, data: D) -> D:
    """Samples that have a label of those the training data have, with its code or column."""
    kind, known = label_kind(data.label), list(data.label_names)
    label = np.asarray(other.label)
    if label_kind(label) != kind:
        raise DataError(
            "label", label_kind(label), f"the training data have {kind}; see data.label"
        )
    if kind == "classes":
        codes: list[int] = [known.index(k) if k in known else -1 for k in other.label_names]
        label = np.asarray([*codes, -1], np.int64)[label]
    elif kind == "multilabel":
        own = pd.DataFrame(label, columns=list(other.label_names))
        label = own.reindex(columns=known).to_numpy(np.float32)
    here = known_labels(label)
    if not here.any():
        raise DataError("label", ", ".join(other.label_names), f"name labels of {known}")
    if not here.all():
        logger.warning("left out of the test: %d samples of no known label", (~here).sum())
    kept: D = other.subset(here)
    kept.label, kept.label_names = label[here], tuple(known)
    return kept


def _joined(data: D, other: D, mine: NDArray[Any], theirs: NDArray[Any], names: list[str]) -> D:
    trials = [
        np.asarray([f"{name or side}{trial}" for trial in part.trial])
        for side, name, part in zip(("a/", "b/"), names, (data, other), strict=True)
    ]
    columns = _columns(data, other)
    fields: dict[str, Any] = {
        "label": np.concatenate([data.label, other.label]),
        "label_names": data.label_names,
        "patient": np.concatenate([mine, theirs]),
        "trial": np.concatenate(trials),
        "channel_names": data.channel_names,
        "name": f"{data.name}, tested on {other.name}",
        "source": data.source,
        "columns": columns,
        "log": other.log,
    }
    if isinstance(data, Recordings):
        record = np.concatenate([np.asarray(part.record).astype(str) for part in (data, other)])
        signals = [part[row] for part in (data, other) for row in range(len(part))]
        rate = data.sampling_rate
        return Recordings.from_arrays(signals, rate, store="float32", record=record, **fields)
    if other.n_timesteps != data.n_timesteps:
        length = f"windows of {other.n_timesteps} steps, the training data have {data.n_timesteps}"
        raise DataError("external", length, "cut them alike, by data.external.params")
    values = np.concatenate([np.asarray(data.X), np.asarray(other.X)])
    rate = float(np.atleast_1d(data.sampling_rate)[0])
    if label_kind(data.label) == "target":
        fields["label_kind"] = "target"
    return MedicalDataset(values, sampling_rate=rate, allow_nan=True, **fields)


def _columns(data: D, other: D) -> pd.DataFrame:
    frames = [data.columns.assign(**{SIDE: "training"}), other.columns.assign(**{SIDE: "external"})]
    return pd.concat(frames, ignore_index=True)


def external_parts(data: MedicalDataset, valid: float, seed: int) -> dict[str, NDArray[np.int64]]:
    """Training, validation and test samples of data of :func:`with_external`.

    Args:
        data: joined.
        valid: share of the training hospital's patients that validate; 0 leaves the part out.
        seed: of their choice.
    """
    side, labelled = data.columns[SIDE].to_numpy(), known_labels(data.label)
    own = np.flatnonzero((side == "training") & labelled)
    parts = {"train": own}
    if valid:
        table = data.table.iloc[own].reset_index(drop=True)
        dealt = group_split(table, {"train": 1 - valid, "valid": valid}, seed=seed)
        parts = {name: own[rows] for name, rows in dealt.items()}
    return {**parts, "test": np.flatnonzero(side == "external")}
