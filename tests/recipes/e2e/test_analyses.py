"""Tables of what trained networks use and keep."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tscl.forecasters import ForecastNetwork
from tscl.seeding import seeded

FOLDER = Path(__file__).parents[3] / "recipes/e2e"


@pytest.fixture
def analyses(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("e2e_analyses", FOLDER / "analyses.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("collect", None)


def test_shares_count_the_hours_they_name(analyses):
    field = np.zeros((2, 72))
    field[:, -1] = 0.5  # 1 and 2 hours before the forecast
    field[0, -24] = field[1, -23] = 0.25  # a day before the forecast step
    field[0, 0] = field[1, 1] = 0.25  # 72 hours before it
    cells = analyses.shares({"net": field}).splitlines()[-1].split(" | ")[1:]
    assert [float(c.strip(" |")) for c in cells] == [0.5, 0.75, 1.0, 0.5, round(3 / 72, 3)]


def test_the_single_network_is_the_encoder_of_each_variable(analyses):
    with seeded(0, "weights"):
        network = ForecastNetwork(
            3,
            4,
            encoder_params={"hidden_dims": 8, "depth": 1, "heads": 2, "ffn_dims": 8},
            input_length=12,
            flatten=True,
            patch=4,
            channel_independent=True,
        ).eval()
    past = torch.randn(2, 12, 3, generator=torch.Generator().manual_seed(0))
    alone = analyses.single(network)(past[:, :, [1]])
    torch.testing.assert_close(alone, network(past)[:, :, [1]])


def test_retention_is_a_row_a_code(analyses):
    rows = [
        {"encoder": encoder, "factor": factor, "seed": seed, "r2": 0.5 + seed / 10}
        for encoder in ("a", "b")
        for factor in ("trend", "scale", "period")
        for seed in (0, 2)
    ]
    lines = analyses.table(pd.DataFrame(rows)).splitlines()
    assert lines[0] == "| encoder | trend | scale | period |"
    assert lines[-1] == "| b | 0.60 ± 0.14 | 0.60 ± 0.14 | 0.60 ± 0.14 |"
