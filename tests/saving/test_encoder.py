"""Saved models: what the card holds, and files that must not be loaded."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training import cases
from tscl.disk import sha256_of
from tscl.errors import CheckpointError
from tscl.saving.card import ModelCard, sha256_of_array
from tscl.saving.encoder import load_encoder, save_encoder, update_card
from tscl.saving.tensors import sha256_of_json


@pytest.fixture
def saved(tmp_path):
    folder = tmp_path / "model"
    card = ModelCard(
        "simclr",
        data={"name": "noise", "sha256": sha256_of_array(cases.series())},
        preprocessing={"standardize": "trial"},
        metrics={"auroc": 0.5},
        licence="CC-BY-4.0",
    )
    save_encoder(folder, cases.encoder(), card)
    return folder


def rewrite(folder, **changes):
    """Change the card as someone would who also mends its checksums."""
    head = json.loads((folder / "encoder.json").read_text()) | changes
    head["sha256"] = sha256_of(folder / "encoder.safetensors")
    signed = {k: v for k, v in head.items() if k not in ("head_sha256", "card")}
    head["head_sha256"] = sha256_of_json(signed)
    (folder / "encoder.json").write_text(json.dumps(head))


def refused(folder, field: str, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_encoder(folder)
    assert caught.value.field == field
    for word in words:
        assert word in str(caught.value)


def test_card_and_weights_come_back(saved):
    encoder, card = load_encoder(saved)
    x = torch.from_numpy(cases.series(2))
    assert torch.equal(encoder(x), cases.encoder().eval()(x))
    assert card["licence"] == "CC-BY-4.0"
    assert card["data"]["sha256"] == sha256_of_array(cases.series())
    assert card["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    update_card(saved, metrics={"auroc": 0.9})
    encoder, card = load_encoder(saved)
    assert card["metrics"] == {"auroc": 0.9}
    assert card["method"] == "simclr"


def test_the_hash_of_data_sees_values_shape_and_type(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    np.save(tmp_path / "x.npy", x)
    assert sha256_of_array(np.load(tmp_path / "x.npy", mmap_mode="r")) == sha256_of_array(x)
    other = x.copy()
    other[3, 2, 1] += 1e-6 + np.spacing(other[3, 2, 1])
    hashes = {sha256_of_array(a) for a in (x, other, x.reshape(4, 2, 3), x.astype(np.float64))}
    assert len(hashes) == 4
    assert sha256_of_array(x[:, :, ::-1]) == sha256_of_array(x[:, :, ::-1].copy())


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["encoder.pt", "weights.pkl", "README.md"])
def test_pickles_are_refused_and_never_run(saved, tmp_path, name):
    (saved / name).write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    refused(saved, "file", name, "pickle")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_pickle_in_the_place_of_the_weights_is_refused(saved, tmp_path, how):
    weights = saved / "encoder.safetensors"
    if how == "pickle":
        weights.write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    else:
        torch.save({"w": Payload(tmp_path / "ran")}, weights)
    rewrite(saved)
    refused(saved, "file", "encoder.safetensors", "pickle")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_passed_as_the_model_is_refused(tmp_path):
    torch.save({"w": Payload(tmp_path / "ran")}, tmp_path / "model.bin")
    refused(tmp_path / "model.bin", "model folder", "pickle")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", ["../encoder.safetensors", "/etc/passwd", "a/encoder.safetensors", "..", "c:x", "a\\b"]
)
def test_names_that_leave_the_folder_are_refused(saved, name):
    (saved.parent / "encoder.safetensors").write_bytes((saved / "encoder.safetensors").read_bytes())
    rewrite(saved, weights=name)
    refused(saved, "weights", name, "plain file name")


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.json", "README.md"])
def test_links_out_of_the_folder_are_refused(saved, tmp_path, name):
    outside = tmp_path / "outside"
    inside = saved / name
    outside.write_bytes(inside.read_bytes() if inside.exists() else b"secret")
    inside.unlink(missing_ok=True)
    inside.symlink_to(outside)
    refused(saved, "link", name)


def test_a_link_inside_the_folder_and_a_linked_folder_are_fine(saved, tmp_path):
    (saved / "LICENSE").symlink_to(saved / "encoder.json")
    (tmp_path / "alias").symlink_to(saved)
    load_encoder(tmp_path / "alias")


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_tensors_of_another_model_are_named(saved, change):
    tensors = load_file(saved / "encoder.safetensors")
    name = sorted(tensors)[0]
    if change == "missing":
        del tensors[name]
    elif change == "unexpected":
        tensors["extra"] = torch.zeros(1)
    else:
        tensors[name] = torch.zeros(3, 3, 3, 3)
    save_file(tensors, saved / "encoder.safetensors")
    rewrite(saved)
    refused(saved, "encoder weights", change, "extra" if change == "unexpected" else name)


def test_a_card_that_asks_for_a_huge_encoder_is_refused_before_memory_is_taken(saved):
    head = json.loads((saved / "encoder.json").read_text())
    rewrite(saved, config=head["config"] | {"hidden_dims": 10_000_000})
    refused(saved, "encoder weights", "shape")


def test_damage_is_found(saved):
    weights = saved / "encoder.safetensors"
    blob = bytearray(weights.read_bytes())
    blob[-1] ^= 1
    weights.write_bytes(bytes(blob))
    refused(saved, "encoder.safetensors", "damaged")
    weights.write_bytes(b"\xff" * 40)
    rewrite(saved)
    refused(saved, "file", "not a readable safetensors")
    (saved / "encoder.json").write_text("{" * 100_000)
    refused(saved, "file", "not valid JSON")
    (saved / "encoder.json").write_bytes(b" " * (17 << 20))
    refused(saved, "file", "16 MiB")
    (saved / "encoder.json").unlink()
    refused(saved, "file", "encoder.json", "not found")
    refused(saved / "nowhere", "model folder", "not found")
