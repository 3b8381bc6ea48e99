"""Labels that are numbers, name a background or are missing; groups; lost channels."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedGroupKFold,
    cross_validate,
)

from data_loaders.cohort.cohort import load_cohort, make_cohort
from tests.estimators.tiny import LEARN, classifier, transformer, waves
from tscl.errors import ConfigError, InputError
from tscl.estimators import ContrastiveClassifier, ContrastiveTransformer
from tscl.losses import SepCLR, SupReMix

X, Y = waves()
AGE = 20 + np.arange(24) // 4 * 7
PATIENT = np.arange(24) // 4


def given(monkeypatch: pytest.MonkeyPatch, loss: type) -> list[Any]:
    """The columns that calls of ``loss`` are given."""
    seen: list[Any] = []
    compute = loss.compute

    def watched(self: Any, views: torch.Tensor, extra: Any) -> torch.Tensor:
        seen.append(extra)
        return compute(self, views, extra)

    monkeypatch.setattr(loss, "compute", watched)
    return seen


@pytest.mark.parametrize("ages", [AGE, AGE.astype(float), AGE.tolist(), pd.Series(AGE)])
def test_numeric_targets_stay_numbers(monkeypatch, ages):
    seen = given(monkeypatch, SupReMix)
    transformer(loss="supremix").fit(X, ages)
    classifier(loss="supremix").fit(X, ages)
    assert len(seen) == 2
    for extra in seen:
        assert sorted(extra["targets"].tolist()) == sorted(AGE.tolist())
    with pytest.raises(InputError, match="reads numbers"):
        transformer(loss="supremix").fit(X, AGE.astype(str))


def test_the_background_is_the_one_that_is_named(monkeypatch):
    seen = given(monkeypatch, SepCLR)
    labels = np.where(np.arange(24) < 6, "healthy", "ill")
    for name, count in (("healthy", 6), ("ill", 18)):
        transformer(loss="sepclr").fit(X, labels, background=name)
        classifier(loss="sepclr").fit(X, labels, background=name)
        assert [int(extra["background"].sum()) for extra in seen[-2:]] == [count, count]
    for wrong in (None, "well"):
        with pytest.raises(InputError, match=r"background: .*healthy.*ill"):
            transformer(loss="sepclr").fit(X, labels, background=wrong)


@pytest.mark.parametrize("pooling", ["max", "mean+max"])
def test_parts_by_name(tmp_path, pooling):
    model = transformer(
        loss="sepclr", loss_params={"common_dims": 3}, pooling=pooling
    ).fit(X, Y, background=0)  # fmt: skip
    width = 8 * len(pooling.split("+"))
    assert model.part_widths_ == {"common": 3, "salient": width - 3}
    for one in (model, ContrastiveTransformer.load(model.save(tmp_path / "m"))):
        parts = one.parts(X)
        np.testing.assert_array_equal(
            np.hstack([parts["common"], parts["salient"]]), model.transform(X)
        )
        frame = one.set_output(transform="pandas").transform(X)
        assert list(frame)[2:4] == ["common2", "salient0"]
    assert transformer().fit(X).parts(X) == {}
    with pytest.raises(ConfigError, match="common and salient are parts"):
        transformer(loss="sepclr", method_params={"projection_dims": 4}).fit(X, Y, background=0)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, -1])
def test_series_without_a_label_join_pretraining_only(missing):
    known = np.arange(24) % 3 != 0
    labels = [int(y) if k else missing for y, k in zip(Y, known, strict=True)]
    model = classifier().fit(X, labels)
    assert sorted(model.classes_.tolist()) == [0, 1]
    whole = transformer().fit(X)
    np.testing.assert_array_equal(model.transformer_.transform(X), whole.transform(X))
    changed = [(1 - y) if y in (0, 1) else y for y in [int(y) for y in Y]]
    other = [c if k else missing for c, k in zip(changed, known, strict=True)]
    flipped = classifier().fit(X, other).predict(X)
    np.testing.assert_array_equal(flipped, 1 - model.predict(X))
    with pytest.raises(InputError, match="supervised"):
        classifier(loss="supcon").fit(X, labels)
    if not isinstance(missing, int):
        with pytest.raises(InputError, match="no label"):
            classifier().fit(X, [missing] * 24)
        with pytest.raises(InputError, match="two classes"):
            classifier().fit(X, [missing] * 23 + [1])


def test_minus_one_is_a_class_where_only_one_other_is_left():
    assert classifier().fit(X, 2 * Y - 1).classes_.tolist() == [-1, 1]


def test_fit_says_what_share_is_missing(caplog):
    x = X.copy()
    x[:, 40:] = np.nan  # the end of a series is no missing value
    with caplog.at_level(logging.WARNING, "tscl.estimators"):
        transformer().fit(x)
        assert not caplog.records
        x[:6, :40, 1] = np.nan
        transformer().fit(x)
    assert caplog.messages == ["12.5 % of the values are missing, most (25 %) in channel 1"]


def test_other_heads_do_not_pretrain_again(tmp_path, monkeypatch):
    import tscl.estimators.transformer as module

    trained = []
    pretrain = module.pretrain
    monkeypatch.setattr(module, "pretrain", lambda *a, **k: trained.append(1) or pretrain(*a, **k))
    grid = {"C": [0.01, 1.0, 100.0]}
    search = GridSearchCV(classifier(memory=str(tmp_path / "kept")), grid, cv=2, refit=False)
    search.fit(X, Y)
    assert len(trained) == 2
    plain = GridSearchCV(classifier(), grid, cv=2, refit=False).fit(X, Y)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    trained.clear()
    for _ in range(2):
        classifier(memory=str(tmp_path / "kept"), random_state=None).fit(X, Y)
    assert len(trained) == 2


@pytest.mark.parametrize("splitter", [GroupKFold, StratifiedGroupKFold])
def test_groups_of_patients_by_metadata_routing(splitter, monkeypatch):
    seen = []
    fit = ContrastiveClassifier.fit

    def watched(self: Any, X: Any, y: Any, *, patient: Any = None, **others: Any) -> Any:
        seen.append(set(np.asarray(patient).tolist()))
        return fit(self, X, y, patient=patient, **others)

    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier("clocs").set_fit_request(patient=True)
        monkeypatch.setattr(ContrastiveClassifier, "fit", watched)
        metadata = {"patient": PATIENT, "groups": PATIENT}
        result = cross_validate(model, X, Y, cv=splitter(3), params=metadata, return_indices=True)
        search = GridSearchCV(model, {"C": [0.1, 10.0]}, cv=splitter(3)).fit(X, Y, **metadata)
    for train, test in zip(*result["indices"].values(), strict=True):
        assert not set(PATIENT[train]) & set(PATIENT[test])
    assert [len(patients) for patients in seen] == [4] * 9 + [6]
    assert search.best_params_["C"] in (0.1, 10.0)


def test_channel_dropout_is_a_share():
    for share in (-0.1, 1.0, "a"):
        with pytest.raises(InputError, match="channel_dropout"):
            transformer(channel_dropout=share).fit(X)
    dropped = transformer(channel_dropout=0.5).fit(X).transform(X)
    assert not np.array_equal(dropped, transformer().fit(X).transform(X))


def test_one_of_sixteen_electrodes_may_be_lost(tmp_path):
    cohort = make_cohort(
        tmp_path / "eeg", kind="eeg", n_patients=40, trials_per_patient=3, seconds=2.0,
        disease_effect=2.0, patient_effect=0.3,
    )  # fmt: skip
    data = load_cohort(cohort)
    patients, first, patient = np.unique(data.patient, return_index=True, return_inverse=True)
    label = data.label[first]
    chosen = np.isin(np.arange(len(patients)), [np.flatnonzero(label == c)[:10] for c in (0, 1)])
    train, test = chosen[patient], ~chosen[patient]
    options = LEARN | {"max_epochs": 40, "loss": "supcon", "pooling": "mean+log_std"}
    model = ContrastiveClassifier("simclr", channel_dropout=0.3, **options)
    model.fit(data.X[train], data.label[train])
    x = data.X[test]
    assert model.score(x, data.label[test]) > 0.9
    full = model.predict_proba(x)[:, 1]
    for channel in range(16):
        lost = x.copy()
        lost[:, :, channel] = np.nan
        assert np.abs(model.predict_proba(lost)[:, 1] - full).mean() < 0.1


def test_a_coarse_encoder_works_by_default():
    x, y = waves(100, steps=80, channels=1, seed=1)
    model = ContrastiveClassifier(encoder="resnet1d").fit(x[:40], y[:40])
    assert model.score(x[40:], y[40:]) > 0.95
