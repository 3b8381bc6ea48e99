"""The label-efficiency job finds what is planted, resumes, embeds once, and leaks nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_loaders.container.recordings import Recordings
from tests.runs.label_efficiency.motifs import motif_recordings, motif_values
from tscl.errors import ConfigError, LeakageError
from tscl.runs.jobs import check_job
from tscl.runs.label_efficiency import run as run_module
from tscl.runs.label_efficiency.data import digests, group_copies, make_folds
from tscl.runs.label_efficiency.report import write_label_report
from tscl.runs.label_efficiency.run import LabelEfficiencyRun
from tscl.runs.label_efficiency.tables import score_cells, score_table
from tscl.training.callbacks import Silent


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A finished run on motifs, with its cells and report."""
    out = tmp_path_factory.mktemp("motifs") / "run"
    job = LabelEfficiencyRun(check_job(motif_values(out)), recordings=motif_recordings())
    job.begin(resume=False)
    cells = job.evaluate()
    return job, cells, write_label_report(job, cells)


def test_pretraining_finds_the_order_that_spectrum_and_untrained_miss(planted):
    job, cells, _ = planted
    table = score_table(score_cells(cells, job.group, n_replicates=50))
    few = table[(table["metric"] == "auroc") & (table["share"] == 0.1)].set_index("row")["value"]
    assert few["simclr"] > 0.95
    assert few["untrained"] < 0.85
    assert few["spectrum"] < 0.65


def test_report_begins_with_the_result_and_shows_every_prediction(planted):
    job, cells, report = planted
    text = report.markdown.read_text(encoding="utf-8")
    assert report.headline[0].startswith("order: with 10 % of the labels (8 recordings) simclr")
    assert "above untrained, the best row without pretraining." in report.headline[0]
    assert text.split("\n\n")[1] == report.headline[0]
    assert text.split("\n\n")[2].startswith("Took ")
    assert "a star marks the best of each column" in text
    assert "No forecast stands here" not in text
    assert text.index("figures/label_efficiency.png") < text.index("## AUROC")
    assert (job.folder.path / "figures" / "label_efficiency.png").stat().st_size > 5000
    predictions = pd.read_csv(job.folder.path / "predictions.csv")
    assert len(predictions) == sum(len(cell.arrays["y"]) for cell in cells) == 3 * 3 * 40
    simclr = predictions[(predictions["row"] == "simclr") & (predictions["share"] == 1)]
    assert set(simclr["record"]) == {job.data.record[row] for row in job.folds[0].test}
    chosen = simclr[["p_up-down", "p_down-up"]].to_numpy().argmax(axis=1)
    right = np.asarray(["up-down", "down-up"])[chosen] == simclr["label"]
    assert right.mean() > 0.9


def small(out, **changes):
    """A run in which every kind of row trains for a few steps."""
    rows = {
        "simclr": {
            "kind": "pretrained",
            "method": "simclr",
            "params": {"augmentation": None},
            "train": {"max_epochs": 2},
        },
        "spectrum": {"kind": "spectrum"},
        "supervised": {"kind": "supervised"},
        "finetuned": {"kind": "finetuned", "base": "simclr", "shares": [1.0]},
        "both": {"kind": "together", "members": ["simclr", "spectrum"]},
    }
    shared = {"rows": rows, "labelled": {"steps": 4, "checks": 2}, "shares": [1.0, 0.2]}
    return check_job(motif_values(out, **shared, **changes))


class StopAfter(Silent):
    """Ctrl-C after so many steps or cells."""

    def __init__(self, count: int) -> None:
        self.left = count

    def advance(self, terms):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("count", [2, 6, 11])
