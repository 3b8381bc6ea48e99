"""AUROC of a row of cells for its models' cards, against pairs counted one by one."""

from __future__ import annotations

import numpy as np
import pytest

from tscl.runs.clinical.run import mean_scores
from tscl.saving.cells import Cell


def cell(y, score, protocol="partial", fraction=1.0, by="samples", seed=0):
    score = np.asarray(score, float)
    key = {"protocol": protocol, "fraction": fraction, "by": by, "seed": seed, "method": "m"}
    return Cell(key, {}, {"y": np.asarray(y), "proba": np.stack([1 - score, score], axis=1)})


def ranked_right(y, score):
    pairs = [
        (a > b) + 0.5 * (a == b)
        for a, one in zip(score, y, strict=True)
        for b, other in zip(score, y, strict=True)
        if one == 1 and other == 0
    ]
    return sum(pairs) / len(pairs)


def test_means_over_seeds_by_protocol_fraction_and_way_of_drawing():
    rng = np.random.default_rng(0)
    kinds = [("partial", 1.0, "samples"), ("full", 0.1, "patients"), ("partial", 0.1, "patients")]
    cells, told = [], {}
    for protocol, fraction, by in kinds:
        values = []
        for seed in range(3):
            y = np.arange(14) % 2
            score = np.round(np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1), 1)  # with ties
            cells.append(cell(y, score, protocol, fraction, by, seed))
            values.append(ranked_right(y, score))
        told[f"{protocol}, {fraction:g} of {by}"] = np.mean(values)
    assert mean_scores(cells, "auroc") == pytest.approx(told)
    assert list(mean_scores(cells, "auroc")) == [
        "partial, 1 of samples",
        "full, 0.1 of patients",
        "partial, 0.1 of patients",
    ]


def test_undefined_values_are_left_out():
    one_class = cell([1, 1, 1], [0.2, 0.5, 0.9], seed=1)
    assert mean_scores([one_class], "auroc") == {}
    assert mean_scores([], "auroc") == {}
    defined = cell([0, 1, 1], [0.2, 0.1, 0.9])
    assert mean_scores([defined, one_class], "auroc") == {"partial, 1 of samples": 0.5}
