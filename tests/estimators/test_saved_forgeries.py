"""Folders whose files are whole but do not go together are refused with one named error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.estimators.tiny import classifier, retrieval, transformer, waves
from tscl.disk import sha256_of
from tscl.errors import CheckpointError

X, Y = waves(12)
Card = dict[str, Any]


def change(folder: Path, edit: Callable[[Card], Any]) -> None:
    card = json.loads((folder / "estimator.json").read_text())
    edit(card)
    (folder / "estimator.json").write_text(json.dumps(card))


def change_arrays(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Forge the arrays, and the checksum with them."""
    file = folder / "arrays.safetensors"
    arrays = load_file(file)
    edit(arrays)
    save_file(arrays, file)
    change(folder, lambda card: card.update(sha256=sha256_of(file)))


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda c: c["state"].update(mean_=[0.0]), "mean_ of shape"),
        (lambda c: c["state"].update(mean_=None), "does not go with scale"),
        (lambda c: c["state"].update(n_channels_in_=3, mean_=[0] * 3, scale_=[1] * 3), "channels"),
        (lambda c: c["params"].update(pooling="median"), "pooling"),
        (lambda c: c.pop("state"), "state"),
    ],
)
def test_transformer(tmp_path, edit, told):
    folder = transformer().fit(X).save(tmp_path / "m")
    change(folder, edit)
    with pytest.raises(CheckpointError, match=told):
        transformer().load(folder)


def test_classifier(tmp_path):
    folder = classifier().fit(X, np.array(["a", "b"])[Y]).save(tmp_path / "m")
    assert classifier().load(folder).classes_.tolist() == ["a", "b"]
    change_arrays(folder, lambda a: a.update(coef=torch.zeros(1, 3, dtype=torch.float64)))
    with pytest.raises(CheckpointError, match="coef of shape"):
        classifier().load(folder)
    change(folder, lambda c: c["classes"].update(dtype="object"))
    with pytest.raises(CheckpointError, match="dtype object"):
        classifier().load(folder)


@pytest.mark.parametrize("forge", [lambda a: a["codes"].fill_(torch.nan), lambda a: a.pop("codes")])
def test_index(tmp_path, forge):
    folder = retrieval().fit(X, patient=np.arange(12) // 3).save(tmp_path / "m")
    change_arrays(folder, forge)
    with pytest.raises(CheckpointError, match="codes"):
        retrieval().load(folder)
