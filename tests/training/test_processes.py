"""Several processes give what one gives: real gloo processes, every way of sharing the batch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from tests.training import cases
from tests.training.refusing import refuse
from tscl.errors import InputError
from tscl.training import distributed as processes
from tscl.training.distributed import in_processes
from tscl.training.settings import TrainSettings


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Everything two processes are asked for, in one start of them."""
    return in_processes(2, cases.everything, tmp_path_factory.mktemp("two"))


def assert_equal_runs(a, b) -> None:
    """Losses of every step and weights agree over four steps in float64.

    In float32 they cannot be held to a bound: Adam divides a gradient by its size, so one that is
    rounding alone moves its weight by the whole rate. Rounding in float64, 1e-16, is far below
    Adam's ``eps`` of 1e-8 and moves no weight by more than the rate times 1e-8 a step.
    """
    assert len(a["history"]) == len(b["history"]) == 4
    for left, right in zip(a["history"], b["history"], strict=True):
        assert left == pytest.approx(right, rel=1e-9, abs=1e-9)
    for part in ("method", "encoder"):
        for name, value in a[part].items():
            torch.testing.assert_close(value, b[part][name], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", cases.METHODS_HERE)
def test_two_processes_equal_one(two, name):
    alone = cases.build(name).double()
    untrained = {k: v.clone() for k, v in alone.state_dict().items()}
    one = cases.summary(cases.fit(alone), alone)
    assert_equal_runs(one, two["together"][name])
    moved = max(float((one["method"][k] - v).abs().max()) for k, v in untrained.items())
    assert moved > 2e-3


@pytest.mark.parametrize("name", cases.METHODS_HERE)
def test_two_processes_with_cached_gradients_equal_one_whole_batch(two, name):
    alone = cases.build(name).double()
    one = cases.summary(cases.fit(alone, clip_norm=0.5), alone)
    assert_equal_runs(one, two["cached"][name])


def test_a_loss_that_gathers_by_itself_equals_one_process(two):
    alone = cases.simclr_with_gathering_loss().double()
    assert_equal_runs(cases.summary(cases.fit(alone), alone), two["apart"]["gathering"])


def test_a_mean_over_samples_is_that_of_the_whole_batch_however_it_is_cut(two):
    alone = cases.MeanSquare().double()
    one = cases.summary(cases.fit(alone), alone)
    assert_equal_runs(one, two["apart"]["mean"])
    parts = cases.MeanSquare().double()
    assert_equal_runs(one, cases.summary(cases.fit(parts, accumulate=4), parts))


def test_dropout_differs_between_rows_but_processes_stay_equal(two):
    assert two["in step"] == [True, True]


def test_two_processes_resume_to_the_same_bits(two):
    assert two["resumed"]


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.training import cases
from tests.training.refusing import refuse

if __name__ == "__main__":
    cases.torch.set_num_threads(1)
    cases.fit(
        cases.build("simclr"),
        devices=2,
        max_epochs=100_000,  # it ends by the signal only
        checkpoints=Path(sys.argv[1]),
        checkpoint_seconds=0.0,
    )
"""


def test_sigterm_stops_all_processes_after_a_checkpoint(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(textwrap.dedent(SCRIPT.format(root=str(Path(__file__).parents[2]))))
    job = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "c")],
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
    )
    while not list((tmp_path / "c").glob("step-*")):
        assert job.poll() is None
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate()
    assert job.returncode != 0
    assert "KeyboardInterrupt" in said, said
    newest = sorted((tmp_path / "c").glob("step-*"))[-1]
    done = int(newest.name.removeprefix("step-"))
    assert done > 0
    assert not subprocess.run(["pgrep", "-f", str(script)], capture_output=True, check=False).stdout


def test_fit_starts_its_processes_and_gives_everything_back(tmp_path):
    alone, made = cases.build("simclr").double(), cases.build("simclr").double()
    follow, follow_alone = cases.Recorder(), cases.Recorder()
    options = {"monitor": cases.score, "clip_norm": 1.0}
    one = cases.fit(alone, callbacks=[follow_alone], **options)
    two = cases.fit(made, callbacks=[follow], devices=2, **options)
    assert_equal_runs(cases.summary(one, alone), cases.summary(two, made))
    assert two.best_epoch == one.best_epoch
    assert two.best_score == pytest.approx(one.best_score, rel=1e-9)
    assert [c.split()[0] for c in follow.calls] == [c.split()[0] for c in follow_alone.calls]
    assert not made.training


def test_what_cannot_be_sent_to_another_process_is_named():
    with pytest.raises(InputError) as caught:
        cases.fit(cases.build("simclr"), devices=2, monitor=lambda encoder: 0.0)
    assert caught.value.field == "devices"
    assert "torchrun" in str(caught.value)


def test_torchrun_with_another_number_of_processes_is_named(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(InputError) as caught:
        processes.make_fabric(TrainSettings(devices=3))
    assert caught.value.field == "devices"


def test_an_error_in_the_processes_is_raised_as_it_was():
    with pytest.raises(InputError) as caught:
        in_processes(2, refuse, "x")
    assert caught.value.field == "batch_size"
