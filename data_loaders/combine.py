"""Stacking data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data_loaders.container import MedicalDataset
from data_loaders.record_log import RecordLog
from tscl.errors import InputError


def concat(
    parts: Sequence[MedicalDataset], *, name: str | None = None, prefix: bool = False
) -> MedicalDataset:
    """See :meth:`data_loaders.container.MedicalDataset.concat`.

    Raises:
        InputError: no parts, parts of different length, channels or label names, mixed rates, or
            one trial id in two parts.
    """
    if not parts:
        raise InputError("parts", "none", "give at least one data set")
    head = parts[0]
    for part in parts[1:]:
        for field in ("n_timesteps", "channel_names", "label_names"):
            mine, other = getattr(head, field), getattr(part, field)
            if mine != other:
                raise InputError("parts", f"{field} {mine} and {other}", "make them equal")
    ids = {}
    for field in ("patient", "trial"):
        arrays = [getattr(part, field) for part in parts]
        if prefix:
            arrays = [
                np.asarray([f"{part.name}:{one}" for one in array.tolist()])
                for part, array in zip(parts, arrays, strict=True)
            ]
        elif len({array.dtype.kind for array in arrays}) > 1:
            arrays = [array.astype(str) for array in arrays]
        ids[field] = arrays
    seen: set[Any] = set()
    for array in ids["trial"]:
        here = set(array.tolist())
        if seen & here:
            one = min(seen & here)
            raise InputError("trial", f"id {one} in two parts", "pass prefix=True or rename")
        seen |= here
    return MedicalDataset(
        np.concatenate([np.asarray(part.X) for part in parts]),
        np.concatenate([part.label for part in parts]),
        np.concatenate(ids["patient"]),
        np.concatenate(ids["trial"]),
        np.concatenate([part.sampling_rate for part in parts]),
        label_names=head.label_names,
        channel_names=head.channel_names,
        name=name or head.name,
        source={"parts": [{"name": part.name, **part.source} for part in parts]},
        columns=pd.concat([part.columns for part in parts], ignore_index=True),
        allow_nan=any(part.allow_nan for part in parts),
        allow_mixed_rates=any(part.allow_mixed_rates for part in parts),
        log=_joined(parts),
    )


def _joined(parts: Sequence[MedicalDataset]) -> RecordLog | None:
    """The parts' record logs one below the other; None when no part has one."""
    logs = [part.log for part in parts if part.log is not None]
    if not logs:
        return None
    log = RecordLog(logs[0].name)
    for one in logs:
        log.lines += one.lines
    return log
