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
from tscl.errors import CheckpointError, InputError
from tscl.saving.tensors import sha256_of_json

X, Y = waves(12)
Card = dict[str, Any]


def change(folder: Path, edit: Callable[[Card], Any], sign: bool = True) -> None:
    """Forge the card, and its checksum with it when ``sign``."""
    card = json.loads((folder / "estimator.json").read_text())
    told = card.pop("card_sha256")
    edit(card)
    card["card_sha256"] = sha256_of_json(card) if sign else told
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
        (lambda c: c["state"].update(scale_=[0.0, 1.0]), "not positive"),
        (lambda c: c["state"].update(scale_=[float("nan"), 1.0]), "not positive"),
        (lambda c: c["state"].update(scale_=[float("inf"), 1.0]), "not finite"),
        (lambda c: c["state"].update(mean_=[float("nan"), 1.0]), "not finite"),
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


@pytest.mark.parametrize("values", [["b", "b"], ["a"], [["a", "b"]], []])
def test_classes_are_different_labels(tmp_path, values):
    folder = classifier().fit(X, np.array(["a", "b"])[Y]).save(tmp_path / "m")
    change(folder, lambda c: c["classes"].update(values=values))
    with pytest.raises(CheckpointError, match=r"classes|ids of shape"):
        classifier().load(folder)


def test_a_card_changed_by_hand_is_refused_and_one_of_format_1_is_read(tmp_path):
    model = classifier().fit(X, np.array(["a", "b"])[Y])
    folder = model.save(tmp_path / "m")
    change(folder, lambda c: c["classes"].update(values=["b", "a"]), sign=False)
    with pytest.raises(CheckpointError, match="changed by hand"):
        classifier().load(folder)
    folder = model.save(tmp_path / "m")
    change(folder / "transformer", lambda c: c["state"].update(mean_=[1.0, 1.0]), sign=False)
    with pytest.raises(CheckpointError, match="changed by hand"):
        classifier().load(folder)
    folder = model.save(tmp_path / "m")
    for one in (folder, folder / "transformer"):
        card = json.loads((one / "estimator.json").read_text())
        del card["card_sha256"]
        (one / "estimator.json").write_text(json.dumps(card | {"format": 1}))
    np.testing.assert_array_equal(classifier().load(folder).predict(X), model.predict(X))


def test_links_pickles_and_files_in_place_of_a_folder_are_refused(tmp_path):
    folder = classifier().fit(X, Y).save(tmp_path / "m")
    (folder / "model.pkl").write_bytes(b"")
    with pytest.raises(CheckpointError, match="pickle"):
        classifier().load(folder)
    (folder / "model.pkl").unlink()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(CheckpointError, match="leads out"):
        classifier().load(folder)
    (tmp_path / "a_file.py").write_text("x = 1\n")
    with pytest.raises(CheckpointError, match=r"is a file; .* estimator\.json"):
        classifier().load(tmp_path / "a_file.py")


@pytest.mark.parametrize("make", [transformer, classifier])
def test_a_save_leaves_other_people_s_files_alone(tmp_path, make):
    model = make().fit(X, Y)
    place = tmp_path / "thesis"
    place.mkdir()
    (place / "thesis.tex").write_text("years of work")
    (tmp_path / "link").symlink_to(place)
    for path in (place, place / "thesis.tex", tmp_path / "link"):
        with pytest.raises(InputError, match=path.name):
            model.save(path)
    assert (place / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "link").is_symlink()
    (place / "thesis.tex").unlink()
    for _ in range(2):  # an empty folder, then an earlier save
        model.save(place)
    other = classifier().fit(X, Y).save(place)
    np.testing.assert_array_equal(
        classifier().load(other).predict(X), classifier().fit(X, Y).predict(X)
    )


def test_numbers_of_numpy_are_saved(tmp_path):
    model = transformer(
        encoder_params={"output_dims": np.int64(4), "hidden_dims": np.int32(4), "depth": 2},
        max_epochs=np.int64(1),
        batch_size=np.int32(8),
        lr=np.float32(1e-3),
        verbose=np.bool_(False),
        random_state=np.int64(3),
    ).fit(X)
    again = transformer().load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert type(again.max_epochs) is int
    assert again.encoder_params["output_dims"] == 4
