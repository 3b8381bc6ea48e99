"""Intervals over patients and draws against a loop that draws them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tscl.errors import InputError
from tscl.runs.label_efficiency.tables import (
    by_patient,
    difference_table,
    score_cells,
    score_table,
)
from tscl.saving.cells import Cell


def made_cells(shift: float, row: str, draws: int = 4) -> list[Cell]:
    """Predictions of two folds; ``shift`` parts the classes, noise is each draw's own."""
    cells = []
    for fold in range(2):
        rows = np.arange(40) + 40 * fold
        y = rows % 2
        for draw in range(draws):
            noise = np.random.default_rng([fold, draw]).normal(size=40)
            p = 1 / (1 + np.exp(-(shift * (2 * y - 1) + noise)))
            key = {"row": row, "task": "t", "share": 0.1, "fold": fold, "draw": draw}
            arrays = {"rows": rows, "y": y, "proba": np.stack([1 - p, p], axis=1)}
            cells.append(Cell(key, {"n_labels": 4, "n_test": 40}, arrays))
    return cells


def test_value_is_the_mean_over_draws_and_folds_and_the_interval_is_wide_as_a_loops():
    cells = made_cells(0.5, "a")
    scores = score_cells(cells, np.arange(80), n_replicates=2000, seed=3)
    line = score_table(scores).set_index("metric").loc["auroc"]
    exact = [roc_auc_score(c.arrays["y"], c.arrays["proba"][:, 1]) for c in cells]
    assert line["value"] == np.mean(exact)
    assert (line["n_labels"], line["n_test"], line["n_draws"], line["n_folds"]) == (4, 80, 4, 2)
    rng, slow = np.random.default_rng(0), []
    for _ in range(600):
        chosen, total = rng.integers(4, size=4), 0.0
        for fold in range(2):
            people = rng.integers(40, size=40)
            of_fold = [c for c in cells if c.key["fold"] == fold]
            for draw in chosen:
                arrays = of_fold[draw].arrays
                total += roc_auc_score(arrays["y"][people], arrays["proba"][people, 1]) / 8
        slow.append(total)
    drawn = scores["a", "t", 0.1].drawn["auroc"]
    assert abs(drawn.std() / np.std(slow) - 1) < 0.15


def test_differences_are_paired():
    cells = [*made_cells(0.5, "a"), *made_cells(0.9, "b")]
    scores = score_cells(cells, np.arange(80), n_replicates=400)
    line = difference_table(scores, "b").set_index("metric").loc["auroc"]
    one, other = (scores[row, "t", 0.1].drawn["auroc"] for row in "ab")
    assert line["ci_low"] > 0
    assert line["ci_high"] - line["ci_low"] < 0.6 * np.ptp(np.quantile(one, [0.025, 0.975]))
    assert (other > one).mean() > 0.99


def test_patients_have_the_mean_probability_of_their_recordings_over_all_folds():
    cells = made_cells(0.5, "a")
    group = np.arange(80) // 4 * 2 + np.arange(80) % 2  # two recordings of one class a patient
    together = by_patient(cells, group)
    assert len(together) == 4
    for draw, cell in enumerate(together):
        assert cell.facts == {"n_labels": 4.0, "n_test": 40}
        parts = [c for c in cells if c.key["draw"] == draw]
        for place, row in enumerate(cell.arrays["rows"]):
            own = [
                (c.arrays["y"][k], c.arrays["proba"][k])
                for c in parts
                for k, other in enumerate(c.arrays["rows"])
                if group[other] == group[row]
            ]
            assert len(own) == 2
            assert {y for y, _ in own} == {cell.arrays["y"][place]}
            np.testing.assert_allclose(cell.arrays["proba"][place], np.mean([p for _, p in own], 0))
    line = score_table(score_cells(together, group, n_replicates=50)).iloc[0]
    assert (line["n_test"], line["n_folds"], line["n_draws"]) == (40, 1, 4)


def test_a_patient_of_two_classes_has_no_score_of_its_own():
    with pytest.raises(InputError, match="by"):
        by_patient(made_cells(0.5, "a"), np.arange(80) // 2)
