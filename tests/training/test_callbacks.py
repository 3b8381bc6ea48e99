"""Callbacks and loggers: the order of calls, stopping, resume, what they write."""

from __future__ import annotations

import builtins

import pytest

from tests.training import cases
from tscl.errors import InputError, MissingExtraError
from tscl.training.loggers import MLflowLogger, TensorBoardLogger
from tscl.training.trainer import Trainer, TrainSettings


def test_calls_come_in_order_and_the_end_comes_once():
    follow = cases.Recorder()
    result = cases.fit(cases.build("simclr"), callbacks=[follow], monitor=cases.score)
    kinds = [c.split()[0] for c in follow.calls]
    assert kinds == ["start", "step", "step", "epoch", "step", "step", "epoch", "end"]
    assert follow.calls[0] == "start 0/4"
    assert follow.calls[3] == f"epoch 0 {result.monitored[0]['score']}"
    assert follow.closed == 1


def test_a_callback_can_end_the_training_and_a_resume_stays_ended(tmp_path):
    follow = cases.Recorder(stop_after=3)
    result = cases.fit(cases.build("simclr"), callbacks=[follow], checkpoints=tmp_path)
    assert result.steps == 3
    again = cases.Recorder(stop_after=3)
    rest = cases.fit(cases.build("simclr"), callbacks=[again], checkpoints=tmp_path, resume=True)
    assert rest.steps == 3
    assert rest.history == result.history


def test_a_callback_keeps_its_state_through_a_resume(tmp_path):
    whole = cases.Recorder()
    cases.fit(cases.build("simclr"), callbacks=[whole])
    first, second = cases.Recorder(), cases.Recorder()
    cases.fit(cases.build("simclr"), callbacks=[first], checkpoints=tmp_path, max_steps=2)
    cases.fit(cases.build("simclr"), callbacks=[second], checkpoints=tmp_path, resume=True)
    steps = [c for c in second.calls if c.startswith(("step", "epoch"))]
    assert steps == [c for c in whole.calls if c.startswith(("step", "epoch"))]


def test_close_is_called_after_an_error():
    follow = cases.Recorder()

    def broken(encoder):
        raise RuntimeError("monitor")

    with pytest.raises(RuntimeError, match="monitor"):
        cases.fit(cases.build("simclr"), callbacks=[follow], monitor=broken)
    assert follow.closed == 1
    assert not any(c.startswith("end") for c in follow.calls)


def test_tensorboard_holds_terms_rates_and_scores_and_a_resume_goes_on(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = {"logs": tmp_path / "logs", "loggers": ("tensorboard",), "monitor": cases.score}
    cases.fit(cases.build("simclr"), checkpoints=tmp_path / "c", max_steps=2, **options)
    result = cases.fit(cases.build("simclr"), checkpoints=tmp_path / "c", resume=True, **options)
    found = EventAccumulator(str(tmp_path / "logs" / "tensorboard")).Reload()
    losses = found.Scalars("train/loss")
    assert [e.step for e in losses] == [0, 1, 2, 3]
    assert [e.value for e in losses] == pytest.approx([r["loss"] for r in result.history])
    assert [e.value for e in found.Scalars("lr/encoder")] == pytest.approx([0.01] * 4)
    scores = [e.value for e in found.Scalars("valid/score")]
    assert scores == pytest.approx([r["score"] for r in result.monitored])


def test_mlflow_holds_one_run_through_a_resume(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    options = {"logs": tmp_path / "logs", "loggers": ("mlflow",)}
    cases.fit(cases.build("simclr"), checkpoints=tmp_path / "c", max_steps=2, **options)
    result = cases.fit(cases.build("simclr"), checkpoints=tmp_path / "c", resume=True, **options)
    store = f"sqlite:///{tmp_path / 'logs' / 'mlflow' / 'mlruns.db'}"
    client = mlflow.MlflowClient(tracking_uri=store)
    runs = client.search_runs([client.get_experiment_by_name("tscl").experiment_id])
    assert len(runs) == 1
    assert runs[0].info.status == "FINISHED"
    assert runs[0].data.params["lr"] == "0.01"
    logged = client.get_metric_history(runs[0].info.run_id, "train/loss")
    assert [m.step for m in logged] == [0, 1, 2, 3]
    assert [m.value for m in logged] == pytest.approx([r["loss"] for r in result.history])


@pytest.mark.parametrize(
    ("logger", "package"), [(TensorBoardLogger, "tensorboard"), (MLflowLogger, "mlflow")]
)
def test_a_missing_package_names_the_extra(tmp_path, monkeypatch, logger, package):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == package or name == "torch.utils.tensorboard":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=f"tscl\\[{package}\\]"):
        cases.fit(cases.build("simclr"), callbacks=[logger(tmp_path)])


def test_loggers_without_a_folder_or_with_a_wrong_name_are_refused():
    with pytest.raises(InputError) as caught:
        Trainer(TrainSettings(loggers=("tensorboard",)))
    assert caught.value.field == "logs"
    with pytest.raises(InputError, match="did you mean 'mlflow'"):
        TrainSettings(loggers=("mlfow",))


@pytest.mark.parametrize(
    "bad",
    [
        {"accumulate": 0},
        {"devices": 0},
        {"decay_factor": 2.0},
        {"precision": "16"},
        {"schedule": "cosin"},
        {"lr": 0.0},
    ],
    ids=lambda d: next(iter(d)),
)
def test_settings_that_cannot_be_are_named(bad):
    with pytest.raises(InputError) as caught:
        TrainSettings(**bad)
    assert caught.value.field == next(iter(bad))
