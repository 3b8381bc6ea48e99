"""Any damage to a checkpoint or model is seen by a checksum; the checkpoint before is used."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tscl.encoders import ENCODERS
from tscl.errors import CheckpointError
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.training.checkpoint import CheckpointStore


def state(step: int) -> dict:
    generator = torch.Generator().manual_seed(step)
    return {
        "step": step,
        "weights": torch.randn(5, generator=generator),
        "optimizers": {"encoder": {0: {"lr": 0.001 * step}}},
        "history": [{"step": float(step), "loss": 0.25}],
    }


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    store = CheckpointStore(tmp_path / "c")
    for step in (3, 6):
        store.save(step, state(step))
    return store


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(content)
    out[rng.integers(len(out))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def longer(content: bytes, rng: np.random.Generator) -> bytes:
    return content + rng.bytes(int(rng.integers(1, 9)))


DAMAGE = {"flipped bit": flipped, "cut short": cut, "bytes at the end": longer}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_random_damage_to_the_newest_checkpoint_uses_the_one_before(store, damage, name, caplog):
    rng = np.random.default_rng(0)
    file = store.folder / "step-0000006" / name
    whole = file.read_bytes()
    for _ in range(60):
        file.write_bytes(DAMAGE[damage](whole, rng))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = store.load_latest()
        assert found is not None
        same = found["step"] == 6 and file.read_bytes().strip() == whole.strip()
        # white space around JSON values, and nothing else, is no damage
        if not same and found["step"] == 6:
            assert name == "state.json"
            assert file.read_text().split() == whole.decode().split()
            same = True
        if not same:
            assert found["step"] == 3
            assert torch.equal(found["weights"], state(3)["weights"])
            assert "is damaged" in caplog.text


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_missing_file_uses_the_one_before(store, name):
    (store.folder / "step-0000006" / name).unlink()
    found = store.load_latest()
    assert found is not None
    assert found["step"] == 3


def test_files_of_two_checkpoints_are_not_mixed(store):
    new, old = (store.folder / f"step-000000{n}/tensors.safetensors" for n in (6, 3))
    shutil.copy(old, new)
    found = store.load_latest()
    assert found is not None
    assert found["step"] == 3


def test_all_damaged_is_an_error_and_nothing_there_is_none(store, tmp_path):
    for path in store.folder.glob("step-*/state.json"):
        path.write_text("[" * 10_000)
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        store.load_latest()
    assert CheckpointStore(tmp_path / "other").load_latest() is None


def test_values_come_back_to_the_bit(tmp_path):
    store = CheckpointStore(tmp_path)
    values = {"third": 1 / 3, "inf": float("inf"), "pair": (1, 2.5), "none": None, "nest": {7: [1]}}
    store.save(1, values)
    found = store.load_latest()
    assert found == {**values, "pair": [1, 2.5]}


@pytest.mark.parametrize("damage", DAMAGE)
def test_random_damage_to_a_model_is_refused_or_harmless(tmp_path, damage):
    torch.manual_seed(0)
    encoder = ENCODERS.build("tcn", input_dims=2, output_dims=4, hidden_dims=4, depth=1).eval()
    save_encoder(tmp_path, encoder, {"licence": "MIT"})
    x = torch.randn(1, 9, 2)
    expected = encoder(x)
    rng = np.random.default_rng(1)
    refused = 0
    for name in ("encoder.safetensors", "encoder.json"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(60):
            (tmp_path / name).write_bytes(DAMAGE[damage](whole, rng))
            try:
                loaded, _ = load_encoder(tmp_path)
            except CheckpointError:
                refused += 1
            else:
                assert name == "encoder.json"
                assert torch.equal(loaded(x), expected)
        (tmp_path / name).write_bytes(whole)
    assert refused > 60
