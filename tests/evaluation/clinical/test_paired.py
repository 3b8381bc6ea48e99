from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tscl.errors import InputError
from tscl.evaluation.clinical.paired import paired_differences
from tscl.evaluation.metrics.bootstrap import bootstrap_replicates
from tscl.evaluation.metrics.classification import classification_metrics
from tscl.runs.clinical.tables import difference_table
from tscl.saving.cells import Cell

PATIENTS = np.repeat(np.arange(30), 6)
Y = PATIENTS % 2
HARD = np.random.default_rng(1).normal(0, 1.5, 30)[PATIENTS]  # a patient's own difficulty


def cells(
    method: str,
    skill: float,
    *,
    seeds: tuple[int, ...] = (0, 1),
    protocol: str = "partial",
    backwards: bool = False,
) -> list[Cell]:
    """Two folds a seed of scores that share the patients' difficulty."""
    made = []
    for seed in seeds:
        noise = np.random.default_rng([seed, len(method)]).normal(0, 0.3, len(Y))
        score = 1 / (1 + np.exp(-(skill * (2 * Y - 1) + HARD + noise)))
        proba = np.stack([1 - score, score], axis=1)
        folds = [np.arange(90), np.arange(90, 180)]
        for fold in (1, 0) if backwards else (0, 1):
            i = folds[fold]
            key = {
                **{"data": "d", "method": method, "protocol": protocol, "fraction": 1.0},
                **{"by": "all", "seed": seed, "fold": fold},
            }
            arrays = {"y": Y[i], "proba": proba[i], "patient": PATIENTS[i], "trial": i}
            made.append(Cell(key, {}, arrays))
    return made


def test_a_row_against_itself_differs_by_nothing() -> None:
    one, two = cells("same", 0.5), cells("same", 0.5, backwards=True)
    for cell in two:
        cell.key["method"] = "base"
    table = paired_differences([*one, *two], "base", n_replicates=50)
    assert table["level"].tolist() == ["sample", "patient"]
    np.testing.assert_array_equal(table[["difference", "ci_low", "ci_high"]], 0.0)


def test_difference_by_hand() -> None:
    better, base = cells("better", 1.0, seeds=(0,)), cells("base", 0.5, seeds=(0,))
    row = paired_differences([*better, *base], "base", n_replicates=200).iloc[0]
    score, drawn = [], []
    for found in (better, base):
        proba = np.concatenate([cell.arrays["proba"] for cell in found])
        score.append(classification_metrics(Y, proba).as_dict()["auroc"])
        drawn.append(bootstrap_replicates(Y, proba, PATIENTS, n_replicates=200)["auroc"])
    assert row["difference"] == pytest.approx(score[0] - score[1], abs=1e-12)
    limits = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    np.testing.assert_allclose(row[["ci_low", "ci_high"]].astype(float), limits, atol=1e-12)
    assert (row["n_seeds"], row["n_test_patients"]) == (1, 30)


def test_pairing_finds_what_two_intervals_hide() -> None:
    """Both rows vary much with the patients drawn, their difference little."""
    found = [*cells("better", 0.8), *cells("base", 0.5)]
    row = paired_differences(found, "base", n_replicates=300).iloc[0]
    assert row["ci_low"] > 0
    alone = [
        bootstrap_replicates(Y, np.concatenate([c.arrays["proba"] for c in one]), PATIENTS)["auroc"]
        for one in (cells("better", 0.8, seeds=(0,)), cells("base", 0.5, seeds=(0,)))
    ]
    assert np.quantile(alone[0], 0.025) < np.quantile(alone[1], 0.975)
    same = paired_differences([*cells("equal", 0.5), *cells("base", 0.5)], "base").iloc[0]
    assert same["ci_low"] < 0 < same["ci_high"]


def test_another_protocol_and_other_seeds() -> None:
    found = [*cells("base", 0.5, seeds=(0, 1, 2), protocol="full"), *cells("better", 1.0)]
    table = paired_differences(found, "base", n_replicates=20)
    table = table[table["level"] == "patient"].reset_index(drop=True)
    assert table.loc[0, ["protocol", "reference_protocol"]].tolist() == ["partial", "full"]
    assert table.loc[0, "n_seeds"] == 2
    shown = difference_table(table, "patient")
    assert list(shown.columns) == ["method", "protocol", "100 %, to base"]
    assert shown.iloc[0, 2].startswith("+0.")
    assert difference_table(table, "sample").empty


def test_several_references_are_one_below_the_other() -> None:
    found = [*cells("better", 1.0), *cells("base", 0.5), *cells("third", 0.1)]
    both = paired_differences(found, ["base", "third"], n_replicates=20)
    alone = [paired_differences(found, one, n_replicates=20) for one in ("base", "third")]
    pd.testing.assert_frame_equal(both, pd.concat(alone, ignore_index=True))
    assert paired_differences(found, [], n_replicates=20).empty


def test_what_cannot_be_compared_is_named() -> None:
    found = [*cells("better", 1.0), *cells("base", 0.5)]
    with pytest.raises(InputError, match=r"reference: got bass.*base"):
        paired_differences(found, "bass")
    with pytest.raises(InputError, match=r"metric: got aurok.*auroc"):
        paired_differences(found, "base", metric="aurok")
    with pytest.raises(InputError, match="same samples"):
        paired_differences([*found[:3], *found[4:]], "base", n_replicates=5)
