"""Samplers: every index once, trials whole, patients mixed, a function of seed and epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tscl.errors import InputError
from tscl.training.data import GroupedSampler, RandomSampler, WeightedSampler


def table(patients: int, trials: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Trial and patient of every sample; trial numbers restart in each patient."""
    patient = np.repeat(np.arange(patients), trials * samples)
    trial = np.tile(np.repeat(np.arange(trials), samples), patients)
    return trial, patient


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70), st.booleans(), st.integers(0, 5))
def test_random_sampler_gives_every_index_once(n: int, size: int, drop: bool, epoch: int) -> None:
    if drop and n < size:
        with pytest.raises(InputError, match="batch_size"):
            RandomSampler(n, size, drop)
        return
    batches = RandomSampler(n, size, drop).epoch(3, epoch)
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == len(seen) == (n // size * size if drop else n)
    assert all(len(b) == size for b in batches[:-1])
    assert seen.min() >= 0
    assert seen.max() < n


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50),
    st.integers(1, 20),
    st.sampled_from(["trial", "batch", "random"]),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
def test_grouped_sampler_gives_every_index_once_and_whole_trials(
    rows: list[tuple[int, int]], size: int, mode: str, run: int, spread: bool, refresh: bool
) -> None:
    trial, patient = (np.array(column) for column in zip(*rows, strict=True))
    sampler = GroupedSampler(
        trial,
        patient,
        size,
        mode,  # type: ignore[arg-type]
        trials_per_patient=run,
        spread=spread,
        refresh=refresh,
    )
    for epoch in range(2):
        batches = sampler.epoch(0, epoch)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(rows)))
        assert all(1 <= len(b) <= size for b in batches)
        if mode == "random":
            continue
        where = {int(i): number for number, b in enumerate(batches) for i in b}
        for key in set(rows):
            members = [i for i, row in enumerate(rows) if row == key]
            if len(members) <= size:
                assert len({where[i] for i in members}) == 1


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 6), st.integers(1, 8), st.integers(1, 4), st.integers(4, 9), st.integers(0, 9)
)
def test_every_full_batch_mixes_patients(
    patients: int, trials: int, samples: int, per_batch: int, seed: int
) -> None:
    trial, patient = table(patients, trials, samples)
    batches = GroupedSampler(trial, patient, per_batch * samples).epoch(seed, 0)
    for batch in batches[:-1]:
        assert len(batch) == per_batch * samples
        assert len(np.unique(patient[batch])) >= 2


def test_trial_mode_keeps_the_order_inside_a_trial_and_batch_mode_does_not() -> None:
    trial, patient = table(3, 4, 6)

    def ordered(mode: str) -> bool:
        batch = GroupedSampler(trial, patient, 12, mode).epoch(0, 0)[0]  # type: ignore[arg-type]
        steps = np.diff(batch.reshape(2, 6), axis=1)
        return bool((steps == 1).all())

    assert ordered("trial")
    assert not ordered("batch")


def test_trials_per_patient_places_trials_of_a_patient_together() -> None:
    trial, patient = table(30, 4, 2)
    alone = GroupedSampler(trial, patient, 8).epoch(0, 0)
    pairs = GroupedSampler(trial, patient, 8, trials_per_patient=2).epoch(0, 0)
    assert np.mean([len(np.unique(patient[b])) for b in alone]) > 3.5
    assert all(len(np.unique(patient[b])) == 2 for b in pairs)


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    trial, patient = table(4, 5, 3)
    sampler = GroupedSampler(trial, patient, 9)

    def members(seed: int, epoch: int) -> list[tuple[int, ...]]:
        return [tuple(b.tolist()) for b in sampler.epoch(seed, epoch)]

    assert members(1, 2) == members(1, 2)
    assert members(1, 2) != members(1, 3)
    assert members(1, 2) != members(2, 2)
    simple = RandomSampler(30, 9)
    assert np.array_equal(simple.epoch(1, 4)[0], simple.epoch(1, 4)[0])
    assert not np.array_equal(simple.epoch(1, 4)[0], simple.epoch(1, 5)[0])


