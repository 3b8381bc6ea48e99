"""Thresholds are those of the validation part, and subgroups those of the table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tscl.errors import InputError
from tscl.evaluation.clinical.operating import operating_points, subgroup_table, threshold_at
from tscl.saving.cells import Cell


def cell(shift, seed, n=300, valid=True):
    rng = np.random.default_rng(seed)
    arrays = {}
    for part in ("", "valid_"):
        y = np.arange(n) % 2
        p = 1 / (1 + np.exp(-rng.normal(shift * (2 * y - 1), 1)))
        arrays |= {f"{part}y": y, f"{part}proba": np.stack([1 - p, p], axis=1)}
        arrays[f"{part}patient"] = np.arange(n)
    arrays["trial"] = np.arange(n)
    if not valid:
        arrays = {k: v for k, v in arrays.items() if not k.startswith("valid")}
    return Cell({"seed": seed, "fold": 0}, {}, arrays)


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.99])
def test_threshold_is_the_lowest_that_reaches_the_specificity(wanted):
    one = cell(0.5, 0)
    y, score = one.arrays["y"], one.arrays["proba"][:, 1]
    at = threshold_at(y, score, wanted)
    assert (score[y == 0] < at).mean() >= wanted
    lower = score[(y == 0) & (score < at)].max()
    assert (score[y == 0] < lower).mean() < wanted
    with pytest.raises(InputError):
        threshold_at(y, score, 1.0)


def test_points_are_those_of_the_test_part_at_the_validation_threshold():
    one = cell(1.0, 0)
    frame = operating_points([[one]], ["no", "yes"], specificity=0.8, n_replicates=100)
    a = one.arrays
    at = threshold_at(a["valid_y"], a["valid_proba"][:, 1], 0.8)
    hit = a["proba"][:, 1] >= at
    (line,) = frame.to_dict("records")
    assert line["class"] == "yes"
    assert line["sensitivity"].startswith(f"{hit[a['y'] == 1].mean():.3f} [")
    assert line["specificity"].startswith(f"{(~hit)[a['y'] == 0].mean():.3f} [")
    assert (line["positives"], line["negatives"]) == (150, 150)
    low, high = map(float, line["sensitivity"].split("[")[1][:-1].split(","))
    assert low < hit[a["y"] == 1].mean() < high
    assert operating_points([[cell(1.0, 0, valid=False)]], ["no", "yes"]).empty


def test_a_subgroup_that_fails_is_seen():
    """Right for women, by chance for men; ages in bands of equal size."""
    one, rng = cell(2.0, 0), np.random.default_rng(1)
    sex = np.where(rng.random(300) < 0.5, "f", "m")
    men = sex == "m"
    one.arrays["proba"][men] = one.arrays["proba"][men][rng.permutation(men.sum())]
    known = pd.DataFrame({"sex": sex, "age": rng.integers(20, 80, 300)})
    frame = subgroup_table([[one]], {0: known}, n_replicates=50)
    by = frame.set_index("value")
    for value in ("f", "m"):
        rows = sex == value
        area = roc_auc_score(one.arrays["y"][rows], one.arrays["proba"][rows, 1])
        assert by.loc[value, "AUROC"].startswith(f"{area:.3f}")
        assert by.loc[value, "patients"] == rows.sum()
    assert float(by.loc["f", "AUROC"][:5]) > 0.95
    assert float(by.loc["m", "AUROC"][:5]) < 0.65
    ages = frame[frame["subgroup"] == "age"]
    assert len(ages) == 3
    assert ages["samples"].sum() == 300
