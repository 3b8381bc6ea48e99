"""Where training batches come from: arrays cut into sections, cropped and handed to the engine."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from tscl.errors import InputError, check_choice
from tscl.methods.base import Batch
from tscl.seeding import derive_seed, numpy_generator, randint

Indices = NDArray[np.int64]
GroupMode = Literal["trial", "batch", "random"]


class Sampler(Protocol):
    """Batches of sample indices for one epoch."""

    def epoch(self, seed: int, epoch: int) -> list[Indices]:
        """Index arrays, one a batch; every index at most once."""
        ...


class RandomSampler:
    """Samples in random order, cut into batches.

    Args:
        n: number of samples.
        batch_size: samples a batch.
        drop_last: leave out the last batch of an epoch when it is smaller.

    Raises:
        InputError: a size below 1, or ``drop_last`` leaves no batch.
    """

    def __init__(self, n: int, batch_size: int, drop_last: bool = False) -> None:
        _check_sizes(n, batch_size)
        if drop_last and n < batch_size:
            raise InputError("batch_size", batch_size, f"use at most {n}, or drop_last=False")
        self.n, self.batch_size, self.drop_last = n, batch_size, drop_last

    def epoch(self, seed: int, epoch: int) -> list[Indices]:
        """The batches of ``epoch`` (from 0)."""
        order = numpy_generator(seed, "sampler", epoch).permutation(self.n).astype(np.int64)
        return _cut(order, self.batch_size, self.drop_last)


class GroupedSampler:
    """Batches that hold whole trials of many patients.

    A trial is the set of samples with one patient and one trial id. It is never split unless it
    is larger than a batch, so batches are filled up to the last trial that fits. With at least
    four trials a batch (``trials_per_patient=1``) and patients of equal numbers of trials, every
    batch but the last holds at least two patients.

    Args:
        trial: trial id of every sample, any type.
        patient: patient id of every sample, any type; a trial id may recur in another patient.
        batch_size: most samples a batch.
        mode: ``trial`` keeps a trial's samples in their order; ``batch`` also shuffles the samples
            of each batch; ``random`` ignores trials and shuffles samples.
        trials_per_patient: trials of one patient placed next to each other, so that the patient
            level finds positives from other trials even when patients outnumber the trials of a
            batch.
        spread: deal each patient's trials evenly over the epoch; False shuffles trials freely.
        refresh: new batches every epoch; False draws them once from the seed and only shuffles
            their order (the public COMET code keeps their order and shuffles inside them).
        drop_last: leave out the last batch when another trial would have fitted in.

    Attributes:
        groups: (n,) trial code of every sample, None in mode ``random``; where a batch is cut, for
            accumulation or several processes, these stay together.

    Raises:
        InputError: ids that do not match, sizes below 1, or ``drop_last`` leaves no batch.
    """

    def __init__(
        self,
        trial: ArrayLike,
        patient: ArrayLike,
        batch_size: int,
        mode: GroupMode = "trial",
        *,
        trials_per_patient: int = 1,
        spread: bool = True,
        refresh: bool = True,
        drop_last: bool = False,
    ) -> None:
        trials, patients = _codes(trial, "trial"), _codes(patient, "patient")
        if len(trials) != len(patients):
            raise InputError(
                "trial, patient", (len(trials), len(patients)), "pass one of each per sample"
            )
        _check_sizes(len(trials), batch_size)
        check_choice("mode", mode, get_args(GroupMode))
        if trials_per_patient < 1:
            raise InputError("trials_per_patient", trials_per_patient, "use 1 or more")
        if drop_last and len(trials) < batch_size:
            raise InputError(
                "batch_size", batch_size, f"use at most {len(trials)}, or drop_last=False"
            )
        self.n, self.batch_size, self.mode = len(trials), batch_size, mode
        self.trials_per_patient, self.spread = trials_per_patient, spread
        self.refresh, self.drop_last = refresh, drop_last
        key = patients * (int(trials.max()) + 1) + trials
        self.groups = None if mode == "random" else key
        order = np.argsort(key, kind="stable").astype(np.int64)
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        self._trials: list[Indices] = np.split(order, starts[1:])
        self._owner = patients[order[starts]]
        self._smallest = min(len(t) for t in self._trials)

    def epoch(self, seed: int, epoch: int) -> list[Indices]:
        """The batches of ``epoch`` (from 0)."""
        rng = numpy_generator(seed, "sampler", epoch if self.refresh else 0)
        if self.mode == "random":
            order = rng.permutation(self.n).astype(np.int64)
            batches = _cut(order, self.batch_size, self.drop_last)
        else:
            batches = self._pack(self._order(rng))
            if self.mode == "batch":
                batches = [rng.permutation(batch) for batch in batches]
        if not self.refresh:
            shuffled = numpy_generator(seed, "sampler order", epoch).permutation(len(batches))
            batches = [batches[k] for k in shuffled]
        return batches

    def _order(self, rng: np.random.Generator) -> list[int]:
        """Numbers of all trials in the order they are packed."""
        shuffled = rng.permutation(len(self._trials))
        if not self.spread and self.trials_per_patient == 1:
            return [int(k) for k in shuffled]
        units: list[NDArray[np.int64]] = []
        places: list[NDArray[np.float64]] = []
        owners = self._owner[shuffled]
        by_owner = shuffled[np.argsort(owners, kind="stable")]
        for mine in np.split(by_owner, np.flatnonzero(np.diff(np.sort(owners))) + 1):
            cuts = range(self.trials_per_patient, len(mine), self.trials_per_patient)
            own = np.split(mine, list(cuts))
            units += own
            places.append((np.arange(len(own)) + rng.random(len(own))) / len(own))
        place = np.concatenate(places) if self.spread else rng.random(len(units))
        return [int(k) for unit in np.argsort(place, kind="stable") for k in units[unit]]

    def _pack(self, order: Sequence[int]) -> list[Indices]:
        """Fill batches with whole trials in ``order``; larger trials are cut."""
        batches: list[Indices] = []
        current: list[Indices] = []
        size = 0
        for number in order:
            trial = self._trials[number]
            for piece in np.split(trial, range(self.batch_size, len(trial), self.batch_size)):
                if size + len(piece) > self.batch_size:
                    batches.append(np.concatenate(current))
                    current, size = [], 0
                current.append(piece)
                size += len(piece)
        if not self.drop_last or not batches or size + self._smallest > self.batch_size:
            batches.append(np.concatenate(current))
        return batches


class WeightedSampler:
    """Batches of another sampler in which samples take part in proportion to their weights.

    Every pass leaves each sample out with probability 1 - weight / the largest weight; batches are
    filled up from what is left, and an epoch makes as many passes as it takes to have the other
    sampler's number of batches. A sample is thus an anchor, a positive and a negative less often,
    whatever the objective, and never twice in a batch. Equal weights change nothing.

    Args:
        sampler: the other one; it keeps whole trials whole but for samples that are left out.
        weights: (n,), >= 0.

    Raises:
        InputError: weights of which so few are above 0, or one so far above the others, that a
            pass would hardly have two samples.
    """

    def __init__(self, sampler: RandomSampler | GroupedSampler, weights: ArrayLike) -> None:
        given = np.asarray(weights, np.float64)
        self.share = given / max(float(given.max(initial=0.0)), np.finfo(np.float64).tiny)
        if self.share.sum() < 2:
            remedy = "no two samples would meet in a batch; raise the weights that are near zero"
            raise InputError("sample_weight", f"{self.share.sum():.3g} samples' weight", remedy)
        self.sampler, self.batch_size = sampler, sampler.batch_size
        self.groups: Indices | None = getattr(sampler, "groups", None)

    def epoch(self, seed: int, epoch: int) -> list[Indices]:
        """The batches of ``epoch`` (from 0)."""
        wanted = batches = self.sampler.epoch(seed, epoch)
        if (self.share == 1).all():
            return batches
        rng, out = numpy_generator(seed, "weights", epoch), list[Indices]()
        for k in itertools.count(1):
            out += self._filled([b[rng.random(len(b)) < self.share[b]] for b in batches])
            if len(out) >= len(wanted):
                return out[: len(wanted)]
            batches = self.sampler.epoch(derive_seed(seed, "pass", k), epoch)
        raise AssertionError

    def _filled(self, batches: list[Indices]) -> list[Indices]:
        """Neighbours together up to the size of a batch; smaller ones only when all are."""
        joined = [batches[0]]
        if self.groups is None:
            order = np.concatenate(batches)
            joined = _cut(order, self.batch_size, drop_last=len(order) >= self.batch_size)
        else:
            for batch in batches[1:]:
                if len(joined[-1]) + len(batch) <= self.batch_size:
                    joined[-1] = np.concatenate([joined[-1], batch])
                else:
                    joined.append(batch)
        return [batch for batch in joined if len(batch) > 1]


def _cut(order: Indices, batch_size: int, drop_last: bool) -> list[Indices]:
    batches = np.split(order, range(batch_size, len(order), batch_size))
    return batches[:-1] if drop_last and len(batches[-1]) < batch_size else batches


def _check_sizes(n: int, batch_size: int) -> None:
    for field, value in (("n_samples", n), ("batch_size", batch_size)):
        if value < 1:
            raise InputError(field, value, "use 1 or more")


def _codes(ids: ArrayLike, field: str) -> NDArray[np.int64]:
    """Codes 0, 1, ... by first appearance, so that only equality of ids matters."""
    array = np.asarray(ids)
    if array.ndim != 1 or len(array) == 0:
        raise InputError(field, array.shape, "pass one id per sample")
    return pd.factorize(array, use_na_sentinel=False)[0].astype(np.int64)


class Source(Protocol):
    """Anything the engine can draw batches from."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def batch(self, indices: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """The samples at ``indices``; random crops come from ``generator``."""
        ...


class ArraySource:
    """Samples of one array, with optional ids and labels per sample.

    Args:
        x: (n_samples, n_timesteps, n_channels); NaN marks missing steps. A memory map stays one.
        ids: level name to integer codes (n_samples,).
        labels: (n_samples,) class codes or targets.
        extra: further values of each sample, (n_samples, ...), handed on as the batch's ``extra``.
        crop: random crops of this many steps, one offset a batch; None keeps whole samples. Where a
            shorter sample would lose more than a tenth of what a crop of it can hold, its offset
            stands at the same share of its own length, so that no crop holds padding only.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        *,
        ids: Mapping[str, NDArray[np.int64]] | None = None,
        labels: NDArray[np.generic] | None = None,
        extra: Mapping[str, NDArray[Any]] | None = None,
        crop: int | None = None,
    ) -> None:
        if x.ndim != 3:
            raise InputError("x", x.shape, "pass (n_samples, n_timesteps, n_channels)")
        if 0 in x.shape:
            raise InputError("x", x.shape, "pass at least one sample, time step and channel")
        if crop is not None and crop < 2:
            raise InputError("crop", crop, "crops need at least two time steps")
        self.x = x
        self.ids = {name: np.asarray(codes, dtype=np.int64) for name, codes in (ids or {}).items()}
        self.labels = None if labels is None else np.asarray(labels)
        for name, codes in self.ids.items():
            if codes.shape != (len(x),):
                raise InputError(
                    f"ids[{name}]", codes.shape, f"pass one code a sample, ({len(x)},)"
                )
        if self.labels is not None and len(self.labels) != len(x):
            raise InputError("labels", self.labels.shape, f"pass one label a sample, ({len(x)},)")
        self.extra = dict(extra or {})
        for name, values in self.extra.items():
            if len(values) != len(x):
                raise InputError(f"extra[{name}]", values.shape, f"pass one a sample, {len(x)}")
        self.crop = crop
        self._spans = None if crop is None or x.shape[1] <= crop else _spans(x)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: NDArray[np.int64], generator: torch.Generator) -> Batch:
        """The samples at ``indices`` as float32 tensors, cropped at one random offset."""
        rows = self.x[indices]
        if self.crop is not None and rows.shape[1] > self.crop:
            last = rows.shape[1] - self.crop
            offset = int(randint(0, last + 1, (1,), generator)[0])
            if self._spans is None:
                rows = rows[:, offset : offset + self.crop]
            else:
                rows = self._own_crops(rows, self._spans[indices], offset, last)
        return Batch(
            x=torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)),
            index=torch.from_numpy(np.asarray(indices, dtype=np.int64)),
            ids={name: torch.from_numpy(codes[indices]) for name, codes in self.ids.items()},
            labels=None if self.labels is None else torch.from_numpy(self.labels[indices]),
            extra={name: torch.from_numpy(kept[indices]) for name, kept in self.extra.items()},
        )

    def _own_crops(
        self, rows: NDArray[np.float32], spans: Indices, offset: int, last: int
    ) -> NDArray[np.float32]:
        """Crops that hold a value: ``offset`` of ``last``, or that share of a sample's own span."""
        assert self.crop is not None
        first, stop = spans.T
        room = np.maximum(stop - first - self.crop, 0)
        own = np.minimum(first + offset * (room + 1) // (last + 1), last)
        held = np.minimum(offset + self.crop, stop) - np.maximum(offset, first)
        # sections padded by a step keep the common offset, as training always drew it
        at = np.where(held >= 0.9 * np.minimum(self.crop, stop - first), offset, own)
        steps = at[:, None] + np.arange(self.crop)
        crops = np.take_along_axis(rows, steps[:, :, None], axis=1)
        for i in np.flatnonzero(np.isnan(crops).all(axis=(1, 2))):  # a gap as long as the crop
            seen = np.flatnonzero(~np.isnan(rows[i]).all(axis=1))
            start = int(min(seen[np.argmin(np.abs(seen - at[i]))], last))
            crops[i] = rows[i, start : start + self.crop]
        return crops


def _spans(x: NDArray[np.float32]) -> Indices | None:
    """(n, 2) first step with a value and the end of each sample; None where no step is blank."""
    spans = np.empty((len(x), 2), np.int64)
    whole = True
    for start in range(0, len(x), 256):  # parts: x may be a file larger than memory
        seen = ~np.isnan(x[start : start + 256]).all(axis=2)
        whole &= bool(seen.all())
        spans[start : start + 256, 0] = seen.argmax(axis=1)
        spans[start : start + 256, 1] = x.shape[1] - np.flip(seen, axis=1).argmax(axis=1)
    return None if whole else spans


def cut_sections(x: NDArray[np.float32], max_length: int) -> NDArray[np.float32]:
    """Cut series of at least twice ``max_length`` into nearly equal sections.

    The number of sections is ``n_timesteps // max_length``, so a section has at least
    ``max_length`` steps; the shorter ones are padded with NaN at the end by one step. Shorter
    series are returned as they are (TS2Vec, arXiv 2106.10466, and AutoTCL, arXiv 2402.10434).
    Samples that hold no value at all are dropped.

    Args:
        x: (n_samples, n_timesteps, n_channels).
        max_length: wanted number of steps, at least 2.
    """
    if max_length < 2:
        raise InputError("max_train_length", max_length, "sections need at least two time steps")
    n_sections = x.shape[1] // max_length
    if n_sections >= 2:
        parts = np.array_split(x, n_sections, axis=1)
        longest = max(part.shape[1] for part in parts)
        padded = [
            np.pad(part, ((0, 0), (0, longest - part.shape[1]), (0, 0)), constant_values=np.nan)
            for part in parts
        ]
        x = np.concatenate(padded, axis=0)
    empty = np.isnan(x).all(axis=(1, 2))
    return np.ascontiguousarray(x[~empty], dtype=np.float32)
