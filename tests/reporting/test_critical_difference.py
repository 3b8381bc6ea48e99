"""Ranks, tests and groups against published figures and slow definitions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tscl.errors import ConfigError, InputError
from tscl.reporting.critical_difference import critical_difference

# Demšar 2006, table 6: AUC of four versions of C4.5 on fourteen data sets
DEMSAR = pd.DataFrame(
    {
        "C4.5": [
            0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619,
            0.972, 0.957,
        ],
        "C4.5+m": [
            0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666,
            0.981, 0.978,
        ],
        "C4.5+cf": [
            0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614,
            0.9751, 0.946,
        ],
        "C4.5+m+cf": [
            0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669,
            0.975, 0.970,
        ],
    }
)  # fmt: skip


def test_the_published_example():
    made = critical_difference(DEMSAR, lower_is_better=False, test="nemenyi", alpha=0.10)
    assert made.ranks.round(3).to_dict() == {
        "C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143,
    }  # fmt: skip
    assert made.difference == pytest.approx(1.12, abs=0.005)
    # the paper finds both parameter-tuned forms better than C4.5 at level .10
    assert made.groups == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))
    strict = critical_difference(DEMSAR, lower_is_better=False, test="nemenyi", alpha=0.05)
    assert strict.difference == pytest.approx(1.25, abs=0.005)


def slow_wilcoxon(a, b):
    """Exact two-sided p-value by all signs of the differences."""
    d = np.asarray(a) - np.asarray(b)
    ranks = np.argsort(np.argsort(np.abs(d))) + 1
    seen = sum(r for r, v in zip(ranks, d, strict=True) if v > 0)
    middle = ranks.sum() / 2
    values = [
        sum(r for r, s in zip(ranks, signs, strict=True) if s)
        for signs in product((0, 1), repeat=len(d))
    ]
    return np.mean([abs(v - middle) >= abs(seen - middle) - 1e-9 for v in values])


def test_wilcoxon_and_holm_against_the_definition():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        rng.normal(size=(9, 4)) + np.array([0.0, 0.1, 1.0, 3.0]), columns=list("abcd")
    )
    made = critical_difference(frame)
    names = [(x, y) for i, x in enumerate("abcd") for y in "abcd"[i + 1 :]]
    raw = {pair: slow_wilcoxon(frame[pair[0]], frame[pair[1]]) for pair in names}
    left, floor = len(raw), 0.0
    for pair, p in sorted(raw.items(), key=lambda item: item[1]):
        floor = min(1.0, max(floor, left * p))
        assert made.pairs.loc[pair] == pytest.approx(floor)
        assert made.pairs.loc[pair[::-1]] == pytest.approx(floor)
        left -= 1
    assert made.least_p == pytest.approx(6 * 2**-8)


def brute_groups(ranks, pairs, alpha):
    """Maximal contiguous sets whose pairs are all alike, by trying every stretch."""
    names = list(ranks.index)
    stretches = [
        names[i:j]
        for i in range(len(names))
        for j in range(i + 2, len(names) + 1)
        if all(pairs.loc[a, b] >= alpha for a, b in permutations(names[i:j], 2))
    ]
    return {tuple(s) for s in stretches if not any(set(s) < set(o) for o in stretches)}


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(2, 5), n=st.integers(2, 9))
def test_groups_are_maximal_stretches_and_order_does_not_matter(seed, k, n):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        rng.normal(size=(n, k)).round(2) + np.arange(k) * rng.uniform(0, 1),
        columns=list("abcdef")[:k],
    )
    for test in ("nemenyi",) if seed % 3 == 0 else ("wilcoxon_holm",):
        made = critical_difference(frame, test=test)
        assert made.ranks.mean() == pytest.approx((k + 1) / 2)
        if made.p_value >= made.alpha:
            assert made.groups == (tuple(made.ranks.index),)
        else:
            assert set(made.groups) == brute_groups(made.ranks, made.pairs, made.alpha)
        other = critical_difference(frame.iloc[::-1, ::-1], test=test)
        assert other.ranks.to_dict() == pytest.approx(made.ranks.to_dict())
        assert other.pairs.loc["a", "b"] == pytest.approx(made.pairs.loc["a", "b"])


def test_equal_methods_and_few_data_sets_are_said_to_be_so():
    frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [1.0, 2, 3], "c": [1.0, 2, 3]})
    made = critical_difference(frame)
    assert made.p_value == 1.0
    assert made.groups == (("a", "b", "c"),)
    assert "cannot show a difference" in made.sentence()
    two = critical_difference(frame[["a", "b"]].assign(b=lambda f: f["b"] + 1.0))
    assert two.p_value == pytest.approx(0.25)


def test_figure_shows_every_method_at_its_rank():
    figure = critical_difference(DEMSAR, lower_is_better=False, test="nemenyi", alpha=0.1).figure()
    axes = figure.axes[0]
    texts = [t.get_text() for t in axes.texts]
    assert "C4.5+m+cf  1.96" in texts
    assert "3.14  C4.5" in texts
    assert any(t.startswith("CD 1.1") for t in texts)
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 4]
    assert len(bars) == 2
    assert bars[0][0] == pytest.approx(1.964, abs=0.05)
    assert bars[0][1] == pytest.approx(2.893, abs=0.05)


def test_bad_tables_are_named():
    with pytest.raises(InputError, match=r"no figure of C4\.5\+m on 3"):
        critical_difference(DEMSAR.assign(**{"C4.5+m": DEMSAR["C4.5+m"].where(DEMSAR.index != 3)}))
    with pytest.raises(InputError, match="at least two"):
        critical_difference(DEMSAR[["C4.5"]])
    with pytest.raises(ConfigError, match="nemenyi"):
        critical_difference(DEMSAR, test="nemeny")
