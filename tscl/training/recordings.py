"""Crops of whole recordings as training batches: drawn when a batch is made, several a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tscl.errors import InputError, check_choice, is_number, is_whole
from tscl.methods.base import Batch
from tscl.seeding import counted_uniform, randint

if TYPE_CHECKING:
    from data_loaders.container.recordings import Recordings
    from data_loaders.container.targets import CropTargets

Indices = NDArray[np.int64]
CropLevel = Literal["recording", "trial", "patient"]
Short = Literal["pad", "wrap"]


class RecordingSource:
    """Samples are recordings, drawn as crops of equal length at random places.

    The crops of a sample depend on the step's seed and the sample's index only, not on the other
    samples of the batch, so a batch that is cut into parts or shared by processes sees the same.

    Args:
        recordings: a :class:`data_loaders.container.recordings.Recordings`.
        crop: steps of a crop, at least 2.
        views: crops of each sample; with two or more they are the batch's ``views``.
        as_samples: crops are samples of their own, B * views of them, and share their ``ids``: for
            methods that contrast samples by their ids. There are no ``views`` then.
        level: what the crops of a sample share. ``recording``: all come from the recording itself.
            ``trial``, ``patient``: the first comes from the recording and each other one from
            another recording of the same trial or patient, where there is one, else from the same.
        apart: wanted steps between the starts of any two crops of one recording; where it is too
            short, they are spread as far as it allows.
        short: how a recording shorter than a crop fills it. ``pad``: it stands at a random place
            of the crop and the rest is NaN; ``wrap``: it is repeated.
        least: smallest share of a crop that a padded recording may fill, so that padding never
            dominates.
        extra: further values of each recording, (n, ...), handed on as the batch's ``extra``, such
            as figures that a method predicts.
        targets: a :class:`data_loaders.container.targets.CropTargets` of the recordings; what it
            knows of each crop is handed on as ``extra`` too, for each view: (B, views, ...), under
            the names of :meth:`CropTargets.read`.
        stride: steps that figures of steps are read for, the encoder's stride.
        event_stride: steps that an event is looked for in; divides ``stride``.

    Raises:
        InputError: a value out of range, an unknown level, ``extra`` that is no number or of
            another length, targets of other recordings, or recordings that fill less than
            ``least`` of a crop.

    Example:
        >>> from data_loaders.container.recordings import Recordings
        >>> data = Recordings.from_arrays([np.zeros((300, 1)), np.ones((450, 1))], 100.0)
        >>> source = RecordingSource(data, 200, views=2)
        >>> batch = source.batch(np.array([1, 0]), torch.Generator().manual_seed(0))
        >>> [tuple(view.shape) for view in batch.views]
        [(2, 200, 1), (2, 200, 1)]
    """

    def __init__(
        self,
        recordings: Recordings,
        crop: int,
        *,
        views: int = 2,
        as_samples: bool = False,
        level: CropLevel = "recording",
        apart: int = 0,
        short: Short = "pad",
        least: float = 0.5,
        extra: Mapping[str, NDArray[Any]] | None = None,
        targets: CropTargets | None = None,
        stride: int = 1,
        event_stride: int = 1,
    ) -> None:
        for field, value, smallest in (
            ("crop", crop, 2),
            ("views", views, 1),
            ("apart", apart, 0),
            ("stride", stride, 1),
            ("event_stride", event_stride, 1),
        ):
            if not is_whole(value) or value < smallest:
                raise InputError(field, value, f"give a whole number of at least {smallest}")
        if stride % event_stride:
            raise InputError("event_stride", event_stride, f"choose a divisor of {stride}")
        if targets is not None and not np.array_equal(targets.lengths, recordings.lengths):
            remedy = f"choose the same {len(recordings)} recordings with targets.subset"
            raise InputError("targets", f"{len(targets)} recordings", remedy)
        check_choice("level", level, get_args(CropLevel))
        check_choice("short", short, get_args(Short))
        if not is_number(least) or not 0 < least <= 1:
            raise InputError("least", least, "choose a share in (0, 1]")
        too_short = int((recordings.lengths < least * crop).sum())
        if too_short and short == "pad":
            raise InputError(
                "crop",
                crop,
                f"{too_short} recordings fill less than {least:.0%} of it: shorten it, leave them "
                "out with recordings.subset, or repeat them with short='wrap'",
            )
        self.extra = {name: np.asarray(values) for name, values in (extra or {}).items()}
        for name, values in self.extra.items():
            fits = values.ndim > 0 and len(values) == len(recordings)
            if not fits or values.dtype.kind not in "fiub":
                remedy = f"give numbers, one entry for each of the {len(recordings)} recordings"
                raise InputError(f"extra[{name}]", f"{values.dtype} {values.shape}", remedy)
        self.recordings, self.crop, self.views = recordings, int(crop), int(views)
        self.as_samples = as_samples
        self.level, self.apart, self.short = level, int(apart), short
        self.targets, self.stride, self.event_stride = targets, int(stride), int(event_stride)
        self.ids: dict[str, Indices] = {
            "recording": np.arange(len(recordings)),
            "trial": recordings.trial_codes,
            "patient": recordings.patient_codes,
        }
        known = bool((recordings.label >= 0).any())
        self.labels: Indices | None = recordings.label if known else None
        group = self.ids[level]
        self._members = np.argsort(group, kind="stable")
        self._place = np.argsort(self._members, kind="stable")
        counts = np.bincount(group)
        self._first = (np.cumsum(counts) - counts)[group]
        self._count = counts[group]

    def __len__(self) -> int:
        return len(self.recordings)

    def batch(self, indices: Indices, generator: torch.Generator) -> Batch:
        """Crops of the recordings at ``indices``; ``labels`` are -1 where unknown."""
        index = np.asarray(indices, np.int64)
        key = int(randint(0, 2**62, (1,), generator)[0])
        rows = self._rows(index, key)
        starts = self._starts(index, rows, key)
        cut = self.recordings.crops(
            rows.reshape(-1), starts.reshape(-1), self.crop, wrap=self.short == "wrap"
        )
        series = torch.from_numpy(cut).unflatten(0, (self.views, len(index)))
        extra = {name: torch.from_numpy(values[index]) for name, values in self.extra.items()}
        if self.targets is not None:
            read = self.targets.read(
                rows.T.reshape(-1), starts.T.reshape(-1), self.crop, self.stride, self.event_stride
            )
            for name, values in read.items():
                extra[name] = torch.from_numpy(values).unflatten(0, (len(index), self.views))
        batch = Batch(
            x=series[0],
            index=torch.from_numpy(index),
            ids={name: torch.from_numpy(codes[index]) for name, codes in self.ids.items()},
            labels=None if self.labels is None else torch.from_numpy(self.labels[index]),
            extra=extra,
            views=series.unbind(0) if self.views > 1 else (),
        )
        return self._apart(batch) if self.as_samples and self.views > 1 else batch

    def _apart(self, batch: Batch) -> Batch:
        """Every crop as a sample, those of one recording in a row."""

        def each(values: Tensor) -> Tensor:
            return values.repeat_interleave(self.views, dim=0)

        return Batch(
            x=torch.stack(batch.views, dim=1).flatten(0, 1),
            index=each(batch.index),
            ids={name: each(codes) for name, codes in batch.ids.items()},
            labels=None if batch.labels is None else each(batch.labels),
            extra={
                name: each(values) if name in self.extra else values.flatten(0, 1).unsqueeze(1)
                for name, values in batch.extra.items()
            },
        )

    def _rows(self, index: Indices, key: int) -> Indices:
        """Recording of every view of every sample, (views, B)."""
        rows = np.repeat(index[None], self.views, axis=0)
        if self.level == "recording":
            return rows
        first, others = self._first[index], self._count[index] - 1
        own = self._place[index] - first
        for view in range(1, self.views):
            drawn = _scaled(counted_uniform(key, index, 2 * view), others)
            drawn = np.where(others > 0, drawn + (drawn >= own), own)  # any member but itself
            rows[view] = self._members[first + drawn]
        return rows

    def _starts(self, index: Indices, rows: Indices, key: int) -> Indices:
        """First step of every crop, (views, B); negative where a padded recording starts late."""
        uniform = np.stack([counted_uniform(key, index, 2 * v + 1) for v in range(self.views)])
        length = self.recordings.lengths[rows]
        slack = length - self.crop
        late = _scaled(uniform, length) if self.short == "wrap" else -_scaled(uniform, 1 - slack)
        gap = np.zeros_like(index)
        if self.apart and self.views > 1:
            single = (rows == rows[0]).all(axis=0)
            gap = np.where(single, np.minimum(self.apart, slack[0] // (self.views - 1)), 0)
        # Places drawn in what remains beside the gaps, and the gaps put back in their order, are
        # uniform over all places that are far enough apart.
        rank = np.argsort(np.argsort(uniform, axis=0), axis=0)
        starts = _scaled(uniform, slack - (self.views - 1) * gap + 1) + rank * gap
        result: Indices = np.where(slack >= 0, starts, late)
        return result


def _scaled(uniform: NDArray[np.float64], count: Indices) -> Indices:
    """Whole numbers in [0, count), or 0 where ``count`` is below 1."""
    limit = np.maximum(count, 1)
    result: Indices = np.minimum((uniform * limit).astype(np.int64), limit - 1)
    return result
