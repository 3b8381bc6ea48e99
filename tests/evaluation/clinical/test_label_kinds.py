"""Several labels a sample and numbers, from a planted signal to a table, and back from disk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from data_loaders.splits.label_fraction import label_subset
from tests.evaluation.clinical.clinical_parts import Cohort, TinyEncoder, cohort, thirds
from tscl.encoders import ENCODERS
from tscl.errors import InputError
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.clinical.evaluate import evaluate_cells, pooled_embeddings
from tscl.evaluation.clinical.finetune import FineTuner
from tscl.evaluation.clinical.fitted import FittedClassifier
from tscl.evaluation.clinical.paired import paired_differences
from tscl.evaluation.clinical.table import pooled_predictions, summarise
from tscl.evaluation.clinical.votes import vote
from tscl.evaluation.metrics.classification import classification_metrics
from tscl.evaluation.probes.any_label import apply_probe, fit_probe

NAMES = ("slow", "fast", "unknown")
FEATURES = BandPower(32.0, {"low": (1.0, 4.0), "mid": (4.0, 9.0), "high": (9.0, 15.0)})


def planted(kind: str, n_patients: int = 48) -> Cohort:
    """A wave of 2 Hz in channel 0 is the label slow, or as high as the number; one of 6 Hz in
    channel 1 is fast. A fifth of the labels, and all of the third one, are unknown."""
    plain = cohort(n_patients, 2, 3, effect=0.0)
    rng = np.random.default_rng(7)
    t = np.arange(plain.X.shape[1]) / 32
    slow, fast = np.sin(2 * np.pi * 2 * t), np.sin(2 * np.pi * 6 * t)
    X = plain.X.copy()
    if kind == "target":
        age = rng.uniform(20, 80, n_patients)[plain.patient]
        X[..., 0] += np.exp(age / 25)[:, None] * slow / 4
        return replace(plain, X=X, label=age, label_names=("age",))
    has = (rng.random((n_patients, 2)) < 0.4)[plain.patient]
    X[..., 0] += 2 * has[:, :1] * slow
    X[..., 1] += 2 * has[:, 1:] * fast
    label = np.column_stack([has, np.full(len(has), np.nan)]).astype(np.float32)
    unknown = (rng.random((n_patients, 2)) < 0.2)[plain.patient]
    label[:, :2][unknown & ~unknown.all(axis=1, keepdims=True)] = np.nan
    return replace(plain, X=X, label=label, label_names=NAMES)


def shuffled(data: Cohort) -> Cohort:
    """The labels of other patients."""
    order = np.random.default_rng(3).permutation(data.patient.max() + 1)
    first = np.unique(data.patient, return_index=True)[1]
    return replace(data, label=data.label[first[order[data.patient]]])


def table_of(data: Cohort, **settings: Any):
    settings = {"protocols": ["partial", "knn"], "seeds": [0, 1], **settings}
    cells = evaluate_cells(FEATURES, data, thirds(data), fractions=[1.0, 0.3], **settings)
    table = summarise(cells, n_replicates=40)
    return cells, table.set_index(["protocol", "fraction", "level", "metric"])


def test_several_labels_are_found_and_shuffled_ones_are_not():
    cells, table = table_of(planted("multilabel"))
    for protocol in ("partial", "knn"):
        for level in ("sample", "trial", "patient"):
            row = table.loc[(protocol, 1.0, level, "auroc")]
            assert row["mean"] > 0.95
            assert row["ci_low"] <= row["mean"] <= row["ci_high"]
        each = [table.loc[(protocol, 1.0, "sample", f"auroc {name}")]["mean"] for name in NAMES]
        assert np.mean(each[:2]) == pytest.approx(
            table.loc[(protocol, 1.0, "sample", "auroc")]["mean"]
        )
        assert np.isnan(each[2])
    assert (table.loc[("partial", 0.3, "sample", "auroc")]["mean"]) > 0.85
    assert (cells[0].arrays["proba"][:, 2] == 0).all()  # a label that nobody has known
    _, other = table_of(shuffled(planted("multilabel")))
    assert other.loc[("partial", 1.0, "patient", "auroc")]["mean"] < 0.75


def test_a_number_is_found_and_a_shuffled_one_is_not():
    _, table = table_of(planted("target"), C=[0.01, 1.0, 100.0])
    best = {name: table.loc[("partial", 1.0, "patient", name)]["mean"] for name in ("r2", "mae")}
    assert best["r2"] > 0.8
    assert best["mae"] < 8
    assert table.loc[("knn", 1.0, "patient", "spearman")]["mean"] > 0.8
    _, other = table_of(shuffled(planted("target")), C=[0.01, 1.0, 100.0])
    assert other.loc[("partial", 1.0, "patient", "r2")]["mean"] < 0.3


@pytest.mark.parametrize("kind", ["multilabel", "target"])
def test_a_probe_without_known_labels_elsewhere_is_scikit_learns(kind):
    """A probe of a label equals the one fitted on the samples that have it."""
    data = planted(kind)
    z = np.asarray(FEATURES.transform(data.X))
    model, _ = fit_probe(z, data.label, 0.5)
    said = apply_probe(model, z, 3)
    if kind == "target":
        scaler = StandardScaler().fit(z)
        ridge = Ridge(alpha=2.0).fit(scaler.transform(z), data.label)
        np.testing.assert_allclose(said[:, 0], ridge.predict(scaler.transform(z)))
        return
    known = ~np.isnan(data.label[:, 1])
    scaler = StandardScaler().fit(z[known])
    logistic = LogisticRegression(C=0.5, max_iter=2000)
    logistic.fit(scaler.transform(z[known]), data.label[known, 1])
    np.testing.assert_allclose(said[:, 1], logistic.predict_proba(scaler.transform(z))[:, 1])


@pytest.mark.parametrize("kind", ["multilabel", "target"])
def test_probes_and_networks_come_back_from_their_folder(tmp_path, kind):
    data = planted(kind, 16)
    torch.manual_seed(0)
    encoder = ENCODERS.build("dilated", input_dims=2, output_dims=5, hidden_dims=4, depth=2).eval()
    n_outputs = len(data.label_names)
    z = pooled_embeddings(encoder, data.X)
    probe, _ = fit_probe(z, data.label)
    tuner = FineTuner(encoder, n_outputs, kind=kind, epochs=2).fit(data.X, data.label)
    wanted = [apply_probe(probe, z, n_outputs), tuner.predict_proba(data.X)]
    for number, (model, expected) in enumerate(zip([probe, tuner], wanted, strict=True)):
        fitted = FittedClassifier.of(encoder, model, data.label_names)
        again = FittedClassifier.load(fitted.save(tmp_path / str(number)))
        assert again.kind == kind
        np.testing.assert_allclose(again.predict_proba(data.X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["multilabel", "target"])
def test_training_on_labels_finds_them(kind):
    data = planted(kind)
    torch.manual_seed(0)
    cells = evaluate_cells(
        TinyEncoder(dropout=0.0),
        data,
        thirds(data),
        protocols=["full"],
        fractions=[1.0],
        seeds=[0],
        finetune={"epochs": 30, "lr": 1e-2, "batch_size": 32},
    )
    table = summarise(cells, n_replicates=0).set_index(["level", "metric"])["mean"]
    assert table["patient", "auroc" if kind == "multilabel" else "r2"] > 0.7


def test_a_drawn_share_holds_every_label_and_its_combinations():
    data = planted("multilabel")
    chosen = label_subset(data, np.arange(len(data.label)), 0.1, seed=0)
    share = np.nanmean(data.label[chosen, :2], axis=0)
    np.testing.assert_allclose(share, np.nanmean(data.label[:, :2], axis=0), atol=0.12)


def test_a_patient_votes_once_and_unlike_labels_have_no_vote():
    y = np.array([[1, np.nan], [1, np.nan], [0, 1], [1, 1]])
    p = np.array([[0.2, 0.1], [0.4, 0.3], [0.1, 0.9], [0.2, 0.8]])
    rows = vote(y, p, [0, 0, 1, 1])
    assert (len(rows), rows.n_mixed) == (1, 1)
    np.testing.assert_allclose(rows.proba, [[0.3, 0.2]])


def test_rows_are_compared_by_the_score_of_their_kind():
    data = planted("target", 24)
    parts = thirds(data)
    settings = {"protocols": ["partial"], "fractions": [1.0], "seeds": [0]}
    cells = evaluate_cells(FEATURES, data, parts, method="good", **settings)
    noise = replace(data, X=np.random.default_rng(0).standard_normal(data.X.shape))
    cells += evaluate_cells(FEATURES, noise, parts, method="noise", **settings)
    apart = paired_differences(cells, "noise", n_replicates=50)
    assert set(apart["metric"]) == {"r2"}
    assert (apart["ci_low"] > 0).all()


def imbalanced() -> Cohort:
    """One patient in eight is ill, and the illness is hard to see in noise."""
    plain = cohort(64, 1, 3, effect=0.0, steps=32)
    ill = plain.patient % 8 == 0
    X = plain.X.copy()
    X[..., 0] += 0.9 * ill[:, None] * np.sin(2 * np.pi * 2 * np.arange(32) / 32)
    return replace(plain, X=X, label=ill.astype(np.int64))


def test_balanced_weights_find_the_rare_class():
    data, recall = imbalanced(), {}
    for weight in (None, "balanced"):
        settings = {"protocols": ["partial"], "fractions": [1.0], "seeds": [0]}
        (cell,) = evaluate_cells(FEATURES, data, thirds(data), class_weight=weight, **settings)
        rows = pooled_predictions([cell])
        recall[weight] = classification_metrics(rows.y, rows.proba).recall
    assert recall["balanced"] > recall[None] + 0.05


def test_losses_of_training_on_labels_against_sums_by_hand():
    """Balanced cross entropy, that of several labels without the unknown, squared error."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 3))

    def loss(y, kind, outputs, weight="balanced"):
        tuner = FineTuner(TinyEncoder(), outputs, kind=kind, class_weight=weight)
        tuner._weight = None if weight is None else tuner._balanced(y)
        return tuner._loss(torch.from_numpy(logits[:, :outputs]), y).item()

    y = np.array([0, 0, 0, 0, 1, 1])
    share = {0: 6 / (2 * 4), 1: 6 / (2 * 2)}
    own = [share[k] for k in y]
    wrong = [np.log(np.exp(row).sum()) - row[k] for row, k in zip(logits, y, strict=True)]
    assert loss(y, "classes", 3) == pytest.approx(np.average(wrong, weights=own))
    several = np.array([[1, 0], [0, np.nan], [0, 0], [0, 1], [np.nan, 0], [1, 0]])
    total, count = 0.0, 0
    for k in (0, 1):
        column = several[:, k]
        heavier = (column == 0).sum() / (column == 1).sum()
        for value, x in zip(column, logits[:, k], strict=True):
            if value == value:
                count += 1
                total += heavier * np.log1p(np.exp(-x)) if value else np.log1p(np.exp(x))
    assert loss(several, "multilabel", 2) == pytest.approx(total / count)
    numbers = rng.normal(size=6)
    squared = ((logits[:, 0] - numbers) ** 2).mean()
    assert loss(numbers, "target", 1, None) == pytest.approx(squared)


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        ("target", {"class_weight": "balanced", "protocols": ["partial"]}, "class_weight"),
        ("target", {"class_weight": "balanced", "protocols": ["full"]}, "class_weight"),
        ("multilabel", {"protocols": ["full"], "finetune": {"name": "core"}}, "name"),
        (
            "multilabel",
            {"protocols": ["full"], "finetune": {"double_sigmoid": True}},
            "double_sigmoid",
        ),
        ("multilabel", {"class_weight": "heavy", "protocols": ["partial"]}, "class_weight"),
    ],
)
def test_what_a_kind_of_label_cannot_have_is_named(kind, settings, field):
    data = planted(kind, 16)
    encoder = TinyEncoder() if "full" in settings["protocols"] else FEATURES
    with pytest.raises(InputError) as caught:
        evaluate_cells(encoder, data, thirds(data), fractions=[1.0], seeds=[0], **settings)
    assert caught.value.field == field
