"""The engine: seeds, resume to the same bits, interrupts, averaging, monitors, bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from tscl.encoders import ENCODERS
from tscl.errors import CheckpointError, InputError
from tscl.methods.autotcl import AutoTCLMethod
from tscl.seeding import seeded
from tscl.training.data import ArraySource, RandomSampler, cut_sections
from tscl.training.selection import WeightAverage
from tscl.training.trainer import Trainer, TrainingDiverged, TrainSettings


def series(n: int = 12, steps: int = 40, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, steps, channels)).astype(np.float32)


def method(seed: int = 0) -> AutoTCLMethod:
    with seeded(seed):
        encoder = ENCODERS.build(
            "dilated", input_dims=2, output_dims=8, hidden_dims=8, depth=2, dropout=0.1
        )
        return AutoTCLMethod(encoder, aug_dim=4, aug_hidden=4, aug_depth=1, mask="binomial")


def train(folder: Path | None = None, *, resume: bool = False, **options):
    made = method()
    settings = TrainSettings(**({"max_epochs": 4, "lr": 1e-2, "seed": 3} | options))
    trainer = Trainer(settings, checkpoints=folder)
    data = ArraySource(series(), crop=32)
    return trainer.fit(made, data, RandomSampler(12, 4), resume=resume), made


def equal(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return set(left) == set(right) and all(torch.equal(left[k], right[k]) for k in left)


def test_same_seed_same_weights_other_seed_others_and_global_state_untouched():
    before = torch.random.get_rng_state()
    one, _ = train()
    two, _ = train()
    other, _ = train(seed=4)
    assert equal(one.encoder, two.encoder)
    assert not equal(one.encoder, other.encoder)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("averaging", ["swa", "ema", "none"])
@pytest.mark.parametrize("stop", [1, 5])
def test_resume_is_bit_equal(tmp_path, stop, averaging):
    whole, whole_method = train(averaging=averaging)
    train(tmp_path / "c", max_steps=stop, averaging=averaging)
    rest, rest_method = train(tmp_path / "c", resume=True, averaging=averaging)
    assert equal(whole.encoder, rest.encoder)
    assert equal(whole_method, rest_method)
    assert whole.history == rest.history
    assert rest.steps == 12


def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    folder = tmp_path / "c"
    whole, _ = train()
    train(folder, max_steps=3)
    train(folder, max_steps=6, resume=True)
    newest = sorted(folder.glob("step-*"))[-1] / "tensors.safetensors"
    blob = bytearray(newest.read_bytes())
    blob[len(blob) // 2] ^= 0xFF
    newest.write_bytes(bytes(blob))
    rest, _ = train(folder, resume=True)
    assert equal(whole.encoder, rest.encoder)


def test_all_checkpoints_damaged_is_an_error(tmp_path):
    folder = tmp_path / "c"
    train(folder, max_steps=2)
    for path in folder.glob("step-*/tensors.safetensors"):
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match="damaged"):
        train(folder, resume=True)


def test_resume_with_another_seed_is_refused(tmp_path):
    train(tmp_path / "c", max_steps=2)
    with pytest.raises(CheckpointError) as caught:
        train(tmp_path / "c", resume=True, seed=9)
    assert caught.value.field == "seed"


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.training import test_engine as t
from tscl.training import trainer

torch = t.torch
torch.set_num_threads(1)
inner, steps = trainer._Run._train_step, []
def waiting(self, indices):
    steps.append(indices)
    if len(steps) == 4:  # three checkpoints are written; the signal comes in this step
        print("waiting", flush=True)
        sys.stdin.readline()
    return inner(self, indices)
trainer._Run._train_step = waiting
t.train(Path(sys.argv[1]), resume=True, checkpoint_seconds=0.0)
"""


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_killed_run_resumes_to_the_same_weights(tmp_path, sig):
    root = str(Path(__file__).resolve().parents[2])
    script = tmp_path / "job.py"
    script.write_text(textwrap.dedent(SCRIPT.format(root=root)))
    job = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "c")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert job.stdout is not None
    assert job.stdout.readline() == b"waiting\n"
    job.send_signal(sig)
    job.communicate()  # ends the step's wait
    assert job.returncode != 0
    assert list((tmp_path / "c").glob("step-*"))
    whole, _ = train()
    rest, _ = train(tmp_path / "c", resume=True)
    assert len(rest.history) == 12
    assert equal(whole.encoder, rest.encoder)


