"""Crops of recordings: where they may lie, what they share, and that only seed and index decide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_loaders.container.recordings import Recordings
from data_loaders.container.targets import CropTargets
from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.methods import METHODS
from tscl.seeding import counted_uniform, seeded, torch_generator
from tscl.training.data import RandomSampler
from tscl.training.distributed import cut_batch
from tscl.training.recordings import RecordingSource
from tscl.training.trainer import Trainer, TrainSettings

LENGTHS = [40, 100, 57, 200, 33, 90]


def recordings(**fields):
    """Every step holds 1000 times its recording plus its place in it."""
    ramps = [1000.0 * k + np.arange(n, dtype=np.float32)[:, None] for k, n in enumerate(LENGTHS)]
    given = {"patient": [0, 0, 0, 1, 1, 2], "trial": [0, 0, 1, 2, 3, 4], **fields}
    return Recordings.from_arrays(ramps, 10.0, store="float32", **given)


def batch(source, indices=range(6), step=0):
    return source.batch(np.asarray(indices), torch_generator(0, "batch", step))


def places(view):
    """Recording and first step of every crop; the crop must be a ramp."""
    first = view[:, 0, 0].numpy()
    steps = np.arange(view.shape[1])
    assert np.array_equal(view[:, :, 0].numpy(), first[:, None] + steps)
    return (first // 1000).astype(int), (first % 1000).astype(int)


def test_crops_stay_in_their_recording_and_reach_both_ends():
    source = RecordingSource(recordings(), 30)
    seen = [set() for _ in LENGTHS]
    for step in range(400):
        given = batch(source, step=step)
        assert torch.equal(given.x, given.views[0])
        for view in given.views:
            rows, starts = places(view)
            assert rows.tolist() == list(range(6))
            for row, start in zip(rows, starts, strict=True):
                seen[row].add(start)
    for n, starts in zip(LENGTHS, seen, strict=True):
        assert min(starts) == 0 or n > 150
        assert max(starts) <= n - 30
    assert seen[4] == {0, 1, 2, 3}
    assert len(seen[0]) == 11


def test_starts_are_uniform():
    source = RecordingSource(recordings(), 30, views=1)
    starts = np.concatenate([places(batch(source, [0], step).x)[1] for step in range(2200)])
    counts = np.bincount(starts, minlength=11)
    assert len(counts) == 11
    assert np.square(counts - 200).sum() / 200 < 29.6  # chi-square, 10 degrees, p = .001


@pytest.mark.parametrize(("level", "ids"), [("trial", "trial"), ("patient", "patient")])
def test_views_of_a_level_come_from_other_recordings_of_it(level, ids):
    data = recordings()
    source = RecordingSource(data, 30, views=3, level=level)
    group = source.ids[ids]
    seen = set()
    for step in range(100):
        given = batch(source, step=step)
        assert places(given.views[0])[0].tolist() == list(range(6))
        for view in given.views[1:]:
            rows = places(view)[0]
            for own, row in enumerate(rows):
                assert group[own] == group[row]
                assert own != row or (group == group[own]).sum() == 1
                seen.add((own, int(row)))
    others = {
        (a, b)
        for a in range(6)
        for b in range(6)
        if group[a] == group[b] and (a != b or (group == group[a]).sum() == 1)
    }
    assert seen == others


def test_crops_apart_in_time():
    source = RecordingSource(recordings(), 30, views=3, apart=30)
    orders = set()
    for step in range(60):
        starts = np.stack([places(view)[1] for view in batch(source, step=step).views])
        distance = np.diff(np.sort(starts, axis=0), axis=0).min(axis=0)
        assert distance[1] >= 30
        assert distance[3] >= 30
        assert distance[0] == 5  # 10 spare steps: three crops as far apart as they can be
        orders.add(tuple(np.argsort(starts[:, 3])))
    assert len(orders) == 6


def test_the_other_samples_of_a_batch_change_nothing():
    source = RecordingSource(recordings(), 30, views=2, level="patient")
    whole = batch(source, [5, 0, 3, 1])
    for part in cut_batch(np.asarray([5, 0, 3, 1]), 2):
        alone = batch(source, part)
        where = [[5, 0, 3, 1].index(i) for i in part]
        for mine, all_of in zip(alone.views, whole.views, strict=True):
            assert torch.equal(mine, all_of[where])
    assert torch.equal(batch(source).x, batch(source).x)
    assert not torch.equal(batch(source).x, batch(source, step=1).x)


def test_short_recordings_are_padded_or_wrapped_and_never_mostly_padding():
    data = recordings()
    padded = RecordingSource(data, 50)
    offsets = set()
    for step in range(100):
        crop = batch(padded, [4], step).x[0, :, 0]
        present = ~crop.isnan()
        assert int(present.sum()) == 33
        assert torch.equal(crop[present], 4000 + torch.arange(33.0))
        offsets.add(int(present.float().argmax()))
    assert offsets == set(range(18))
    wrapped = batch(RecordingSource(data, 80, short="wrap"), [4]).x[0, :, 0]
    assert torch.equal((wrapped[1:] - wrapped[:-1]) % 33, torch.ones(79))
    with pytest.raises(InputError, match="2 recordings fill less than 50%"):
        RecordingSource(data, 90)


def test_labels_and_ids():
    assert batch(RecordingSource(recordings(), 30)).labels is None
    given = batch(RecordingSource(recordings(label=[0, -1, 1, 1, 0, -1]), 30), [1, 2])
    assert given.labels is not None
    assert given.labels.tolist() == [-1, 1]
    assert {name: codes.tolist() for name, codes in given.ids.items()} == {
        "recording": [1, 2],
        "trial": [0, 1],
        "patient": [0, 0],
    }
    assert batch(RecordingSource(recordings(), 30, views=1)).views == ()
    figures = np.arange(12.0).reshape(6, 2)
    given = batch(RecordingSource(recordings(), 30, extra={"figures": figures}), [5, 0])
    assert given.extra["figures"].tolist() == [[10.0, 11.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"crop": 1}, "crop: got 1"),
        ({"views": 0}, "views"),
        ({"apart": -1}, "apart"),
        ({"level": "patients"}, "did you mean 'patient'"),
        ({"short": "cut"}, "pad, wrap"),
        ({"least": 0.0}, "least"),
        ({"extra": {"rr": np.zeros(5)}}, r"extra\[rr\].*6"),
    ],
)
def test_bad_settings_are_named(settings, says):
    with pytest.raises(InputError, match=says):
        RecordingSource(recordings(), **{"crop": 30, **settings})


def test_counted_numbers_are_uniform_and_apart():
    index = np.arange(20_000)
    drawn = counted_uniform(7, index, 0)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, 20, (0, 1))[0]
    assert np.square(counts - 1000).sum() / 1000 < 43.8  # chi-square, 19 degrees, p = .001
    for other in (counted_uniform(7, index, 1), counted_uniform(8, index, 0)):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.03
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.03


def test_training_goes_on_to_the_bit(tmp_path):
    def fit(steps, resume=False):
        with seeded(0, "method"):
            encoder = ENCODERS.build(
                "dilated", input_dims=1, output_dims=8, hidden_dims=4, depth=1, dropout=0.1
            )
            method = METHODS.build("moco_v3", encoder=encoder, projection_dims=4, hidden_dims=4)
        source = RecordingSource(recordings().standardize(), 30, views=3, level="patient", apart=5)
        settings = TrainSettings(max_epochs=6, max_steps=steps, checkpoint_seconds=0)
        trainer = Trainer(settings, checkpoints=tmp_path / ("a" if resume else str(steps)))
        result = trainer.fit(method, source, RandomSampler(6, 3), resume=resume)
        return method.state_dict(), [row["loss"] for row in result.history]

    whole, losses = fit(8)
    fit(4)
    (tmp_path / "4").rename(tmp_path / "a")
    resumed, again = fit(8, resume=True)
    assert losses == again
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def known(data):
    """Targets that say where each is: 1000 times the recording plus the step, as the values do."""
    steps = np.concatenate([data[k] for k in range(len(data))])
    row = np.repeat(np.arange(6), 3)
    start = np.tile([0, 2, 3], 6)
    return CropTargets(
        row, start, {"where": (1000.0 * row + start)[:, None].astype(np.float32)},
        np.cumsum(data.lengths) - data.lengths, data.lengths,
        {"where": steps}, {"even": steps[:, 0] % 2 == 0},
    )  # fmt: skip


def test_targets_are_those_of_each_views_crop():
    data = recordings()
    source = RecordingSource(
        data, 36, views=3, level="patient", targets=known(data), stride=4, event_stride=2
    )
    given = batch(source, [5, 0, 4, 1])
    assert given.extra["steps.where"].shape == (4, 3, 9, 1)
    assert given.extra["events.even"].shape == (4, 3, 9, 2)
    for k, view in enumerate(given.views):
        middle = view[:, 2::4]
        assert torch.equal(given.extra["steps.where"][:, k].isnan(), middle.isnan())
        torch.testing.assert_close(given.extra["steps.where"][:, k], middle, equal_nan=True)
        first = torch.nan_to_num(view[:, 0, 0], nan=4000.0)  # the fifth is padded: from its start
        apart = (given.extra["crops.where"][:, k, 0] - first).abs()
        assert (apart <= (first % 1000 - 3).clamp_min(0) + 1).all()
        present = ~view[:, :, 0].isnan().unflatten(1, (9, 2, 2)).any(dim=-1)
        assert (given.extra["events.even"][:, k][present] == 1).all()


def test_targets_of_other_recordings_are_named():
    data = recordings()
    with pytest.raises(InputError, match=r"targets.subset"):
        RecordingSource(data.subset([0, 1]), 30, targets=known(data))
    with pytest.raises(InputError, match="divisor of 4"):
        RecordingSource(data, 30, targets=known(data), stride=4, event_stride=3)


def test_crops_as_samples_are_the_views_in_a_row_with_their_ids():
    extra = {"level": np.arange(6.0)}
    starts = np.zeros(6, np.int64)
    figures = {"place": np.arange(6, dtype=np.float32)[:, None]}
    targets = CropTargets(
        np.arange(6), starts, figures, np.cumsum(LENGTHS) - LENGTHS, np.array(LENGTHS), {}, {}
    )
    given = {"views": 3, "extra": extra, "targets": targets}
    views = batch(RecordingSource(recordings(), 30, **given))
    samples = batch(RecordingSource(recordings(), 30, as_samples=True, **given))
    assert samples.views == ()
    assert torch.equal(samples.x.unflatten(0, (6, 3)), torch.stack(views.views, dim=1))
    for name, codes in views.ids.items():
        assert torch.equal(samples.ids[name], codes.repeat_interleave(3))
    assert torch.equal(samples.extra["level"], views.extra["level"].repeat_interleave(3))
    assert samples.extra["crops.place"].shape == (18, 1, 1)
    assert torch.equal(samples.extra["crops.place"].flatten(), views.extra["crops.place"].flatten())
