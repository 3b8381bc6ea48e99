"""A known disease effect, 1 % of the labels, patients never seen: who finds it and who cannot."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tscl.evaluation.clinical.table import summarise
from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.run import ClinicalRun

POOL = "max+mean+log_std"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    values: dict[str, Any] = {
        "job": "clinical",
        "out": str(tmp_path_factory.mktemp("disease") / "run"),
        "data": {
            "kind": "cohort",
            "make": {
                "kind": "eeg",
                "n_patients": 80,
                "trials_per_patient": 4,
                "seconds": 3.0,
                "n_channels": 6,
                "disease_effect": 2.0,
                "patient_effect": 0.5,
                "seed": 7,
            },
        },
        "split": {"params": {"fractions": {"train": 0.5, "valid": 0.1, "test": 0.4}}},
        "encoder": {
            "name": "dilated",
            "params": {"output_dims": 32, "hidden_dims": 16, "depth": 4},
        },
        "method": {
            "name": "comet",
            "params": {
                "lambdas": [1.0, 0.0, 0.0, 0.0],
                "id_params": {"pool": POOL, "normalize": "batch", "temperature": 0.3},
            },
        },
        "train": {"max_epochs": 8, "batch_size": 64, "lr": 1e-3, "averaging": "none"},
        "evaluate": {
            "protocols": ["partial", "full"],
            "full_rows": [],
            "pooling": POOL,
            "fractions": [0.01],
            "by": ["samples"],
            "compare": ["random", "supervised"],
            "ablations": {"flattened": {"params": {"id_params": {}}}},
            "finetune": {"lr": 1e-3},
            "finetune_epochs": [60],
        },
    }
    run = ClinicalRun(check_clinical(values))
    run.begin(resume=False)
    rows = summarise(run.evaluate(), n_replicates=300)
    rows = rows[(rows["metric"] == "auroc") & (rows["level"] == "sample")]
    return rows.set_index("method")


def test_pooled_comet_finds_the_disease_with_eight_labels(table: pd.DataFrame) -> None:
    assert table.loc["COMET", "n_train_samples"] == 8
    assert table.loc["COMET", "n_test_patients"] == 32
    assert table.loc["COMET", "ci_low"] > 0.5


@pytest.mark.parametrize("baseline", ["random encoder", "supervised", "COMET, flattened"])
def test_baselines_do_not(table: pd.DataFrame, baseline: str) -> None:
    assert table.loc["COMET", "ci_low"] > table.loc[baseline, "ci_high"]
