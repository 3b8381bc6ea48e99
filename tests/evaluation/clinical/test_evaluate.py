from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from data_loaders.splits.leakage import check_split, leakage_statement
from tests.evaluation.clinical.clinical_parts import Cohort, TinyEncoder, cohort, thirds
from tscl.errors import InputError, LeakageError
from tscl.evaluation.clinical.evaluate import (
    evaluate_cells,
    evaluate_with_baselines,
    pooled_embeddings,
)
from tscl.evaluation.clinical.paired import paired_differences
from tscl.evaluation.clinical.table import pooled_predictions, summarise
from tscl.evaluation.metrics.classification import METRICS, classification_metrics
from tscl.evaluation.probes.classifiers import fit_partial, knn_proba, spread_classes
from tscl.saving.cells import Cell, ResultStore

FAST = {"epochs": 2, "batch_size": 32, "lr": 3e-3}


def partial_proba(train, y, test, n_classes, *given, **settings):
    """Probabilities (m, n_classes) of a probe of ``train`` at ``test``, and the C it took."""
    model, used = fit_partial(train, y, *given, **settings)
    return spread_classes(model, test, n_classes), used


def evaluate_encoder(*given, **settings):
    """The tidy table of a method's cells."""
    return summarise(evaluate_cells(*given, **settings))


def _encoder(seed: int = 0) -> TinyEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyEncoder()


class _Counting(TinyEncoder):
    calls = 0

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        type(self).calls += 1
        return super().forward(x, mask)


def _value(table: pd.DataFrame, **where: Any) -> pd.Series:
    rows = table
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_evaluate_encoder_partial_equals_sklearn_by_hand() -> None:
    data = cohort()
    split = thirds(data)
    table = evaluate_encoder(
        _encoder(), data, split, protocols=["partial"], fractions=[1.0], seeds=[0, 1]
    )
    embeddings = pooled_embeddings(_encoder(), data.X)
    scaler = StandardScaler().fit(embeddings[split["train"]])
    model = LogisticRegression(max_iter=2000)
    model.fit(scaler.transform(embeddings[split["train"]]), data.label[split["train"]])
    proba = model.predict_proba(scaler.transform(embeddings[split["test"]]))
    expected = classification_metrics(data.label[split["test"]], proba)
    row = _value(table, level="sample", metric="auroc")
    assert row["mean"] == pytest.approx(expected.auroc)
    assert row["std"] == 0.0
    assert row["by"] == "all"
    assert row["ci_low"] <= row["mean"] <= row["ci_high"]
    assert row["n_test"] == len(split["test"])
    patients = len(np.unique(data.patient[split["test"]]))
    assert _value(table, level="patient", metric="f1")["n_test"] == patients
    assert row["n_test_patients"] == patients
    assert set(table["level"]) == {"sample", "trial", "patient"}
    assert set(table["metric"]) == set(METRICS)


def test_evaluate_cells_encodes_each_part_once_and_leaves_the_encoder() -> None:
    data = cohort(8, 2, 3)
    encoder = _Counting()
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    _Counting.calls = 0
    cells = evaluate_cells(
        encoder, data, thirds(data), protocols=["partial", "knn"], fractions=[1, 0.3], seeds=[0, 1]
    )
    assert _Counting.calls == 3
    assert len(cells) == 8
    assert encoder.training
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())


def test_evaluate_fractions_by_samples_and_by_patients() -> None:
    data = cohort(24, 2, 5)
    split = thirds(data)
    cells = evaluate_cells(
        _encoder(),
        data,
        split,
        protocols=["partial"],
        fractions=[1.0, 0.2],
        by=["samples", "patients"],
        seeds=[0, 1, 2],
    )
    counts = {
        (c.key["by"], c.key["fraction"]): (c.facts["n_train_samples"], c.facts["n_train_patients"])
        for c in cells
    }
    n, patients = len(split["train"]), len(np.unique(data.patient[split["train"]]))
    assert counts["all", 1.0] == (n, patients)
    assert counts["samples", 0.2] == (round(0.2 * n), patients)
    assert counts["patients", 0.2] == (20, 2)
    assert len(cells) == 3 + 6
    table = summarise(cells, n_replicates=0)
    spread = _value(table, by="patients", fraction=0.2, level="sample", metric="auroc")
    assert spread["std"] > 0
    assert spread["n_train_patients"] == 2