def test_stopped_and_resumed_gives_the_same_figures(tmp_path, count):
    data = motif_recordings(36)
    whole = LabelEfficiencyRun(small(tmp_path / "whole"), recordings=data)
    whole.begin(resume=False)
    expected = whole.evaluate()
    first = LabelEfficiencyRun(small(tmp_path / "cut"), StopAfter(count), data)
    first.begin(resume=False)
    with pytest.raises(KeyboardInterrupt):
        first.evaluate()
    second = LabelEfficiencyRun(small(tmp_path / "cut"), recordings=data)
    second.begin(resume=True)
    cells = second.evaluate()
    assert [cell.key for cell in cells] == [cell.key for cell in expected]
    for one, other in zip(cells, expected, strict=True):
        assert one.facts == other.facts
        np.testing.assert_array_equal(one.arrays["proba"], other.arrays["proba"])
    third = LabelEfficiencyRun(small(tmp_path / "cut"), recordings=data)
    third.begin(resume=True)
    third.evaluate()
    assert not third.encoded


def test_a_row_can_be_added_to_a_finished_run_and_none_changed(tmp_path):
    data, out = motif_recordings(36), tmp_path / "run"
    first = LabelEfficiencyRun(small(out), recordings=data)
    first.begin(resume=False)
    count = len(first.evaluate())
    values = small(out).model_dump(mode="json")
    more = check_job({**values, "rows": {**values["rows"], "untrained": {"kind": "untrained"}}})
    second = LabelEfficiencyRun(more, recordings=data)
    second.begin(resume=True)
    assert len(second.evaluate()) == count + len(second.keys("untrained", second.folds[0]))
    assert second.encoded == {("untrained", 0): 1}
    changed = {**values["rows"], "supervised": {"kind": "supervised", "labelled": {"steps": 5}}}
    for other in (changed, {"spectrum": {"kind": "spectrum"}}):
        job = LabelEfficiencyRun(check_job({**values, "rows": other}), recordings=data)
        with pytest.raises(ConfigError, match="another configuration"):
            job.begin(resume=True)


@pytest.mark.parametrize(("method", "given"), [("simclr", True), ("autotcl", False)])
def test_a_method_that_learns_its_augmentation_is_given_none(tmp_path, method, given):
    rows = {"row": {"kind": "pretrained", "method": method, "train": {"max_epochs": 1}}}
    config = check_job(motif_values(tmp_path, rows=rows, augmentation={"name": "polarity"}))
    job = LabelEfficiencyRun(config, recordings=motif_recordings(36))
    job.begin(resume=False)
    assert ("augmentation" in job.method_params(config.rows["row"])) is given
    assert job.encoder("row", job.folds[0]).output_dims == 32


def test_recordings_are_embedded_once_for_all_tasks_shares_and_draws(tmp_path, monkeypatch):
    calls = []
    real = run_module.embed_recordings

    def counted(encoder, recordings, **how):
        calls.append(len(recordings))
        return real(encoder, recordings, **how)

    monkeypatch.setattr(run_module, "embed_recordings", counted)
    tasks = {"order": {}, "again": {"classes": ["down-up", "up-down"]}}
    config = small(tmp_path, tasks=tasks, split={"n_splits": 3, "folds": [0, 2]})
    job = LabelEfficiencyRun(config, recordings=motif_recordings(36))
    job.begin(resume=False)
    job.evaluate()
    assert calls == [36, 36]
    assert job.encoded == {(row, fold): 1 for row in ("simclr", "spectrum") for fold in (0, 2)}


def test_pretraining_is_given_no_label_and_no_tested_recording(tmp_path, monkeypatch):
    given = []
    real = run_module.pretrain_recordings

    def looked_at(recordings, *args, **kwargs):
        given.append(recordings)
        return real(recordings, *args, **kwargs)

    monkeypatch.setattr(run_module, "pretrain_recordings", looked_at)
    job = LabelEfficiencyRun(small(tmp_path), recordings=motif_recordings(36))
    job.begin(resume=False)
    job.encoder("simclr", job.folds[0])
    assert (given[0].label == -1).all()
    tested = {job.data.record[row] for row in job.folds[0].test}
    assert not tested & set(given[0].record)
    assert len(given[0]) == 36 - len(tested)