def test_without_refresh_only_the_order_of_batches_changes() -> None:
    trial, patient = table(5, 6, 3)
    sampler = GroupedSampler(trial, patient, 9, refresh=False)
    first, second = (sampler.epoch(0, epoch) for epoch in (0, 1))
    assert {tuple(b.tolist()) for b in first} == {tuple(b.tolist()) for b in second}
    assert [b[0] for b in first] != [b[0] for b in second]
    fresh = GroupedSampler(trial, patient, 9)
    assert {tuple(b.tolist()) for b in fresh.epoch(0, 0)} != {
        tuple(b.tolist()) for b in fresh.epoch(0, 1)
    }


def test_batches_do_not_depend_on_what_ids_look_like() -> None:
    trial, patient = table(12, 3, 2)
    names = np.array([f"patient-{12 - p}" for p in patient])
    numbers = 10**12 + 37 * (50 - trial)
    a = GroupedSampler(trial, patient, 6).epoch(0, 1)
    b = GroupedSampler(numbers, names, 6).epoch(0, 1)
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_drop_last_leaves_out_only_a_batch_with_room() -> None:
    trial, patient = table(2, 5, 3)
    kept = GroupedSampler(trial, patient, 7, drop_last=True).epoch(0, 0)
    assert [len(b) for b in kept] == [6] * 5
    kept = GroupedSampler(trial, patient, 12, drop_last=True).epoch(0, 0)
    assert [len(b) for b in kept] == [12, 12]
    kept = GroupedSampler(trial, patient, 12).epoch(0, 0)
    assert [len(b) for b in kept] == [12, 12, 6]


def test_bad_arguments_of_samplers_are_named() -> None:
    trial, patient = table(2, 2, 2)
    with pytest.raises(InputError, match="trial, patient"):
        GroupedSampler(trial, patient[:-1], 4)
    with pytest.raises(InputError, match="mode"):
        GroupedSampler(trial, patient, 4, "trials")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="batch_size"):
        GroupedSampler(trial, patient, 9, drop_last=True)
    with pytest.raises(InputError, match="batch_size"):
        RandomSampler(4, 0)
    with pytest.raises(InputError, match="trial"):
        GroupedSampler([], [], 4)


def test_samples_are_drawn_in_proportion_to_their_weights() -> None:
    weights = np.tile([4.0, 1.0, 2.0, 0.0], 12)
    trial, patient = table(6, 2, 4)
    for inner in (RandomSampler(48, 10, drop_last=True), GroupedSampler(trial, patient, 16)):
        sampler = WeightedSampler(inner, weights)
        seen = np.zeros(48)
        for epoch in range(200):
            batches = sampler.epoch(0, epoch)
            assert len(batches) == len(inner.epoch(0, epoch))
            for batch in batches:
                assert 2 <= len(np.unique(batch)) == len(batch) <= inner.batch_size
                seen[batch] += 1
        share = seen.reshape(12, 4).sum(axis=0) / seen.reshape(12, 4)[:, 0].sum()
        np.testing.assert_allclose(share, [1, 0.25, 0.5, 0], atol=0.04)
        assert all(
            np.array_equal(*pair)
            for pair in zip(sampler.epoch(1, 2), sampler.epoch(1, 2), strict=True)
        )
        same = WeightedSampler(inner, np.full(48, 0.2)).epoch(0, 1)
        assert all(np.array_equal(*pair) for pair in zip(same, inner.epoch(0, 1), strict=True))


def test_weighted_batches_keep_a_trial_together() -> None:
    trial, patient = table(6, 2, 4)
    sampler = WeightedSampler(GroupedSampler(trial, patient, 16), np.tile([1.0, 1.0, 1.0, 0.5], 12))
    for batch in sampler.epoch(0, 0):
        keys, counts = np.unique(patient[batch] * 2 + trial[batch], return_counts=True)
        assert counts.min() >= 3, keys