def test_evaluate_every_method_gives_the_same_rows_and_finds_the_effect() -> None:
    data = cohort()
    tables = []
    cells = evaluate_with_baselines(
        {"mine": _encoder()},
        data,
        thirds(data),
        fresh=TinyEncoder,
        protocols=["partial", "full", "knn", "head"],
        fractions=[1.0, 0.1],
        seeds=[0, 1],
        finetune={**FAST, "epochs": 6},
    )
    table = summarise(cells, n_replicates=50)
    tables = {
        (method, protocol): part.drop(columns=["method", "protocol"])
        for (method, protocol), part in table.groupby(["method", "protocol"])
    }
    frozen = {"partial", "knn"}
    assert {p for m, p in tables if m == "mine"} == frozen | {"full", "head"}
    assert {p for m, p in tables if m == "random encoder"} == frozen | {"head"}
    assert {p for m, p in tables if m == "supervised"} == {"full"}
    assert {p for m, p in tables if m == "band power"} == frozen
    facts = ["data", "fraction", "by", "level", "metric", "n_test", "n_train_samples"]
    first = tables["mine", "partial"][facts].to_numpy().tolist()
    assert all(part[facts].to_numpy().tolist() == first for part in tables.values())
    for method, protocol in tables:
        rows = table[(table["method"] == method) & (table["protocol"] == protocol)]
        assert _value(rows, fraction=1.0, level="sample", metric="auroc")["mean"] > 0.8


def test_evaluate_no_effect_gives_chance_within_the_interval() -> None:
    data = cohort(40, 2, 4, effect=0.0, seed=5)
    table = evaluate_encoder(
        _encoder(), data, thirds(data), protocols=["partial"], fractions=[1.0], seeds=[0]
    )
    row = _value(table, level="sample", metric="auroc")
    assert row["ci_low"] < 0.5 < row["ci_high"]


def test_evaluate_resumes_to_the_same_table(tmp_path: Path) -> None:
    data = cohort(10, 2, 3)
    settings: dict[str, Any] = {
        "protocols": ["partial", "full"],
        "fractions": [1.0, 0.3],
        "seeds": [0, 1],
        "finetune": FAST,
    }
    whole = evaluate_cells(TinyEncoder, data, thirds(data), **settings)

    class _KilledError(Exception):
        pass

    done: list[Cell] = []

    def stop(cell: Cell) -> None:
        done.append(cell)
        if len(done) == 3:
            raise _KilledError

    with pytest.raises(_KilledError):
        store = ResultStore(tmp_path)
        evaluate_cells(TinyEncoder, data, thirds(data), store=store, on_cell=stop, **settings)
    store = ResultStore(tmp_path)
    assert len(store) == 3
    resumed = evaluate_cells(TinyEncoder, data, thirds(data), store=store, **settings)
    pd.testing.assert_frame_equal(
        summarise(whole, n_replicates=20), summarise(resumed, n_replicates=20)
    )
    assert len(ResultStore(tmp_path)) == 8


def test_evaluate_store_tells_other_weights_data_and_settings_apart() -> None:
    data, other = cohort(8, 2, 3), cohort(8, 2, 3, seed=1)
    store = ResultStore()
    run: dict[str, Any] = {"protocols": ["partial"], "fractions": [1], "seeds": [0]}
    run["store"] = store
    evaluate_cells(_encoder(0), data, thirds(data), **run)
    evaluate_cells(_encoder(0), data, thirds(data), **run)
    assert len(store) == 1
    evaluate_cells(_encoder(1), data, thirds(data), **run)
    evaluate_cells(_encoder(0), other, thirds(data), **run)
    evaluate_cells(_encoder(0), data, thirds(data), C=0.1, **run)
    assert len(store) == 4
    with pytest.raises(InputError, match="digest"):
        summarise(store.cells())


