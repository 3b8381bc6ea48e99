"""The clinical job and its commands, from generated files to a report."""

from __future__ import annotations

import copy
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data_loaders import MedicalDataset, group_split
from data_loaders.cohort.cohort import load_cohort, make_cohort
from tscl.cli.app import app
from tscl.errors import ConfigError, InputError, LeakageError
from tscl.evaluation.clinical import evaluate
from tscl.evaluation.clinical.bandpower import BandPower
from tscl.evaluation.clinical.evaluate import evaluate_cells
from tscl.evaluation.clinical.table import summarise
from tscl.runs.clinical.config import ClinicalConfig, check_clinical
from tscl.runs.clinical.data import make_folds, standardised
from tscl.runs.clinical.report import leakage, write_clinical_report
from tscl.runs.clinical.rows import table_rows
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.clinical.tables import compact_table, figure_text
from tscl.runs.jobs import check_job, load_job
from tscl.training.trainer import Trainer

RUNNER = CliRunner()
MAKE = {
    "kind": "eeg",
    "n_patients": 12,
    "trials_per_patient": 2,
    "seconds": 2.0,
    "sampling_rate": 64,
    "n_channels": 3,
}


def tiny(out: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "job": "clinical",
        "out": str(out),
        "data": {"kind": "cohort", "make": dict(MAKE)},
        "encoder": {
            "name": "dilated",
            "params": {"output_dims": 6, "hidden_dims": 4, "depth": 2},
        },
        "train": {"max_epochs": 2, "batch_size": 12, "lr": 1e-3, "probe": True},
        "evaluate": {
            "protocols": ["partial", "full"],
            "full_rows": ["comet"],
            "fractions": [1.0, 0.1],
            "seeds": 2,
            "compare": ["random", "supervised", "bandpower", "bandpower_input", "simclr"],
            "ablations": {"patient and trial": {"levels": ["patient", "trial"]}},
            "finetune_epochs": [1, 2],
            "n_replicates": 10,
        },
    }
    values.update(copy.deepcopy(changes))
    return values


def job(out: Path, **changes: Any) -> ClinicalRun:
    run = ClinicalRun(check_clinical(tiny(out, **changes)))
    run.begin(resume=False)
    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClinicalRun, list]:
    run = job(tmp_path_factory.mktemp("clinical") / "run")
    cells = run.evaluate()
    write_clinical_report(run, cells)
    return run, cells


def test_every_row_stands_in_the_table(finished: tuple[ClinicalRun, list]) -> None:
    run, _ = finished
    table = pd.read_csv(run.folder.path / "table.csv")
    found = set(zip(table["method"], table["protocol"], strict=True))
    assert found == {
        ("COMET", "partial"),
        ("COMET", "full"),
        ("COMET, patient and trial", "partial"),
        ("random encoder", "partial"),
        ("supervised", "full"),
        ("band power", "partial"),
        ("band power (encoder's input)", "partial"),
        ("SimCLR", "partial"),
    }
    assert set(table["level"]) == {"sample", "trial", "patient"}
    shares = {("all", 1.0), ("samples", 0.1), ("patients", 0.1)}
    assert set(zip(table["by"], table["fraction"], strict=True)) == shares
    assert table["n_test_patients"].nunique() == 1
    report = (run.folder.path / "report.md").read_text()
    assert "No patient and no trial stands in more than one part" in report
    assert "Validation AUROC" in report
    assert "n_replicates: 10" in report
    first = report.split("\n\n")[1]
    assert "AUROC by patient on patients never seen is" in first or "AUROC by sample" in first
    assert "95 % intervals. Took " in first
    assert "Seeds 0 to 1 draw" in report
    assert (run.folder.path / "report.html").stat().st_size > 10_000
    log = pd.read_csv(run.folder.path / "records.csv")
    assert list(log["status"]) == ["ok"] * 12


def test_compact_table_repeats_the_figures_of_the_full_one(
    finished: tuple[ClinicalRun, list],
) -> None:
    run, _ = finished
    table = pd.read_csv(run.folder.path / "table.csv")
    frame = compact_table(table, "auroc", "patient")
    row = frame[(frame["method"] == "COMET") & (frame["protocol"] == "partial")].iloc[0]
    wanted = table[
        (table["method"] == "COMET")
        & (table["protocol"] == "partial")
        & (table["metric"] == "auroc")
        & (table["level"] == "patient")
        & (table["by"] == "samples")
    ].iloc[0]
    assert row["10 % of samples"].startswith(f"{wanted['mean']:.3f}")
    assert row["10 % of samples"] == figure_text(wanted.to_dict())