def test_only_the_phase_s_parameters_move():
    made = method()
    start = {k: v.clone() for k, v in made.state_dict().items()}
    made.phases = lambda step: ("augmentation",)  # type: ignore[method-assign]
    Trainer(TrainSettings(max_epochs=1)).fit(made, ArraySource(series()), RandomSampler(12, 4))
    moved = {k for k, v in made.state_dict().items() if not torch.equal(v, start[k])}
    assert moved
    assert all(k.startswith("augmentation.") for k in moved)
    assert all(p.requires_grad for p in made.parameters())


def test_averages_match_the_definition():
    layer = torch.nn.Linear(1, 1, bias=False)
    seen = []
    average = WeightAverage(layer, "swa", start=1)
    from_start = WeightAverage(layer, "swa", start=-1)
    seen.append(layer.weight.item())
    for step in range(4):
        with torch.no_grad():
            layer.weight.add_(float(step + 1))
        seen.append(layer.weight.item())
        average.update(step)
        from_start.update(step)
    assert average.module.weight.item() == pytest.approx(np.mean(seen[2:]))  # type: ignore[union-attr]
    assert from_start.module.weight.item() == pytest.approx(np.mean(seen))  # type: ignore[union-attr]


def test_a_decaying_average_that_warms_up_matches_the_definition():
    layer = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(layer, "ema", decay=0.6, warmup=4)
    expected = None
    for step in range(12):
        with torch.no_grad():
            layer.weight.fill_(float(step**2))
        average.update(step)
        decay = min(0.6, step / (step + 4))
        expected = step**2 if expected is None else decay * expected + (1 - decay) * step**2
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-5)  # type: ignore[union-attr]


def test_monitor_keeps_the_best_epoch_and_patience_stops():
    scores = iter([3.0, 1.0, 2.0, 2.5, 2.6, 2.7])
    weights = []

    def monitor(encoder):
        weights.append({k: v.clone() for k, v in encoder.state_dict().items()})
        return next(scores)

    trainer = Trainer(TrainSettings(max_epochs=6, patience=2), monitor=monitor)
    result = trainer.fit(method(), ArraySource(series()), RandomSampler(12, 4))
    assert (result.best_epoch, result.best_score, len(weights)) == (1, 1.0, 4)
    assert all(torch.equal(v, weights[1][k]) for k, v in result.encoder.state_dict().items())


def test_divergence_is_named():
    made = method()
    with torch.no_grad():
        next(made.encoder.parameters()).fill_(torch.inf)
    with pytest.raises((TrainingDiverged, InputError)):
        Trainer(TrainSettings(max_epochs=1)).fit(made, ArraySource(series()), RandomSampler(12, 4))


def test_no_full_batch_is_named():
    with pytest.raises(InputError) as caught:
        Trainer(TrainSettings(max_epochs=1)).fit(
            method(), ArraySource(series(n=3)), RandomSampler(3, 8, drop_last=True)
        )
    assert caught.value.field == "batch_size"


@pytest.mark.parametrize(("steps", "length"), [(100, 30), (8640, 257), (59, 30), (60, 30)])
def test_sections_cover_the_series_once(steps, length):
    x = np.arange(1, steps + 1, dtype=np.float32).reshape(1, steps, 1)
    cut = cut_sections(x, length)
    kept = cut[~np.isnan(cut)]
    assert np.array_equal(kept, np.arange(1, steps + 1))
    if steps >= 2 * length:
        assert cut.shape[1] >= length
        assert np.isnan(cut).sum(axis=1).max() <= 1


def test_crops_share_one_offset_and_come_from_the_generator():
    x = np.tile(np.arange(50, dtype=np.float32)[None, :, None], (3, 1, 1))
    source = ArraySource(x, crop=10)
    first = source.batch(np.array([0, 2]), torch.Generator().manual_seed(1)).x
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0, :, 0].diff(), torch.ones(9))
    starts = {
        float(source.batch(np.array([0]), torch.Generator().manual_seed(s)).x[0, 0, 0])
        for s in range(30)
    }
    assert len(starts) > 5