def test_scaling_by_the_training_part_knows_nothing_of_the_tested(tmp_path):
    data = motif_recordings(36)
    config = small(tmp_path)
    values = config.data.model_copy(update={"standardize": "train"})
    job = LabelEfficiencyRun(config.model_copy(update={"data": values}), recordings=data)
    fold = job.folds[0]
    stats = data.subset(fold.train).channel_stats()
    for row in (fold.train[0], fold.test[0]):
        wanted = (data[int(row)] - stats.mean) / stats.std
        np.testing.assert_allclose(job.scaled(fold.number)[int(row)], wanted, atol=1e-3)
    facts = job.input_facts(fold.number)
    assert facts["standardize"] == "train"
    assert facts["mean"] == stats.mean.tolist()


def test_copies_under_two_names_stay_on_one_side():
    data = motif_recordings(60)
    signals = [data[row] for row in range(60)] + [data[row] for row in range(10)]
    label = np.r_[data.label, data.label[:10]]
    twice = Recordings.from_arrays(signals, 50.0, label=label, record=np.arange(70))
    group = group_copies(twice, digests(twice))
    assert (group[60:] == group[:10]).all()
    folds = make_folds(twice, group, check_job(motif_values("x")).split, seed=0)
    assert all(not set(group[fold.train]) & set(group[fold.test]) for fold in folds)


def test_recordings_without_label_train_in_every_fold():
    data = motif_recordings(60)
    data.label = np.where(np.arange(60) < 12, -1, data.label)
    split = check_job(motif_values("x", split={"n_splits": 3})).split
    folds = make_folds(data, group_copies(data, digests(data)), split, seed=0)
    assert all(set(range(12)) <= set(fold.train.tolist()) for fold in folds)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(12, 60))


def test_a_column_that_parts_a_patient_is_refused(tmp_path):
    data = motif_recordings(12)
    sides = {"side": ["train"] * 6 + ["test"] * 6}
    patient = np.r_[np.arange(11), 0]
    split = {"column": "side", "test": ["test"]}
    fields = {"label": data.label, "patient": patient, "columns": sides}
    parted = Recordings.from_arrays([data[row] for row in range(12)], 50.0, **fields)
    with pytest.raises(LeakageError):
        LabelEfficiencyRun(check_job(motif_values(tmp_path, split=split)), recordings=parted)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rows": {}}, "rows"),
        ({"rows": {"a": {"kind": "pretrained"}}}, "rows.a.method"),
        ({"rows": {"a": {"kind": "pretrained", "method": "simclr", "params": {"vew": 1}}}}, "vew"),
        ({"rows": {"a": {"kind": "finetuned", "base": "b"}}}, "rows.a.base"),
        ({"rows": {"a": {"kind": "untrained", "shares": [0.3]}}}, "rows.a.shares"),
        ({"rows": {"a": {"kind": "together"}}}, "rows.a.members"),
        ({"rows": {"a": {"kind": "together", "members": ["a", "b"]}}}, "rows.a.members"),
        ({"rows": {"a": {"kind": "untrained", "members": ["a", "b"]}}}, "rows.a.members"),
        ({"rows": {"a b": {"kind": "untrained"}, "a_b": {"kind": "spectrum"}}}, "rows"),
        ({"train": {"lr": -1.0}}, "train.lr"),
        ({"train": {"seed": 1}}, "train.seed"),
        ({"main": "simclrr"}, "main"),
        ({"split": {"column": "side"}}, "split.test"),
    ],
)
def test_bad_configurations_name_the_key(changes, field):
    with pytest.raises(ConfigError, match=field.replace(".", r"\.")):
        check_job(motif_values("x", **changes))


def test_unknown_class_names_the_task(tmp_path):
    values = motif_values(tmp_path, tasks={"order": {"classes": ["up-down", "sideways"]}})
    with pytest.raises(ConfigError, match=r"tasks\.order\.classes"):
        LabelEfficiencyRun(check_job(values), recordings=motif_recordings(12))
