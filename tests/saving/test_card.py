"""The card of a saved model: what it holds, its hash of the data, entries replaced later."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tests.training import cases
from tscl.disk import sha256_of
from tscl.errors import CheckpointError
from tscl.saving.card import ModelCard, RowsOf, sha256_of_array
from tscl.saving.encoder import load_encoder, save_encoder, update_card


@pytest.fixture
def saved(tmp_path):
    facts = {"metrics": {"auroc": 0.5}, "data": {"name": "noise"}, "licence": "MIT"}
    save_encoder(tmp_path / "model", cases.encoder(), ModelCard("simclr", **facts))
    return tmp_path / "model"


def test_a_card_is_plain_json_and_names_the_environment():
    card = ModelCard("comet", training={"seed": 3, "levels": ["patient"]}).as_dict()
    assert json.loads(json.dumps(card)) == card
    assert (card["method"], card["licence"], card["metrics"]) == ("comet", None, {})
    assert {"python", "torch", "tscl"} <= set(card["versions"])


def test_an_update_replaces_named_entries_and_leaves_everything_else(saved):
    before = json.loads((saved / "encoder.json").read_text())
    weights = sha256_of(saved / "encoder.safetensors")
    update_card(saved, metrics={"test AUROC": {"partial, 1 of samples": 0.75}}, note="second")
    after = json.loads((saved / "encoder.json").read_text())
    told = before["card"] | {
        "metrics": {"test AUROC": {"partial, 1 of samples": 0.75}},
        "note": "second",
    }
    assert after["card"] == told
    assert {k: v for k, v in after.items() if k != "card"} == {
        k: v for k, v in before.items() if k != "card"
    }
    assert sha256_of(saved / "encoder.safetensors") == weights
    assert {p.name for p in saved.iterdir()} == {"encoder.json", "encoder.safetensors"}
    encoder, card = load_encoder(saved)
    assert card == told
    x = torch.from_numpy(cases.series(2))
    assert torch.equal(encoder(x), cases.encoder().eval()(x))


def test_an_update_of_a_missing_or_damaged_card_is_an_error_and_writes_nothing(saved, tmp_path):
    with pytest.raises(CheckpointError, match=r"encoder\.json"):
        update_card(tmp_path / "nothing", licence="MIT")
    assert not (tmp_path / "nothing").exists()
    head = json.loads((saved / "encoder.json").read_text())
    (saved / "encoder.json").write_text(json.dumps(head | {"causal": not head["causal"]}))
    text = (saved / "encoder.json").read_text()
    with pytest.raises(CheckpointError):
        update_card(saved, licence="GPL")
    assert (saved / "encoder.json").read_text() == text


def test_facts_that_are_no_json_leave_the_card_as_it_was(saved):
    text = (saved / "encoder.json").read_text()
    with pytest.raises(TypeError):
        update_card(saved, metrics={"auroc": np.arange(3)})
    assert (saved / "encoder.json").read_text() == text
    assert load_encoder(saved)[1]["metrics"] == {"auroc": 0.5}


def test_the_hash_of_some_rows_is_that_of_their_copy(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 7, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = [4, 5, 17, 0]
    assert len(RowsOf(mapped, rows)) == 4
    assert sha256_of_array(RowsOf(mapped, rows)) == sha256_of_array(x[rows])
    assert sha256_of_array(RowsOf(mapped, rows[::-1])) != sha256_of_array(x[rows])
