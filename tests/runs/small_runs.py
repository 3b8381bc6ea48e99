"""Finished runs of a few seconds, for tests of what is made from run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tscl.runs.clinical.config import check_clinical
from tscl.runs.clinical.report import write_clinical_report
from tscl.runs.clinical.run import ClinicalRun
from tscl.runs.forecasting.config import check_config
from tscl.runs.forecasting.report import write_report
from tscl.runs.forecasting.run import ForecastingRun
from tscl.runs.study.config import StudyConfig
from tscl.runs.study.study import Study


def forecasting_run(out: Path, *, seed: int, lr: float = 1e-3) -> Path:
    """AutoTCL, TS2Vec and an untrained encoder on 1500 hours, in ``out``."""
    source = out.parent / "series.csv"
    if not source.exists():
        t = np.arange(1500)
        noise = np.random.default_rng(0).normal(size=1500)
        dates = pd.date_range("2020-01-01", periods=1500, freq="h")
        values = np.cos(t * 2 * np.pi / 24) + 0.1 * noise
        pd.DataFrame({"date": dates, "OT": values}).to_csv(source, index=False)
    config = check_config(
        {
            "name": out.name,
            "seed": seed,
            "out": str(out),
            "data": {
                "dataset": "csv",
                "path": str(source),
                "target": "OT",
                "covariates": False,
            },
            "encoder": {
                "name": "dilated",
                "params": {"output_dims": 8, "hidden_dims": 8, "depth": 3, "causal": True},
            },
            "method": {"name": "autotcl", "params": {"aug_hidden": 4, "aug_depth": 1}},
            "train": {"max_epochs": 2, "batch_size": 4, "max_train_length": 100, "lr": lr},
            "evaluate": {"horizons": [1, 24], "drop": 30, "compare": ["ts2vec", "random"]},
        }
    )
    run = ForecastingRun(config)
    run.folder.begin(config, resume=False)
    trained = [run.train(name) for name in run.names()]
    write_report(run, trained, run.evaluate(trained))
    return out


def clinical_values(out: Path) -> dict[str, Any]:
    """COMET and two baselines on a generated cohort, as values of a configuration."""
    return {
        "job": "clinical",
        "out": str(out),
        "data": {
            "kind": "cohort",
            "make": {
                "kind": "eeg",
                "n_patients": 12,
                "trials_per_patient": 2,
                "seconds": 2.0,
                "sampling_rate": 64,
                "n_channels": 3,
            },
        },
        "encoder": {
            "name": "dilated",
            "params": {"output_dims": 6, "hidden_dims": 4, "depth": 2},
        },
        "train": {"max_epochs": 2, "batch_size": 12, "lr": 1e-3, "probe": True},
        "evaluate": {
            "protocols": ["partial"],
            "fractions": [1.0],
            "seeds": 2,
            "compare": ["random", "bandpower"],
            "n_replicates": 10,
        },
    }


def clinical_run(out: Path) -> Path:
    """A finished run of :func:`clinical_values`, in ``out``."""
    config = check_clinical(clinical_values(out))
    run = ClinicalRun(config)
    run.begin(resume=False)
    write_clinical_report(run, run.evaluate())
    return out


def study(out: Path) -> Path:
    """Two strategies, two seeds, one horizon, in ``out``."""
    text = f"""
job: study
out: {out}
data: {{dataset: seattle-temps, covariates: true}}
algorithms: {{hierarchical: {{}}}}
strategies: [supervised, end_to_end]
backbones: {{tcn: {{hidden_dims: 4, depth: 1}}}}
networks: []
horizons: [3]
lengths: {{3: 8}}
seeds: [0, 1]
train:
  max_epochs: 1
  steps_per_epoch: 2
  monitor_stride: 200
  network_params: {{output_dims: 4, decoder_dims: 4}}
"""
    job = Study(StudyConfig.model_validate(yaml.safe_load(text)))
    job.run()
    job.collect()
    return out
