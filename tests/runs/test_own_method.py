"""A method, a loss and an encoder of one's own run and are fitted; nothing else knows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn
from typer.testing import CliRunner

from tscl.cli.app import app
from tscl.encoders import ENCODERS
from tscl.encoders.base import Encoder
from tscl.errors import InputError
from tscl.estimators import ContrastiveTransformer
from tscl.losses import LOSSES, ContrastiveLoss
from tscl.methods.base import METHODS, Method
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.config import apply_override
from tscl.saving.encoder import load_encoder

SEEN: list[set[str]] = []


@pytest.fixture(autouse=True)
def _own_components():
    """Registered for the test, and forgotten after it."""
    registries = (ENCODERS, LOSSES, METHODS)
    before = [dict(registry._entries) for registry in registries]

    @ENCODERS.register("own_net")
    class OwnNet(Encoder):
        """A linear map of every step."""

        name = "own_net"

        def __init__(self, input_dims: int, output_dims: int = 4) -> None:
            super().__init__()
            self._config = {"input_dims": input_dims, "output_dims": output_dims}
            self.input_dims, self.output_dims = input_dims, output_dims
            self.causal, self.receptive_field = True, 1
            self.map = nn.Linear(input_dims, output_dims)

        def forward(self, x, mask=None):
            return self.map(torch.nan_to_num(x))

    @LOSSES.register("own_loss")
    class OwnLoss(ContrastiveLoss):
        """Mean square difference of two views."""

        def compute(self, views, extra):
            return (views[0] - views[1]).square().mean()

    @METHODS.register("own_way")
    class OwnWay(Method):
        """Embeddings of a patient and class come together."""

        title = "Own way"
        needs = ("labels", "patient")

        def losses(self, batch, phase, generator):
            SEEN.append({*batch.ids, *(["labels"] if batch.labels is not None else [])})
            z = self.encoder(batch.x).amax(dim=1)
            group = batch.ids["patient"] * 10 + batch.labels
            same = (group[:, None] == group[None, :]).float()
            return {"loss": (torch.cdist(z, z) * same).mean() - torch.cdist(z, z).mean()}

    yield
    for registry, entries in zip(registries, before, strict=True):
        registry._entries.clear()
        registry._entries.update(entries)


def config(out: Path) -> dict:
    from tests.runs.clinical.test_run import tiny

    values = tiny(out, method={"name": "own_way"}, encoder={"name": "own_net", "params": {}})
    values["evaluate"] |= {"ablations": {}, "full_rows": None, "compare": ["random", "simclr"]}
    values["evaluate"] |= {"protocols": ["partial"], "fractions": [1.0], "finetune_epochs": None}
    values["train"] |= {"probe": False, "labels": True}
    return values


def test_it_runs_is_named_in_tables_saved_and_loaded(tmp_path: Path) -> None:
    SEEN.clear()
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(config(tmp_path / "run")))
    done = CliRunner().invoke(app, ["run", "-c", str(file), "-q"])
    assert done.exit_code == 0, done.output
    assert all({"labels", "patient"} <= columns for columns in SEEN)
    assert len(SEEN) > 1
    results = json.loads((tmp_path / "run" / "metrics.json").read_text())["results"]
    assert {row["method"] for row in results} == {
        "Own way (with labels)",
        "random encoder",
        "SimCLR",
    }
    encoder, card = load_encoder(tmp_path / "run" / "models" / "own-way" / "fold0")
    assert (encoder.name, card["method"]) == ("own_net", "own_way")
    assert "own_way" in CliRunner().invoke(app, ["list", "method"]).output
    run = ClinicalRun(check_clinical(config(tmp_path / "run")))
    weights = run.train(run.rows[0], run.folds[0], resume=True).state_dict()
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, weights[name])


def test_what_a_series_lacks_is_named_before_training(tmp_path: Path) -> None:
    values = {"method": {"name": "own_way"}, "out": str(tmp_path)}
    apply_override(values, "data.dataset=seattle-temps")
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(values))
    done = CliRunner().invoke(app, ["run", "-c", str(file), "-q"])
    assert done.exit_code == 2
    assert "it reads labels, patient, which a series does not have" in done.output


def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Series (24, 30, 2) of six patients; the class moves the first channel."""
    y, patient = np.arange(24) % 2, np.arange(24) // 4
    X = np.random.default_rng(0).normal(size=(24, 30, 2))
    X[:, :, 0] += 3 * y[:, None]
    return X, y, patient


def test_an_estimator_fits_saves_and_loads_it(tmp_path: Path) -> None:
    SEEN.clear()
    X, y, patient = planted()
    model = ContrastiveTransformer("own_way", encoder="own_net", max_epochs=2, batch_size=8)
    with pytest.raises(InputError, match="patient"):
        model.fit(X, y)
    embeddings = model.fit(X, y, patient=patient).transform(X)
    assert embeddings.shape == (24, 4)
    assert all({"patient", "labels"} <= columns for columns in SEEN)
    assert len(SEEN) >= 6
    model.save(tmp_path / "model")
    loaded = ContrastiveTransformer.load(tmp_path / "model")
    assert (loaded.method, loaded.encoder) == ("own_way", "own_net")
    np.testing.assert_array_equal(loaded.transform(X), embeddings)


def test_a_loss_of_ones_own_trains_in_an_estimator() -> None:
    """The mean square difference of two jittered views shrinks the weights it is trained on."""
    X, _, _ = planted()

    def weight(epochs: int) -> float:
        model = ContrastiveTransformer(
            "simclr", encoder="own_net", loss="own_loss", max_epochs=epochs, lr=0.05
        )
        return float(model.fit(X).encoder_.map.weight.detach().abs().mean())

    assert weight(40) < 0.5 * weight(1)
