"""Augmentations of ECG and EEG: what they add in Hz and in units, against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tscl.augmentations import (
    BandStop,
    BaselineWander,
    ChannelDropout,
    ECGPolicy,
    EEGPolicy,
    FourierSurrogate,
    MainsHum,
    MuscleNoise,
    Polarity,
    Speed,
    SwapSides,
    TimeOut,
    mirrored,
)
from tscl.augmentations.interference import standard_deviation, waves
from tscl.errors import InputError
from tscl.seeding import torch_generator


def series(b=40, t=1000, c=2):
    return torch.randn(b, t, c, generator=torch_generator(5), dtype=torch.float64)


def seeded(seed=1):
    return torch_generator(seed, "view")


def power(x, rate):
    """Frequencies and the power of a Hann-windowed (B, T, C), summed over channels: (B, bins)."""
    window = np.hanning(x.shape[1])[:, None]
    found = np.abs(np.fft.rfft(x.numpy() * window, axis=1)) ** 2
    return np.fft.rfftfreq(x.shape[1], 1 / rate), found.sum(axis=2)


def test_waves_are_sums_of_sines_and_cosines():
    frequency = torch.tensor([[[1.0, 2.5]], [[0.2, 4.0]]], dtype=torch.float64)
    sizes = torch.randn(2, 4, 3, generator=torch_generator(1), dtype=torch.float64)
    slow = np.zeros((2, 30, 3))
    for b, t, c, w in np.ndindex(2, 30, 3, 2):
        angle = 2 * np.pi * float(frequency[b, 0, w]) * t / 20.0
        slow[b, t, c] += float(sizes[b, w, c]) * np.sin(angle)
        slow[b, t, c] += float(sizes[b, 2 + w, c]) * np.cos(angle)
    np.testing.assert_allclose(waves(frequency, sizes, 30, 20.0), slow, atol=1e-12)


def test_deviation_is_that_of_the_values_present():
    x = series(4, 50)
    x[0, 10:30, 1] = torch.nan
    x[1, :, 0] = torch.nan
    x[2, :, 0] = 3.0
    found = standard_deviation(x)[:, 0].numpy()
    assert found[0] == pytest.approx(np.nanstd(x[0].numpy(), axis=0))
    assert found[1, 0] < 1e-100
    assert found[2, 0] < 1e-100
    x = x.detach().requires_grad_()
    standard_deviation(x).nansum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(
    ("augmentation", "rate", "low", "high"),
    [
        (BaselineWander(50.0, low=0.1, high=0.5), 50.0, 0.0, 0.7),
        (BaselineWander(50.0, low=1.0, high=2.0), 50.0, 0.8, 2.2),
        (MuscleNoise(200.0, low=40.0, shortest=1.0), 200.0, 38.0, 100.0),
        (MainsHum(200.0, frequencies=(50,)), 200.0, 49.0, 51.0),
        (MainsHum(200.0, frequencies=(50, 60, 100, 150)), 200.0, 49.0, 61.0),
    ],
)
def test_interference_lies_in_its_band(augmentation, rate, low, high):
    x = series()
    frequency, found = power(augmentation(x, seeded()) - x, rate)
    inside = (frequency >= low) & (frequency <= high)
    assert (found[:, inside].sum(axis=1) > 0.995 * found.sum(axis=1)).all()


@pytest.mark.parametrize("kind", [BaselineWander, MainsHum, MuscleNoise])
def test_strength_is_a_share_of_the_deviation_or_an_amount(kind):
    x = series()
    relative = kind(200.0, 0.4)
    added = relative(x, seeded()) - x
    torch.testing.assert_close(relative(10 * x, seeded()) - 10 * x, 10 * added)
    amount = kind(200.0, 0.4, relative=False)
    added = amount(x, seeded()) - x
    torch.testing.assert_close(amount(10 * x, seeded()) - 10 * x, added)
    twice = kind(200.0, 0.8, relative=False)
    torch.testing.assert_close(twice(x, seeded()) - x, 2 * added)


def test_curves_have_unit_size_where_they_are_full():
    x = series(400)
    for augmentation in (BaselineWander(200.0, low=2, high=9), MainsHum(200.0)):
        curve = augmentation.draw(x, seeded())["curve"]
        assert float(curve.square().mean()) == pytest.approx(1.0, abs=0.1)
    for t in (1000, 999):
        draws = MuscleNoise(200.0, low=30.0, shortest=0.02).draw(x[:, :t], seeded())
        height = draws["curve"].square().reshape(400, -1, 2).mean(dim=2)
        smooth = height.unfold(1, 41, 1).mean(dim=2).amax(dim=1)  # the height of each burst
        assert 0.9 < float(smooth.median()) < 1.7


def test_both_mains_frequencies_occur_and_unheard_ones_are_left_out():
    x = series(60)
    frequency, found = power(MainsHum(200.0)(x, seeded()) - x, 200.0)
    peaks = frequency[found.argmax(axis=1)].round().tolist()
    assert set(peaks) == {50, 60}
    assert MainsHum(110.0).frequencies == (50.0,)
    with pytest.raises(InputError, match="leave the hum out"):
        MainsHum(100.0)


def test_lost_channels():
    x = series(2000, 3, 4)
    kept = (ChannelDropout(0.3)(x, seeded()) != 0).all(dim=1)
    assert float(kept.double().mean()) == pytest.approx(0.7 + 0.3**4 / 4, abs=0.02)
    assert bool(kept.any(dim=1).all())
    assert ((ChannelDropout(1.0)(x, seeded()) != 0).all(dim=1).sum(dim=1) == 1).all()


def test_polarity_turns_whole_samples():
    x = series(2000, 3, 2)
    out = Polarity(0.3)(x, seeded())
    turned = (out == -x).all(dim=(1, 2))
    assert bool((turned | (out == x).all(dim=(1, 2))).all())
    assert float(turned.double().mean()) == pytest.approx(0.3, abs=0.04)


def test_who_stands_opposite():
    names = ["FP1", "FP2", "F7", "F8", "AFZ", "X", "PO8", "PO7", "nd", "Cz"]
    assert mirrored(names) == (1, 0, 3, 2, 4, 5, 7, 6, 8, 9)
    assert mirrored(["F3-C3", "Fz-Cz", "F4-C4", "T9"]) == (2, 1, 0, 3)
    assert mirrored(["C9", "C10"]) == (1, 0)
    with pytest.raises(InputError, match="positions"):
        mirrored(["Cz", "I", "II"])


def test_sides_are_swapped():
    x = series(300, 4, 3)
    out = SwapSides(["C3", "Cz", "C4"], 0.5)(x, seeded())
    swapped = (out == x[..., [2, 1, 0]]).all(dim=(1, 2))
    assert bool((swapped | (out == x).all(dim=(1, 2))).all())
    assert 100 < int(swapped.sum()) < 200
    assert torch.equal(SwapSides([2, 1, 0], 1.0)(x, seeded()), x[..., [2, 1, 0]])
    with pytest.raises(InputError, match="2 channels"):
        SwapSides([2, 1, 0])(x[..., :2], seeded())
    with pytest.raises(InputError, match="each position once"):
        SwapSides([0, 0, 1])


@pytest.mark.parametrize("t", [41, 40])
def test_speed_against_a_loop(t):
    x = series(30, t, 1)
    augmentation = Speed(1.5)
    out = augmentation(x, seeded())
    position = augmentation.draw(x, seeded())["position"]
    speeds = []
    for b in range(30):
        speed = float(position[b, t // 2 + 1, 0] - position[b, t // 2, 0])
        speeds.append(speed)
        for step in range(t):
            at = (t - 1) / 2 + speed * (step - (t - 1) / 2)
            at = -at if at < 0 else at
            at = 2 * (t - 1) - at if at > t - 1 else at
            slow = np.interp(at, np.arange(t), x[b, :, 0].numpy())
            assert float(out[b, step, 0]) == pytest.approx(slow, abs=1e-9)
    assert 1 / 1.5 <= min(speeds) < 0.75
    assert 1.33 < max(speeds) <= 1.5


def test_a_sine_gets_faster_or_slower():
    time = torch.arange(2000, dtype=torch.float64) / 100
    x = torch.sin(2 * torch.pi * 5 * time)[None, :, None].expand(50, -1, -1)
    frequency, found = power(Speed(1.2)(x, seeded())[:, 400:1600], 100.0)
    peaks = frequency[found.argmax(axis=1)]
    assert peaks.min() >= 5 / 1.2 - 0.1
    assert peaks.max() <= 6.1
    assert peaks.max() - peaks.min() > 1.2


def test_time_out_hides_one_stretch_of_uniform_length():
    x = series(3000, 100, 2).abs() + 1
    hidden = TimeOut(0.4)(x, seeded()) == 0
    assert torch.equal(hidden[..., 0], hidden[..., 1])
    edges = (hidden[:, 1:, 0] != hidden[:, :-1, 0]).sum(dim=1)
    assert int(edges.max()) == 2
    inside = ~hidden[:, -1, 0]  # those that end before the series does
    lengths = hidden[inside, :, 0].sum(dim=1)
    assert int(lengths.max()) == 40 or int(lengths.max()) == 39
    assert int(lengths.min()) == 0
    assert float(TimeOut(1.0)(x, seeded()).eq(0).double().mean()) > 0.2


def test_band_stop_removes_one_band():
    x = series(60, 500, 2)
    augmentation = BandStop(100.0, width=8.0, low=10.0, high=30.0)
    out = augmentation(x, seeded())
    before, after = (np.fft.rfft(one.numpy(), axis=1) for one in (x, out))
    frequency = np.fft.rfftfreq(500, 0.01)
    gone = np.abs(after) < 1e-9 * np.abs(before).max()
    np.testing.assert_allclose(after[~gone], before[~gone], atol=1e-9)
    assert np.array_equal(gone[..., 0], gone[..., 1])
    for row in gone[..., 0]:
        where = frequency[row]
        if len(where):
            assert where.max() - where.min() <= 8.0
            assert 6.0 <= where.min() <= where.max() <= 34.0
            assert len(where) == round((where.max() - where.min()) * 5) + 1
    assert gone.sum() > 60 * 2 * 15
    with pytest.raises(InputError, match="50 Hz"):
        BandStop(100.0, high=60.0)


@pytest.mark.parametrize("t", [200, 201])
def test_surrogates_keep_spectra_and_what_channels_share(t):
    x = series(20, t, 2)
    out = FourierSurrogate()(x, seeded())
    before, after = (np.fft.rfft(one.numpy(), axis=1) for one in (x, out))
    np.testing.assert_allclose(np.abs(after), np.abs(before), atol=1e-8)
    cross = before[..., 0] * before[..., 1].conj()
    np.testing.assert_allclose(after[..., 0] * after[..., 1].conj(), cross, atol=1e-6)
    assert abs(np.corrcoef(x.numpy().ravel(), out.numpy().ravel())[0, 1]) < 0.1
    angle = np.angle(after / before)
    assert np.abs(angle).max() > 3.0
    weak = np.fft.rfft(FourierSurrogate(0.1)(x, seeded()).numpy(), axis=1)
    assert np.abs(np.angle(weak / before)).max() == pytest.approx(0.1 * np.pi, rel=0.02)


def test_policies_leave_out_what_the_rate_does_not_let_through():
    def names(policy):
        return [type(part).__name__ for part in policy.parts]

    assert "MainsHum" not in names(ECGPolicy(100.0))
    assert "MainsHum" in names(ECGPolicy(250.0))
    assert "MuscleNoise" not in names(EEGPolicy(40.0))
    assert "SwapSides" not in names(EEGPolicy())
    assert "SwapSides" in names(EEGPolicy(channels=["C3", "C4"]))
    assert names(ECGPolicy(speed=1.1))[0] == "Speed"
    with pytest.raises(InputError, match="rate: got 0"):
        ECGPolicy(rate=0)


@pytest.mark.parametrize("policy", [ECGPolicy(), EEGPolicy()])
def test_a_view_still_resembles_its_sample_most(policy):
    x = series(30, 1000, 1)
    found = torch.corrcoef(torch.cat((x, policy(x, seeded())))[..., 0])[:30, 30:].abs()
    assert float((found.argmax(dim=1) == torch.arange(30)).double().mean()) > 0.9
