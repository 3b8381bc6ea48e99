"""Rows of weights that were trained elsewhere: matched, refused by name, or with a new input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_loaders.container.recordings import Recordings
from tests.runs.label_efficiency.motifs import motif_recordings, motif_values
from tscl.encoders import ENCODERS
from tscl.errors import ConfigError
from tscl.runs.jobs import check_job
from tscl.runs.label_efficiency.run import LabelEfficiencyRun
from tscl.saving.encoder import load_encoder, save_encoder
from tscl.seeding import seeded


def recordings(names: tuple[str, ...], n: int = 18) -> Recordings:
    data = motif_recordings(n)
    return Recordings.from_arrays(
        [np.repeat(data[row], len(names), axis=1) for row in range(n)],
        data.sampling_rate,
        label=data.label,
        label_names=data.label_names,
        channel_names=names,
    )


@pytest.fixture
def weights(tmp_path):
    """An encoder of leads I and II at 50 Hz."""
    params = {"widths": [8, 16], "strides": [2, 2]}
    with seeded(7):
        encoder = ENCODERS.build("resnet1d", input_dims=2, **params)
    facts = {"preprocessing": {"channels": ["I", "II"], "sampling_rate": 50.0}}
    save_encoder(tmp_path / "weights", encoder, facts)
    return tmp_path / "weights"


def job(out, folder, data, **row):
    rows = {
        "known": {"kind": "pretrained", "weights": str(folder), **row},
        "tuned": {"kind": "finetuned", "base": "known", "labelled": {"steps": 2, "checks": 1}},
    }
    config = check_job(motif_values(out, rows=rows, shares=[1.0]))
    run = LabelEfficiencyRun(config, recordings=data)
    run.begin(resume=False)
    return run


def test_weights_of_the_same_leads_are_taken_as_they_are_and_kept(tmp_path, weights):
    run = job(tmp_path / "run", weights, recordings(("I", "II")))
    assert len(run.evaluate()) == 2
    kept, _ = load_encoder(tmp_path / "run" / "models" / "known" / "fold0")
    given, _ = load_encoder(weights)
    for name, value in given.state_dict().items():
        assert torch.equal(value, kept.state_dict()[name])


@pytest.mark.parametrize("names", [("II", "I"), ("V1",), ("I", "II", "V1")])
def test_other_leads_are_refused_by_name_or_get_a_new_input_layer(tmp_path, weights, names):
    data = recordings(names)
    with pytest.raises(ConfigError, match=r"rows\.known\.channels.*I, II in this order"):
        job(tmp_path / "run", weights, data).evaluate()
    run = job(tmp_path / "run", weights, data, channels="new_input")
    assert len(run.evaluate()) == 2
    kept, card = load_encoder(tmp_path / "run" / "models" / "known" / "fold0")
    given, _ = load_encoder(weights)
    assert kept.input_dims == len(names)
    assert card["preprocessing"]["channels"] == list(names)
    same = [k for k, v in given.state_dict().items() if torch.equal(v, kept.state_dict()[k])]
    assert len(kept.state_dict()) > len(same) > len(kept.state_dict()) // 2


def test_another_rate_and_rows_that_cannot_be_are_refused(tmp_path, weights):
    with pytest.raises(ConfigError, match="these weights are of 100 Hz"):
        job(tmp_path / "run", "ecg-1lead", recordings(("I",))).evaluate()
    for row, field in (
        ({"method": "simclr"}, "weights"),
        ({"weights": None, "method": "simclr", "channels": "new_input"}, "channels"),
    ):
        with pytest.raises(ConfigError, match=rf"rows\.known\.{field}"):
            job(tmp_path / "run", weights, recordings(("I",)), **row)
