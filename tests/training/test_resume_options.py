"""A resumed run gives the bits of an uninterrupted one with every option of the engine."""

from __future__ import annotations

import pytest
import torch

from tests.training import cases
from tscl.training.checkpoint import CheckpointStore
from tscl.training.step import rate_factor
from tscl.training.trainer import Trainer, TrainSettings

OPTIONS = {
    "accumulate": {"accumulate": 3},
    "cached": {"accumulate": 3, "cache_gradients": True},
    "clip": {"clip_norm": 0.1},
    "cosine": {"schedule": "cosine", "warmup": 2},
    "linear": {"schedule": "linear", "final_lr": 0.1},
    "step": {"schedule": "step", "decay_epochs": 1},
    "bf16": {"precision": "bf16-mixed"},
    "16": {"precision": "16-mixed", "clip_norm": 1.0},
    "monitor": {"monitor": cases.score, "patience": 1, "min_delta": 10.0},
    "ema": {"averaging": "ema", "average_start": 2, "ema_decay": 0.5},
    "ema from the start": {"averaging": "ema", "ema_decay": 0.9, "ema_warmup": 3},
    "one cycle": {"schedule": "one_cycle"},
    "sgd": {"momentum": 0.9},
}


CASES = [("autotcl", option) for option in OPTIONS] + [("comet", "cached"), ("comet", "bf16")]


@pytest.mark.parametrize(("name", "option"), CASES)
def test_resume_is_bit_equal(tmp_path, name, option):
    assert cases.resumes(tmp_path, cases.build, name, dropout=0.1, options=OPTIONS[option])


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_the_result(option):
    """So that the test above is not about options without effect."""
    plain, other = cases.build("autotcl", 0.1), cases.build("autotcl", 0.1)
    first = cases.summary(cases.fit(plain), plain)
    changed = cases.summary(cases.fit(other, **OPTIONS[option]), other)
    if option == "monitor":
        assert len(changed["history"]) == 4
        return
    same = all(torch.equal(v, changed["encoder"][k]) for k, v in first["encoder"].items())
    assert not same


def test_half_precision_scales_the_loss_and_keeps_the_scale(tmp_path):
    """Overflowing steps are skipped and halve the scale, which the checkpoint holds."""
    made = cases.MeanSquare()
    cases.fit(made, precision="16-mixed", checkpoints=tmp_path, clip_norm=1.0)
    state = CheckpointStore(tmp_path).load_latest()
    assert state is not None
    assert state["precision"]["scale"] > 1.0


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_low_precision_is_close_to_float32(precision):
    full, low = cases.MeanSquare(), cases.MeanSquare()
    one = cases.fit(full).history
    two = cases.fit(low, precision=precision).history
    assert [r["loss"] for r in one] == pytest.approx([r["loss"] for r in two], rel=0.02)
    assert [r["loss"] for r in one] != [r["loss"] for r in two]


def rates(**options):
    settings = TrainSettings(**options)
    return [rate_factor(settings, step, 12, 3) for step in range(12)]


def test_schedules_follow_their_definition():
    assert rates() == [1.0] * 12
    assert rates(warmup=4)[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates(schedule="step", decay_epochs=2, decay_factor=0.5) == [1.0] * 6 + [0.5] * 6
    held = rates(schedule="step", decay_epochs=1, decay_factor=0.5, hold_epochs=1)
    assert held == [1.0] * 6 + [0.5] * 3 + [0.25] * 3
    linear = rates(schedule="linear", final_lr=0.4)
    assert linear[0] == 1.0
    assert linear[6] == pytest.approx(0.7)
    cosine = rates(schedule="cosine", warmup=2)
    assert cosine[2] == 1.0
    assert cosine[7] == pytest.approx(0.5)
    assert cosine[2:] == sorted(cosine[2:], reverse=True)
    assert cosine[-1] < 0.03
    assert rates(schedule="cosine", final_lr=1.0) == [1.0] * 12
    cycle = rates(schedule="one_cycle", final_lr=0.1)
    assert cycle[0] == pytest.approx(0.04)
    assert cycle[:4] == sorted(cycle[:4])
    assert cycle[3] == 1.0  # after a quarter of the 12 steps
    assert cycle[3:] == sorted(cycle[3:], reverse=True)
    assert cycle[6] == pytest.approx(0.1 + 0.9 * 0.75)
    assert rates(schedule="one_cycle", warmup=6)[6] == 1.0


def test_the_optimiser_gets_the_scheduled_rate():
    seen = []

    class Rates(cases.Callback):
        def on_step(self, report):
            seen.append(report.rates["encoder"])

    settings = TrainSettings(max_epochs=2, lr=0.5, schedule="linear")
    Trainer(settings, callbacks=[Rates()]).fit(
        cases.build("simclr"), cases.source(), cases.sampler()
    )
    assert seen == pytest.approx([0.5, 0.375, 0.25, 0.125])


def test_clipping_bounds_the_gradient():
    norms = []
    made = cases.build("simclr")
    keep = made.after_step

    def after(step: int) -> None:
        grads = [p.grad for p in made.parameters() if p.grad is not None]
        norms.append(float(torch.stack([g.norm() for g in grads]).norm()))
        keep(step)

    made.after_step = after  # type: ignore[method-assign]
    cases.fit(made, clip_norm=0.01)
    assert norms == pytest.approx([0.01] * 4, rel=1e-3)
