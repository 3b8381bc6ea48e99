"""Intervals cover what they say, follow a planted spread, and never cross."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tscl.errors import InputError
from tscl.evaluation.forecasting.coverage import calibrated, tracked_widths, window_spread
from tscl.forecasters import ForecastNetwork
from tscl.forecasters.intervals import (
    AdaptiveIntervals,
    ConformalIntervals,
    QuantileHead,
    QuantileIntervals,
    fit_quantile_head,
    pinball,
    window_embeddings,
)
from tscl.seeding import seeded


def planted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, 3) and errors (n, 2, 1) whose spread is told by the first column."""
    rng = np.random.default_rng(seed)
    embeddings = rng.uniform(size=(n, 3))
    spread = (0.2 + 2 * embeddings[:, :1, None]) * np.array([[[1.0], [2.0]]])
    return embeddings.astype(np.float32), (spread * rng.normal(size=(n, 2, 1))).astype(np.float32)


def test_pinball_against_loops():
    rng = np.random.default_rng(0)
    errors, quantiles = rng.normal(size=(3, 2, 1)), rng.normal(size=(3, 2, 1, 2))
    total = 0.0
    for b in range(3):
        for h in range(2):
            for i, level in enumerate((0.2, 0.7)):
                gap = errors[b, h, 0] - quantiles[b, h, 0, i]
                total += level * gap if gap > 0 else (level - 1) * gap
    made = pinball(torch.from_numpy(errors), torch.from_numpy(quantiles), (0.2, 0.7))
    assert float(made) == pytest.approx(total / 12)


def test_conformal_rank_is_the_finite_sample_one():
    scores = np.arange(1.0, 20.0)[::-1, None]  # 19 scores
    assert calibrated(scores, 0.5)[0] == 10.0  # ceil(20 * .5)
    assert calibrated(scores, 0.9)[0] == 18.0
    assert calibrated(scores, 0.0)[0] == 1.0
    assert calibrated(scores, 0.99)[0] == 19.0  # 20 would be needed; the largest is what there is


def test_head_starts_at_the_quantiles_of_all_errors_and_never_crosses():
    embeddings, errors = planted(500, 0)
    head = QuantileHead(3, 2, 1, (0.1, 0.5, 0.9))
    head.start_from(torch.from_numpy(embeddings), torch.from_numpy(errors))
    made = head(torch.from_numpy(embeddings[:4])).detach().numpy()
    wanted = np.quantile(errors, (0.1, 0.5, 0.9), axis=0).transpose(1, 2, 0)
    np.testing.assert_allclose(made, np.broadcast_to(wanted, made.shape), atol=2e-3)
    torch.nn.init.normal_(head.linear.weight, std=5.0)
    wild = head(torch.from_numpy(embeddings))
    assert (wild.diff(dim=-1) >= 0).all()


def test_both_kinds_cover_and_the_head_follows_the_spread():
    embeddings, errors = planted(800, 1)
    held, truth = planted(400, 2)
    head = fit_quantile_head(embeddings, errors)
    new_embeddings, new_errors = planted(2000, 3)
    for coverage in (0.5, 0.8, 0.98):  # .98 is beyond the head's levels
        widths, wide = {}, {}
        third = new_embeddings[:, 0] > np.quantile(new_embeddings[:, 0], 2 / 3)
        for name, kind in (
            ("conformal", ConformalIntervals(truth)),
            ("head", QuantileIntervals.calibrate(head, held, truth)),
        ):
            low, high = kind.bounds(coverage, new_embeddings)
            inside = ((new_errors >= low) & (new_errors <= high)).mean(axis=0)
            assert inside == pytest.approx(coverage, abs=0.06)
            wide[name] = ((new_errors >= low) & (new_errors <= high))[third].mean()
            widths[name] = (high - low)[:, 0, 0]
        assert np.ptp(widths["conformal"]) == 0
        assert np.corrcoef(widths["head"], new_embeddings[:, 0])[0, 1] > 0.8
        # where the spread is large, one width for all covers too little
        assert abs(wide["head"] - coverage) < 0.06
        assert wide["conformal"] < wide["head"] - 0.03 * (coverage < 0.9)