def test_each_part_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass a part and encoder for all protocols on embeddings, fractions and seeds."""
    counts: Counter[str] = Counter()
    whole = evaluate.pooled_embeddings

    def counted(encoder: Any, X: Any, index: Any, **options: Any) -> Any:
        counts[type(encoder).__name__] += 1
        return whole(encoder, X, index, **options)

    monkeypatch.setattr(evaluate, "pooled_embeddings", counted)
    values = tiny(tmp_path)
    values["train"]["probe"] = False
    values["evaluate"] |= {"protocols": ["partial", "knn"], "full_rows": [], "ablations": {}}
    values["evaluate"] |= {"compare": ["random"]}
    run = ClinicalRun(check_clinical(values))
    run.begin(resume=False)
    cells = run.evaluate()
    # two rows x two protocols x (all labels, a tenth of samples, a tenth of patients) x two seeds
    assert len(cells) == 2 * 2 * 3 * 2
    # the pretrained encoder once; the random one, a fresh one a seed, once each
    assert counts == {"DilatedConvEncoder": (1 + 2) * len(run.folds[0].parts)}


def test_all_rows_take_equal_steps_and_see_training_patients_only(
    finished: tuple[ClinicalRun, list], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, _ = finished
    histories = [len(run.folder.history(f"{r.slug}-fold0")) for r in run.rows if r.method]
    assert len(set(histories)) == 1
    assert histories[0] > 0
    seen: list[np.ndarray] = []
    whole = Trainer.fit

    def spy(self: Trainer, method: Any, source: Any, *rest: Any, **named: Any) -> Any:
        seen.append(np.asarray(source.x))
        return whole(self, method, source, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", spy)
    other = job(tmp_path)
    other.train(other.rows[0], other.folds[0])
    expected = other.seen(other.folds[0]).X[other.folds[0].parts["train"]]
    np.testing.assert_array_equal(seen[0], expected)


def test_killed_run_goes_on_to_equal_results(
    finished: tuple[ClinicalRun, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cells = finished
    values = tiny(tmp_path / "killed")
    values["train"]["checkpoint_seconds"] = 0
    stopped = ClinicalRun(check_clinical(values))
    stopped.begin(resume=False)
    steps = 0
    whole = Trainer.fit

    def dies(self: Trainer, method: Any, *rest: Any, **named: Any) -> Any:
        inner = method.after_step

        def after(step: int) -> None:
            nonlocal steps
            steps += 1
            if steps == 4:
                raise MemoryError
            inner(step)

        method.after_step = after
        return whole(self, method, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", dies)
    with pytest.raises(MemoryError):
        stopped.evaluate()
    monkeypatch.setattr(Trainer, "fit", whole)
    again = ClinicalRun(check_clinical(values))
    again.begin(resume=True)
    repeated = again.evaluate(resume=True)
    assert len(repeated) == len(cells)
    for one, other in zip(cells, repeated, strict=True):
        np.testing.assert_array_equal(one.arrays["proba"], other.arrays["proba"])
    before = len(again.folder.history("comet-fold0"))
    monkeypatch.setattr(Trainer, "fit", lambda *a, **k: pytest.fail("trained again"))
    third = ClinicalRun(check_clinical(values)).evaluate(resume=True)
    assert [c.key for c in third] == [c.key for c in repeated]
    assert before == len(again.folder.history("comet-fold0"))


def test_resume_refuses_another_configuration(finished: tuple[ClinicalRun, list]) -> None:
    run, _ = finished
    values = run.config.model_dump(mode="json")
    values["train"]["lr"] = 0.5
    other = ClinicalRun(check_clinical(values))
    with pytest.raises(ConfigError, match="another configuration"):
        other.begin(resume=True)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.knd", "cohort", "kind"),
        ("data.kind", "ptbx", "ptbxl"),
        ("evaluate.compare", ["ts3vec"], "ts2vec"),
        ("evaluate.ablations", {"a": {"levels": ["trail"]}}, "trial"),
        ("evaluate.full_rows", ["simclar"], "simclr"),
        ("evaluate.finetune_epochs", [1], "one number for each"),
        ("method", {"name": "comet", "params": {"lamdas": [1, 1, 1, 1]}}, "lambdas"),
        ("job", "clincal", "clinical"),
    ],
)
def test_configuration_errors_name_the_nearest_key(
    tmp_path: Path, path: str, value: Any, message: str
) -> None:
    values = tiny(tmp_path)
    *parents, last = path.split(".")
    here = values
    for part in parents:
        here = here[part]
    here[last] = value
    with pytest.raises(ConfigError, match=message):
        check_job(values)


@pytest.mark.parametrize(
    ("path", "value", "field", "remedy"),
    [
        ("evaluate.finetune", {"foo": 1}, "evaluate.finetune.foo", "lr"),
        ("evaluate.finetune", {"frozen": True}, "evaluate.finetune.frozen", "leave it out"),
        ("evaluate.finetune", {"lr": "abc"}, "evaluate.finetune.lr", "positive"),
        ("evaluate.finetune", {"lr": -1}, "evaluate.finetune.lr", "positive"),
        ("evaluate.finetune", {"lr": math.nan}, "evaluate.finetune.lr", "positive"),
        ("evaluate.finetune", {"weight_decay": -1}, "evaluate.finetune.weight_decay", "0 or"),
        ("evaluate.finetune", {"epochs": 1.5}, "evaluate.finetune.epochs", "whole"),
        ("evaluate.finetune", {"batch_size": 1}, "evaluate.finetune.batch_size", "2 or more"),
        ("evaluate.finetune", {"patience": 0}, "evaluate.finetune.patience", "None"),
        ("evaluate.finetune", {"double_sigmoid": 1}, "evaluate.finetune.double_sigmoid", "true"),
        ("evaluate.finetune", {"pooling": "maxx"}, "evaluate.finetune.pooling", "max"),
        ("evaluate.finetune", {"device": "moon"}, "evaluate.finetune.device", "cpu"),
        ("evaluate.finetune_epochs", [0, 1], "evaluate.finetune_epochs", "at least 1"),
        ("evaluate.bands", "xx", "evaluate.bands", "'log' or 'eeg'"),
        ("evaluate.C", 0, "evaluate.C", "positive"),
        ("evaluate.C", [1.0, -1.0], "evaluate.C", "positive"),
        ("evaluate.C", [], "evaluate.C", "positive"),
        ("evaluate.protocols", [], "evaluate.protocols", "at least one"),
        ("evaluate.by", [], "evaluate.by", "at least one"),
        ("method.params", {"lambdas": [1, 0, 0]}, "method.params.lambdas", "give four"),
        ("method.params", {"lambdas": ["a", 0, 0, 1]}, "method.params.lambdas", "pass a number"),
        ("method.params", {"lambdas": [0, 0, 0, 0]}, "method.params.lambdas", "above 0"),
        ("split.folds", [], "split.folds", "at least one"),
    ],
)
def test_settings_of_the_evaluation_are_checked_before_anything_runs(
    tmp_path: Path, path: str, value: Any, field: str, remedy: str
) -> None:
    values = tiny(tmp_path)
    section, key = path.split(".")
    values.setdefault(section, {"name": "comet"} if section == "method" else {})[key] = value
    with pytest.raises(ConfigError) as caught:
        check_job(values)
    assert caught.value.field.startswith(field)
    assert remedy in caught.value.remedy


GROUPS = {"fractions": {"train": 0.5, "valid": 0.1, "test": 0.4}}


@pytest.mark.parametrize(
    ("kind", "params", "field", "remedy"),
    [
        ("kfold", GROUPS, "fractions", "split={kind: kfold, params: {n_splits: 3}}"),
        ("kfold", {**GROUPS, "n_splits": 3}, "fractions", "n_splits, stratify, valid"),
        ("fixed", GROUPS, "fractions", "known: column, ids"),
        ("official", GROUPS, "fractions", "test_fold"),
        ("leave_one_out", {"n_splits": 3}, "n_splits", "known: allow_missing"),
        ("group", {"fractons": {}}, "fractons", "did you mean 'fractions'"),
        ("group", {"fractions": math.nan}, "fractions", "sum to 1"),
        ("group", {"fractions": {"train": math.nan, "test": 1.0}}, "fractions", "sum to 1"),
        ("group", {"fractions": {"train": "a", "test": 0.5}}, "fractions", "sum to 1"),
        ("group", {"fractions": {"trian": 0.5, "test": 0.5}}, "fractions.trian", "train"),
        ("group", {"fractions": {"train": 0.5, "valid": 0.5}}, "fractions", "'test'"),
        ("group", {"stratify": "no"}, "stratify", "true or false"),
        ("kfold", {"n_splits": "3"}, "n_splits", "3 or more"),
        ("kfold", {"n_splits": 2}, "n_splits", "3 or more"),
        ("kfold", {"n_splits": 1, "valid": False}, "n_splits", "2 or more"),
        ("kfold", {"valid": "no"}, "valid", "true or false"),
        ("leave_one_out", {"valid": True}, "valid", "share"),
        ("fixed", {}, "ids", "ids of each part"),
        ("fixed", {"ids": {"valid": ["a"]}}, "ids", "'test'"),
        ("fixed", {"ids": {"test": "12"}}, "ids.test", "list"),
        ("official", {"valid": "118"}, "valid", "list"),
    ],
)
def test_split_parameters_of_another_kind_are_named(
    tmp_path: Path, kind: str, params: dict[str, Any], field: str, remedy: str
) -> None:
    values = tiny(tmp_path, split={"kind": kind, "params": params})
    with pytest.raises(ConfigError) as caught:
        check_job(values)
    assert caught.value.field == f"split.params.{field}"
    assert remedy in caught.value.remedy


def test_changing_the_kind_over_the_embedded_split_says_how() -> None:
    with pytest.raises(ConfigError, match="whole split") as caught:
        load_job(Path("clinical"), ["split.kind=kfold", "split.params.n_splits=3"])
    shown = str(caught.value)
    assert "split.params.fractions" in shown
    assert "GroupKFold" not in shown
    whole = shown.split("-s '")[1].split("'")[0]
    config = load_job(Path("clinical"), [whole])
    assert isinstance(config, ClinicalConfig)
    assert config.split.given() == {"n_splits": 3}


@pytest.mark.parametrize(
    "split",
    [
        {"kind": "kfold", "params": {"n_splits": 3, "valid": False}},
        {"kind": "leave_one_out", "params": {"valid": 0}},
        {"kind": "fixed", "params": {"ids": {"test": ["a"]}}},
        {"kind": "group", "params": {"fractions": {"train": 0.5, "test": 0.5}}},
    ],
)
def test_probing_without_a_validation_part_names_the_setting(
    tmp_path: Path, split: dict[str, Any]
) -> None:
    values = tiny(tmp_path, split=split)
    values["train"] |= {"probe": True}
    with pytest.raises(ConfigError, match=r"train.probe: .*valid part") as caught:
        check_job(values)
    assert "split.params" in caught.value.remedy
    values["train"] |= {"probe": False, "select": "validation"}
    with pytest.raises(ConfigError, match=r"train.select: got validation"):
        check_job(values)
    values["train"] |= {"select": "last"}
    check_job(values)


def test_weights_of_compared_and_ablated_levels_are_checked_too(tmp_path: Path) -> None:
    values = tiny(tmp_path, method={"name": "comet", "params": {"lambdas": [1, 0, 0, 0]}})
    values["evaluate"]["ablations"] = {"a": {"levels": ["trial"]}}
    with pytest.raises(ConfigError, match=r"evaluate.ablations.a.lambdas: .*above 0"):
        check_job(values)
    values["evaluate"]["ablations"] = {"a": {"params": {"lambdas": [1]}}}
    with pytest.raises(ConfigError, match=r"evaluate.ablations.a.params.lambdas"):
        check_job(values)
    values = tiny(tmp_path, method={"name": "simclr"}, compare_params={"comet": {"lambdas": [1]}})
    values["evaluate"] |= {"compare": ["comet"], "ablations": {}, "full_rows": None}
    with pytest.raises(ConfigError, match=r"compare_params.comet.lambdas"):
        check_job(values)


def test_embedded_and_recipe_configurations_are_valid() -> None:
    assert isinstance(load_job(Path("clinical")), ClinicalConfig)
    recipes = sorted((Path(__file__).parents[3] / "recipes" / "comet").glob("*.yaml"))
    assert len(recipes) >= 12
    for path in recipes:
        assert isinstance(load_job(path), ClinicalConfig), path
    with pytest.raises(ConfigError, match="clinical"):
        load_job(Path("clinicl"))


def test_ablation_keeps_the_weights_of_the_levels_it_keeps(tmp_path: Path) -> None:
    values = tiny(tmp_path, method={"name": "comet", "params": {"lambdas": [0.1, 0.7, 0.15, 0.05]}})
    rows = {row.name: row for row in table_rows(check_clinical(values))}
    assert rows["patient and trial"].params["lambdas"] == [0.1, 0.7, 0.0, 0.0]
    assert rows["comet"].params["lambdas"] == [0.1, 0.7, 0.15, 0.05]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> MedicalDataset:
    settings = {**MAKE, "n_patients": 40, "disease_effect": 0.0, "patient_effect": 2.0}
    return load_cohort(make_cohort(tmp_path_factory.mktemp("cohort") / "c", **settings))


def test_without_an_effect_nothing_is_found_and_shuffled_samples_leak(
    cohort: MedicalDataset,
) -> None:
    """The same data and classifier: chance on unseen patients, far above it on shuffled samples."""
    settings = {"protocols": ["knn"], "fractions": [1.0], "seeds": [0]}
    features = BandPower(64.0)
    section = check_clinical({"split": {"params": {"fractions": {"train": 0.5, "test": 0.5}}}})
    fold = make_folds(cohort, section.split, 0)[0]
    honest = summarise(evaluate_cells(features, cohort, fold.parts, **settings))
    row = honest[(honest["metric"] == "auroc") & (honest["level"] == "sample")].iloc[0]
    assert row["ci_low"] < 0.5 < row["ci_high"]
    shuffled = cohort.table.assign(sample=np.arange(len(cohort)))
    parts = group_split(shuffled, {"train": 0.5, "test": 0.5}, column="sample", allow_missing=True)
    with pytest.raises(LeakageError):
        evaluate_cells(features, cohort, parts, **settings)
    n = len(cohort)
    unnamed = MedicalDataset(
        cohort.X, cohort.label, np.arange(n), np.arange(n), 64.0, label_names=("healthy", "disease")
    )
    leaking = summarise(evaluate_cells(features, unnamed, parts, **settings))
    leak = leaking[(leaking["metric"] == "auroc") & (leaking["level"] == "sample")].iloc[0]
    assert leak["ci_low"] > 0.5
    assert leak["mean"] > row["ci_high"]


def test_pretraining_at_zero_effect_stays_at_chance(tmp_path: Path) -> None:
    make = {**MAKE, "n_patients": 30, "disease_effect": 0.0}
    evaluate = {"protocols": ["partial"], "fractions": [1.0], "seeds": 1, "compare": []}
    split = {"params": {"fractions": {"train": 0.4, "valid": 0.1, "test": 0.5}}}
    run = job(tmp_path, data={"kind": "cohort", "make": make}, evaluate=evaluate, split=split)
    files = write_clinical_report(run, run.evaluate())
    table = pd.read_csv(files.table)
    row = table[(table["metric"] == "auroc") & (table["level"] == "sample")].iloc[0]
    assert row["ci_low"] < 0.5 < row["ci_high"]


def test_splits_by_configuration(cohort: MedicalDataset, tmp_path: Path) -> None:
    def folds(**split: Any) -> list:
        return make_folds(cohort, check_clinical({"split": split}).split, 0)

    made = folds(kind="kfold", params={"n_splits": 4})
    tested = np.concatenate([fold.parts["test"] for fold in made])
    assert sorted(tested.tolist()) == list(range(len(cohort)))
    assert [f.number for f in folds(kind="kfold", params={"n_splits": 4}, folds=[2, 0])] == [0, 2]
    ids = np.unique(cohort.patient).tolist()
    fixed = folds(kind="fixed", params={"ids": {"valid": ids[:4], "test": ids[4:12]}})[0]
    assert set(cohort.patient[fixed.parts["train"]]) == set(ids[12:])
    with pytest.raises(ConfigError, match=r"0\.\.3"):
        folds(kind="kfold", params={"n_splits": 4}, folds=[4])
    with pytest.raises(ConfigError, match="only ptbxl and mitbih"):
        folds(kind="official")
    with pytest.raises(ConfigError, match="params"):
        folds(kind="group", params={"fraction": 1})
    with pytest.raises(LeakageError):
        folds(kind="fixed", params={"ids": {"train": ids[:9], "test": ids[8:]}})


def test_standardising_by_training_patients_ignores_the_others(cohort: MedicalDataset) -> None:
    train = np.flatnonzero(np.isin(cohort.patient, np.unique(cohort.patient)[:10]))
    scaled = standardised(cohort, "train", train)
    np.testing.assert_allclose(scaled.X[train].mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.X[train].std(axis=(0, 1)), 1, atol=1e-3)
    assert abs(scaled.X.std(axis=(0, 1)) - 1).max() > 1e-3


def test_pretraining_repeated_over_the_seeds(tmp_path: Path) -> None:
    def changed(repeats: int) -> dict[str, Any]:
        values = tiny(tmp_path / str(repeats))
        values["train"]["repeats"] = repeats
        values["evaluate"] |= {"compare": ["bandpower"], "ablations": {}, "full_rows": []}
        values["evaluate"] |= {"protocols": ["partial"], "fractions": [1.0], "seeds": 3}
        values["evaluate"]["finetune_epochs"] = None
        return values

    runs, cells = {}, {}
    for repeats in (1, 2):
        runs[repeats] = ClinicalRun(check_clinical(changed(repeats)))
        runs[repeats].begin(resume=False)
        found = runs[repeats].evaluate()
        assert sorted(c.key["seed"] for c in found if c.key["method"] == "COMET") == [0, 1, 2]
        cells[repeats] = {c.key["seed"]: c for c in found if c.key["method"] == "COMET"}
    proba = {key: {s: c.arrays["proba"] for s, c in found.items()} for key, found in cells.items()}
    np.testing.assert_array_equal(proba[1][0], proba[1][1])
    np.testing.assert_array_equal(proba[2][0], proba[1][0])
    np.testing.assert_array_equal(proba[2][2], proba[2][0])
    assert np.abs(proba[2][1] - proba[2][0]).max() > 1e-6
    files = write_clinical_report(runs[2], [*cells[2].values()])
    assert "is trained 2 times a fold" in files.markdown.read_text()
    assert (runs[2].folder.path / "models" / "comet-repeat1" / "fold0" / "encoder.json").is_file()
    with pytest.raises(ConfigError, match="seeds is 3"):
        check_clinical(changed(4))


def test_leakage_statement_lists_each_fold(finished: tuple[ClinicalRun, list]) -> None:
    run, _ = finished
    text = leakage(run)
    for name, part in run.folds[0].parts.items():
        assert f"- {name}: {len(np.unique(run.data.patient[part]))} patients" in text


def test_commands_make_describe_pretrain_and_evaluate(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    made = RUNNER.invoke(
        app,
        [
            *("data", "make-cohort", "--out", str(folder), "--kind", "ecg", "--patients", "4"),
            *("--trials", "2", "--seconds", "2", "-s", "n_channels=2", "--seed", "3"),
        ],
    )
    assert made.exit_code == 0, made.output
    assert len(list(folder.glob("*/*.dat"))) == 4
    told = RUNNER.invoke(app, ["data", "describe", str(folder)])
    assert told.exit_code == 0, told.output
    assert "healthy" in told.output
    assert "4 patients" in " ".join(told.output.split())
    next(folder.glob("*/*.dat")).write_bytes(b"")
    damaged = RUNNER.invoke(app, ["data", "describe", str(folder)])
    assert "left out" in damaged.output
    strict = RUNNER.invoke(app, ["data", "describe", str(folder), "--strict"])
    assert strict.exit_code == 2
    nothing = RUNNER.invoke(app, ["data", "describe", str(tmp_path)])
    assert nothing.exit_code == 2
    assert "--kind" in nothing.output


def test_command_line_runs_the_job_its_configuration_names(tmp_path: Path) -> None:
    import yaml

    values = tiny(tmp_path / "run")
    values["evaluate"] |= {"compare": ["random"], "ablations": {}, "protocols": ["partial"]}
    values["evaluate"] |= {"full_rows": [], "seeds": 1}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    first = RUNNER.invoke(app, ["pretrain", "-c", str(path), "-q"])
    assert first.exit_code == 0, first.output
    assert (tmp_path / "run" / "models" / "comet" / "fold0" / "encoder.json").is_file()
    second = RUNNER.invoke(app, ["evaluate", "--run", str(tmp_path / "run"), "-q"])
    assert second.exit_code == 0, second.output
    assert (tmp_path / "run" / "report.html").is_file()
    wrong = RUNNER.invoke(app, ["forecast", "--run", str(tmp_path / "run")])
    assert wrong.exit_code == 2
    assert "forecasting" in wrong.output


def test_data_errors_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folder"):
        job(tmp_path, data={"kind": "ptbxl"})
    with pytest.raises(ConfigError, match="window"):
        job(tmp_path, data={"kind": "cohort", "make": MAKE, "params": {"windw": 3}})
    with pytest.raises(InputError):
        job(tmp_path, split={"kind": "kfold", "params": {"n_splits": 9}})