def test_evaluate_C_is_chosen_on_validation() -> None:
    data = cohort(effect=0.5)
    split = thirds(data)
    embeddings = pooled_embeddings(_encoder(), data.X)
    part = {name: (embeddings[rows], data.label[rows]) for name, rows in split.items()}
    grid = [1e-4, 1e-2, 1.0]
    proba, used = partial_proba(*part["train"], part["test"][0], 2, grid, part["valid"])
    scores = {}
    for C in grid:
        on_valid, _ = partial_proba(*part["train"], part["valid"][0], 2, C)
        scores[C] = classification_metrics(part["valid"][1], on_valid).f1
    assert scores[used] == max(scores.values())
    np.testing.assert_array_equal(proba, partial_proba(*part["train"], part["test"][0], 2, used)[0])
    with pytest.raises(InputError, match="validation"):
        partial_proba(*part["train"], part["test"][0], 2, grid)


def test_without_a_validation_part_folds_of_patients_choose_C() -> None:
    """Embeddings say who the patient is, the class less clearly: samples of a patient mislead."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 4)
    y = patients % 2
    who = rng.normal(0, 1, (60, 60))[patients]
    embeddings = np.concatenate([who, y[:, None] + rng.normal(0, 1, (len(y), 8))], axis=1)
    grid, new = [1e-3, 1e3], patients < 20
    right = {}
    for C in grid:
        proba, _ = partial_proba(embeddings[~new], y[~new], embeddings[new], 2, C)
        right[C] = (proba.argmax(1) == y[new]).mean()
    assert right[1e-3] > right[1e3]
    assert partial_proba(embeddings, y, embeddings, 2, grid, patients=patients)[1] == 1e-3
    assert partial_proba(embeddings, y, embeddings, 2, grid, patients=np.arange(len(y)))[1] == 1e3
    one_each = np.isin(patients, [0, 1])
    labelled = embeddings[one_each], y[one_each], embeddings
    assert partial_proba(*labelled, 2, grid, patients=patients[one_each])[1] == 1e-3


def test_names_of_patients_and_trials_change_nothing() -> None:
    """Renaming so that the sorted order is another changes no interval, choice or digest."""
    data = cohort(18, 2, 3, effect=0.4)
    split = thirds(data)
    spelled = np.random.default_rng(2).permutation(200).astype(str)
    renamed = replace(data, patient=spelled[data.patient], trial=spelled[data.trial])
    held = {name: split[name] for name in ("train", "test")}
    settings: dict[str, Any] = {"fractions": [1.0, 0.5], "seeds": [0], "C": [0.001, 0.1, 10.0]}
    found = []
    for one in (data, renamed):
        cells = [
            cell
            for name in ("partial", "knn")
            for cell in evaluate_cells(
                _encoder(), one, held, method=name, protocols=[name], **settings
            )
        ]
        found.append((cells, summarise(cells), paired_differences(cells, "knn")))
    (cells, table, pairs), (other_cells, other_table, other_pairs) = found
    assert [cell.key for cell in cells] == [cell.key for cell in other_cells]
    assert [cell.facts for cell in cells] == [cell.facts for cell in other_cells]
    pd.testing.assert_frame_equal(table, other_table)
    pd.testing.assert_frame_equal(pairs, other_pairs)


def test_inner_folds_do_not_depend_on_names() -> None:
    data = cohort(20, 2, 2, effect=0.2, seed=3)
    embeddings = data.X.reshape(len(data.X), -1)
    names = np.random.default_rng(0).permutation(20).astype(str)[data.patient]
    grid = [10.0**k for k in range(-5, 3)]
    chosen = [
        [
            partial_proba(
                embeddings[:, :width], data.label, embeddings[:, :width], 2, grid, patients=ids
            )[1]
            for width in range(8, 40)
        ]
        for ids in (data.patient, names)
    ]
    assert chosen[0] == chosen[1]


def test_inner_folds_see_labelled_training_patients_only() -> None:
    data = cohort(effect=0.5)
    split = thirds(data)
    two = {"train": split["train"], "test": split["test"]}
    grid = [1e-4, 1e-2, 1.0]
    run: dict[str, Any] = {"protocols": ["partial"], "fractions": [1], "seeds": [0]}
    (cell,) = evaluate_cells(_encoder(), data, two, C=grid, **run)
    embeddings = pooled_embeddings(_encoder(), data.X)
    rows = split["train"]
    _, used = partial_proba(
        embeddings[rows], data.label[rows], embeddings[:2], 2, grid, patients=data.patient[rows]
    )
    assert cell.facts["C"] == used


def test_knn_ranks_samples_also_with_fewer_labels_than_neighbours() -> None:
    train = np.array([[0.0], [1.0]])
    found = knn_proba(train, np.array([0, 2]), np.array([[0.1], [0.6], [1.0]]), 3)
    np.testing.assert_allclose(found, [[0.9, 0, 0.1], [0.4, 0, 0.6], [0, 0, 1]])


def test_partial_one_class_only_is_certain_of_it() -> None:
    found, _ = partial_proba(np.zeros((2, 1)), np.array([1, 1]), np.ones((3, 1)), 3)
    np.testing.assert_array_equal(found, np.tile([0.0, 1.0, 0.0], (3, 1)))


def test_summary_pools_folds() -> None:
    data = cohort(16, 2, 3, effect=0.4)
    folds = []
    for fold in range(2):
        test = np.flatnonzero(data.patient % 4 // 2 == fold)
        train = np.flatnonzero(data.patient % 4 // 2 != fold)
        folds += evaluate_cells(
            _encoder(),
            data,
            {"train": train, "test": test},
            protocols=["partial"],
            fractions=[1.0],
            seeds=[0],
            fold=fold,
        )
    rows = pooled_predictions(folds)
    pooled = _value(summarise(folds, n_replicates=30), level="sample", metric="auroc")
    assert pooled["mean"] == pytest.approx(classification_metrics(rows.y, rows.proba).auroc)
    assert (pooled["n_test_patients"], pooled["n_folds"]) == (16, 2)
    assert pooled["ci_low"] < pooled["ci_high"]


def test_summary_counts_mixed_patients_and_leaves_out_an_empty_level() -> None:
    data = cohort(8, 2, 2)
    data.label = (np.arange(len(data.label)) // 2) % 2  # every patient has a trial of each class
    table = evaluate_encoder(
        _encoder(), data, thirds(data), protocols=["knn"], fractions=[1.0], seeds=[0]
    )
    assert set(table["level"]) == {"sample", "trial"}


def test_split_with_a_patient_on_two_sides_is_refused() -> None:
    data = cohort(8, 2, 2)
    split = thirds(data)
    split["test"] = np.append(split["test"], split["train"][0])
    split["train"] = split["train"][1:]
    for call in (check_split, leakage_statement):
        with pytest.raises(LeakageError):
            call(data, split)
    with pytest.raises(LeakageError):
        evaluate_cells(_encoder(), data, split, seeds=[0])


def test_leakage_statement_lists_the_patients_of_each_part() -> None:
    data = cohort(8, 2, 2)
    text = leakage_statement(data, thirds(data))
    assert "train: 4 patients, 8 trials, 16 samples (healthy: 8, ill: 8)" in text
    assert "patients: 6, 7" in text
    assert "patients:" not in leakage_statement(data, thirds(data), max_listed=0)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"train": []}, "at least one"),
        ({"train": [0, 0]}, "once"),
        ({"train": [999]}, "stay in"),
        ({"train": [0.5]}, "integer"),
        ({"tests": [1]}, "name the parts"),
    ],
)
def test_split_bad_input(change: dict[str, list], remedy: str) -> None:
    data = cohort(8, 2, 2)
    with pytest.raises(InputError, match=remedy):
        check_split(data, {**thirds(data), **change})


def test_split_unlabelled_or_missing_part() -> None:
    data: Cohort = cohort(8, 2, 2)
    with pytest.raises(InputError, match="'test'"):
        check_split(data, {"train": [0]})
    data.label = np.where(np.arange(len(data.label)) == 0, -1, data.label)
    with pytest.raises(InputError, match="unlabelled"):
        check_split(data, thirds(data))


def test_evaluate_bad_choices() -> None:
    data = cohort(8, 2, 2)
    for change in (
        {"protocols": ["svm"]},
        {"protocols": []},
        {"fractions": [0.0]},
        {"fractions": [0.5], "by": "trials"},
        {"encoder": 3},
        {"encoder": StandardScaler(), "protocols": ["full"]},
    ):
        given: dict[str, Any] = {"encoder": _encoder(), "seeds": [0], "protocols": ["knn"]}
        given.update(change)
        with pytest.raises(InputError):
            evaluate_cells(given.pop("encoder"), data, thirds(data), **given)