def test_embeddings_are_those_of_the_last_token_and_bad_levels_are_named():
    with seeded(0, "weights"):
        network = ForecastNetwork(
            2, 3, marks=1, encoder="tcn", encoder_params={"hidden_dims": 4}, output_dims=5
        ).eval()
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 2)).astype(np.float32)
    marks = rng.normal(size=(30, 1)).astype(np.float32)
    made = window_embeddings(network, values, np.array([9, 20]), 8, marks=marks, batch_size=1)
    x, k = torch.from_numpy(values[None, 13:21]), torch.from_numpy(marks[None, 13:21])
    wanted = network.represent(x, k)[0, -1].detach().numpy()
    np.testing.assert_allclose(made[1], wanted, rtol=1e-5, atol=1e-6)
    for levels in ((0.5,), (0.5, 0.5), (0.0, 0.5)):
        with pytest.raises(InputError, match="levels"):
            QuantileHead(3, 2, 1, levels)
    with pytest.raises(InputError, match="embeddings"):
        fit_quantile_head(np.zeros((3, 2), np.float32), np.zeros((4, 2, 1), np.float32))


def drifting(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Errors (n, 2, 1) that grow threefold in the second half, and their windows' spread."""
    rng = np.random.default_rng(4)
    size = np.where(np.arange(n) < n // 2, 1.0, 3.0)[:, None, None]
    return (size * rng.normal(size=(n, 2, 1))).astype(np.float32), np.ones((n, 1))


def test_adaptive_intervals_follow_a_drift_that_split_conformal_misses():
    errors, spread = drifting(800)
    fixed = ConformalIntervals(errors[:300])
    first = AdaptiveIntervals(errors[:300], spread[:300])
    inside: dict[str, list[bool]] = {"fixed": [], "adaptive": []}
    embeddings = np.zeros((1, 1), np.float32)
    for i in range(500, 800, 3):
        known = errors[300:i].copy()
        known[-1, 1] = np.nan  # two steps after its window
        seen = first.followed_by(known[:50], spread[300:350])
        seen = seen.followed_by(known[50:], spread[350:i])
        for name, kind in (("fixed", fixed), ("adaptive", seen)):
            low, high = kind.bounds(0.9, embeddings)
            inside[name].append(((errors[i] >= low[0]) & (errors[i] <= high[0])).mean())
    assert np.mean(inside["fixed"]) < 0.55
    assert np.mean(inside["adaptive"]) > 0.85
    assert first.width(0.5).max() < first.width(0.9).min()


def test_misses_of_a_long_delay_widen_once():
    """All errors twice the held-out ones: every width issued in the delay misses, to no more."""
    held = np.random.default_rng(0).uniform(size=(50, 100, 1))
    later = np.full((400, 100, 1), 2.0)
    widths = tracked_widths(held, later, 0.9)
    assert widths[-1].min() >= 1.9
    # a move at most beyond the errors, times the largest ratio of two steps' first widths
    assert widths.max() <= (2.0 + 0.05 * 2.0) * widths[0].max() / widths[0].min()


@pytest.mark.parametrize("stride", [1, 2])
def test_tracked_widths_against_loops(stride):
    rng = np.random.default_rng(2)
    held, later = rng.random((12, 3, 1)), 2 * rng.random((9, 3, 1))
    result = tracked_widths(held, later, 0.8, stride=stride, rate=0.3, memory=5)
    first = [sorted(held[:, s, 0])[10] for s in range(3)]  # the ceil(13 * .8) = 11th
    own, used = list(first), []
    for i in range(10):
        for s in range(3):
            for j in range(i):
                if (i - j - 1) * stride < s + 1 <= (i - j) * stride:  # known since the last window
                    recent = [*held[:, s, 0], *later[: j + 1, s, 0]][-5:]
                    own[s] += 0.3 * max(recent) * ((later[j, s, 0] > own[s]) - 0.2)
                    own[s] = max(own[s], 0.0)
        ratios = [own[s] / first[s] for s in range(3)]
        used.append([first[s] * max(ratios[s], np.mean(ratios[: s + 1])) for s in range(3)])
    np.testing.assert_allclose(result[:, :, 0], used, rtol=1e-10)
    unknown = later.copy()
    unknown[-1] = np.nan
    np.testing.assert_allclose(
        tracked_widths(held, unknown, 0.8, stride=stride, rate=0.3, memory=5)[:-1], result[:-1]
    )


def test_the_spread_of_constant_windows_is_not_zero():
    past = np.zeros((4, 6, 1))
    past[1:] = np.arange(6)[:, None]
    spread = window_spread(past)
    assert spread[1, 0] == pytest.approx(np.arange(6).std())
    assert spread[0, 0] == pytest.approx(0.1 * spread[1, 0], rel=1e-4)
