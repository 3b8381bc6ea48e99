"""Ranks with intervals over data sets and seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recipes.objectives.figures import geometry_figure, rank_figure
from recipes.objectives.ranking import format_interval, rank_methods
from tscl.errors import InputError

ERRORS = {
    # method: one row a data set, one column a seed
    "good": [[0.1, 0.2, 0.1], [0.3, 0.3, 0.2]],
    "middle": [[0.3, 0.2, 0.3], [0.3, 0.3, 0.2]],
    "bad": [[0.9, 0.8, 0.9], [0.6, 0.7, 0.8]],
    "partial": [[0.05, 0.05, 0.05], None],
}


def cells() -> pd.DataFrame:
    rows = [
        {"task": task, "objective": name, "seed": seed, "error": value}
        for name, tables in ERRORS.items()
        for task, values in zip("AB", tables, strict=True)
        for seed, value in enumerate(values or [])
    ]
    return pd.DataFrame(rows)


def test_ranks_are_those_of_the_means_within_each_data_set() -> None:
    ranking = rank_methods(cells())
    place = dict(zip(ranking.methods, ranking.mean_rank, strict=True))
    # A: partial 1, good 2, middle 3, bad 4; B: good and middle share 1 and 2, bad 3
    assert place == {"partial": 1.0, "good": 1.75, "middle": 2.25, "bad": 3.5}
    assert ranking.methods == ("partial", "good", "middle", "bad")
    assert list(ranking.complete().columns) == ["good", "middle", "bad"]
    assert np.isnan(ranking.ranks[1, 0])
    assert (ranking.low <= ranking.mean_rank).all()
    assert (ranking.mean_rank <= ranking.high).all()
    mean, low, high = ranking.task_interval("B", "bad")
    assert mean == pytest.approx(0.7)
    assert low == pytest.approx(0.6)
    assert high == pytest.approx(0.8)


def test_paired_differences_decide_against_a_reference() -> None:
    ranking = rank_methods(cells())
    assert ranking.against("bad", "good") == {"better": 0, "worse": 2, "open": 0}
    assert ranking.against("good", "bad") == {"better": 2, "worse": 0, "open": 0}
    assert ranking.against("middle", "good") == {"better": 0, "worse": 0, "open": 2}
    assert ranking.against("partial", "good") == {"better": 1, "worse": 0, "open": 0}


def test_intervals_cover_a_known_mean_rank() -> None:
    """Two methods of one distribution: the interval of the mean rank holds 1.5."""
    rng = np.random.default_rng(0)
    rows = [
        {"task": t, "objective": m, "seed": s, "error": rng.normal()}
        for t in range(8)
        for m in "ab"
        for s in range(5)
    ]
    ranking = rank_methods(pd.DataFrame(rows))
    assert (ranking.low < 1.5).all()
    assert (ranking.high > 1.5).all()


def test_unfinished_seeds_are_left_out_and_bad_cells_are_named() -> None:
    frame = cells()
    assert rank_methods(frame[:-1]).seeds == (0, 1)
    with pytest.raises(InputError, match="no seed has all"):
        rank_methods(frame[~((frame["objective"] == "bad") & (frame["task"] == "A"))][1:4])
    with pytest.raises(InputError, match="good on A twice"):
        rank_methods(pd.concat([frame, frame[:1]]))
    frame.loc[0, "error"] = np.nan
    with pytest.raises(InputError, match="good on A, seed 0"):
        rank_methods(frame)
    with pytest.raises(InputError, match="no rows"):
        rank_methods(frame[:0])


def test_numbers_are_short() -> None:
    assert format_interval((0.5, 0.25, 10.0)) == ".500 [.250, 10.000]"
    assert format_interval((-0.5, 0.04, 1.0), digits=1) == "-.5 [.0, 1.0]"


def test_figures_show_every_method_once() -> None:
    frame = cells()
    frame["alignment"], frame["uniformity"] = 0.1, -1.0
    frame.loc[frame["objective"] == "bad", ["alignment", "uniformity"]] = np.nan
    ranking = rank_methods(frame)
    groups = dict.fromkeys(ranking.methods, "one") | {"bad": "other"}
    labels = [t.get_text() for t in rank_figure(ranking, groups).axes[0].get_yticklabels()]
    assert labels == ["partial  1", "good  2", "middle  3", "bad  4"]
    shown = geometry_figure(frame, ranking, groups)
    assert [[t.get_text() for t in a.texts] for a in shown.axes] == [["1", "2", "3"], ["2", "3"]]
